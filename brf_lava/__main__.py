"""The command ``brf-lava``, and ``python -m brf_lava`` where that is not on PATH."""

from __future__ import annotations

import sys

from brf_lava.errors import INTERRUPTED


def main() -> None:
    """Run the command. Ctrl-C ends it quietly while it is still being imported, too."""
    try:
        from brf_lava.cli import main as command

        command(prog_name="brf-lava")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
