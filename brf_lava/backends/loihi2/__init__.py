"""Loihi 2, as far as it is public. Nothing here was run on a chip."""
