"""Balanced Resonate-and-Fire networks from PyTorch to Lava and Loihi 2."""

from brf_lava.lava_support import repair_imports

__version__ = "0.1.0"

repair_imports()
