"""The published experiments, run again: many trainings side by side, and their tables."""
