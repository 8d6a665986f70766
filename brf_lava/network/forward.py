"""One layer over a batch, in real numbers or in integers."""

from __future__ import annotations

from typing import Any

from brf_lava.kernels import loop
from brf_lava.network.layers import FixedLayer, RealLayer


def forward(
    layer: RealLayer | FixedLayer, x: Any, *, keep_states: bool = False, **start: Any
) -> tuple[Any, Any]:
    """Run a layer; x [T, B, I]. start: `initial` and `before` of `loop.forward`. Returns as it."""
    weights: Any = layer.weights
    recurrent: Any = layer.recurrent
    integers = isinstance(layer, FixedLayer)
    if integers:
        weights = weights.integers
        recurrent = None if recurrent is None else recurrent.integers
    return loop.forward(
        layer.neuron,
        weights,
        recurrent,
        layer.coefficients,
        layer.constants,
        x,
        integers=integers,
        keep_states=keep_states,
        **start,
    )
