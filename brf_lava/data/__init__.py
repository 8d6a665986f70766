"""Data sets: what they are, their arrays, and where they are looked for."""
