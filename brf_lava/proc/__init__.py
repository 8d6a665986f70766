"""Lava processes and nothing else: one folder each, `process.py` (what) and `models.py` (how)."""
