"""``python -m brf_lava``, where the command is not on PATH."""

from brf_lava.cli import main

main(prog_name="brf-lava")
