"""The command line. Each command reads its arguments, calls the library and shows the result.

Heavy libraries are imported inside the commands, so that ``brf-lava --help`` answers at once.
"""

from brf_lava.cli.main import main

__all__ = ["main"]
