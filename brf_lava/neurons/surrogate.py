"""Surrogate derivatives of the spike's step function.

Both are sums of normal densities, positive near the threshold and slightly negative next to it. The
kernels bind `exp` to torch's, or to one that vectorizes, and the compiled ones the numbers below to
single precision; an integer would turn that into double, see `real`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

SHARE = 0.15  # p: weight of the negative side
NARROW = 0.5  # sigma 1
WIDE = 3.0  # sigma 2
SHIFT = 0.5  # center of the side lobes of the multi-Gaussian
SCALE = 0.5
DENSITY = 0.3989422804014327  # of a normal distribution at its mean, times sigma
NARROW_PEAK = SCALE * (1 + SHARE) * DENSITY / NARROW
WIDE_PEAK = SCALE * SHARE * DENSITY / WIDE
NARROW_RATE = -0.5 / (NARROW * NARROW)
WIDE_RATE = -0.5 / (WIDE * WIDE)


def double_gaussian(s: Any) -> Any:
    """Higuchi et al. 2024: ``0.5 [(1+p) N(s; 0, 0.5) - 2p N(s; 0, 3)]``, used for their results."""
    wide = WIDE_PEAK * exp(WIDE_RATE * s * s)
    return NARROW_PEAK * exp(NARROW_RATE * s * s) - (wide + wide)


def multi_gaussian(s: Any) -> Any:
    """Yin et al. 2021: as above, with the wide part split into lobes at +0.5 and -0.5."""
    right = WIDE_PEAK * exp(WIDE_RATE * (s - SHIFT) * (s - SHIFT))
    left = WIDE_PEAK * exp(WIDE_RATE * (s + SHIFT) * (s + SHIFT))
    return NARROW_PEAK * exp(NARROW_RATE * s * s) - (right + left)


SURROGATES: dict[str, Callable[[Any], Any]] = {
    "double-gaussian": double_gaussian,
    "multi-gaussian": multi_gaussian,
}
