"""Where a network runs: the integer engine, Lava on this computer, Loihi 2."""
