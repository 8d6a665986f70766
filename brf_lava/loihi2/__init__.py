"""Loihi 2: what a network needs there, as far as it is public. Nothing here was run on a chip."""
