"""Surrogate derivatives of the spike's step function.

Both are sums of normal densities, positive near the threshold and slightly negative next to it. The
kernels bind `exp` to torch's, or to one that vectorizes.
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
NARROW_PEAK = 0.3989422804014327 / NARROW  # density of a normal distribution at its mean
WIDE_PEAK = 0.3989422804014327 / WIDE
NARROW_RATE = 0.5 / (NARROW * NARROW)
WIDE_RATE = 0.5 / (WIDE * WIDE)
INNER, OUTER = 1 + SHARE, 2 * SHARE  # named: next to a single one, an integer makes a double


def double_gaussian(s: Any) -> Any:
    """Higuchi et al. 2024: ``0.5 [(1+p) N(s; 0, 0.5) - 2p N(s; 0, 3)]``, used for their results."""
    narrow = NARROW_PEAK * exp(-NARROW_RATE * s * s)
    wide = WIDE_PEAK * exp(-WIDE_RATE * s * s)
    return SCALE * (INNER * narrow - OUTER * wide)


def multi_gaussian(s: Any) -> Any:
    """Yin et al. 2021: as above, with the wide part split into lobes at +0.5 and -0.5."""
    narrow = NARROW_PEAK * exp(-NARROW_RATE * s * s)
    right = WIDE_PEAK * exp(-WIDE_RATE * (s - SHIFT) * (s - SHIFT))
    left = WIDE_PEAK * exp(-WIDE_RATE * (s + SHIFT) * (s + SHIFT))
    return SCALE * (INNER * narrow - SHARE * (right + left))


SURROGATES: dict[str, Callable[[Any], Any]] = {
    "double-gaussian": double_gaussian,
    "multi-gaussian": multi_gaussian,
}
