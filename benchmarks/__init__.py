"""Speed, measured as ratios on whatever machine this runs on: ``python -m benchmarks``."""
