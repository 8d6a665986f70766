"""Run a network: integer engine, Lava, and what their results mean."""
