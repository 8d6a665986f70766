"""Lava processes: a folder each, as Lava executes all modules next to one in search of models."""
