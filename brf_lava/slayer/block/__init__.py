"""``block.<n>.Dense`` and its like, as in lava-dl's ``slayer.block``."""

from brf_lava.slayer.block import alif, bhrf, brf, hrf, li, rf

__all__ = ["alif", "bhrf", "brf", "hrf", "li", "rf"]
