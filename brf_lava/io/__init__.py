"""Files, signals and shared memory of this process."""
