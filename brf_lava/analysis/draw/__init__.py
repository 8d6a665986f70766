"""The pictures: each function draws one dataclass of `brf_lava.analysis` into a given figure."""
