"""Run a network: on test data, step by step, or on test vectors, and what the results mean."""
