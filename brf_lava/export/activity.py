"""One layer over a batch, in real numbers and in integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brf_lava.kernels import loop
from brf_lava.network.layers import FixedLayer, RealLayer


def run_real(layer: RealLayer, signal: Any, *, keep_states: bool = False) -> tuple[Any, Any]:
    """Outputs [T, B, N] for inputs [T, B, I], and the states as `loop.forward` returns them."""
    return loop.forward(
        layer.neuron,
        signal,
        layer.weights,
        layer.recurrent,
        layer.coefficients,
        layer.constants,
        integers=False,
        keep_states=keep_states,
    )


def run_fixed(layer: FixedLayer, signal: Any) -> Any:
    """Outputs [T, B, N] for inputs [T, B, I]."""
    outputs, _ = loop.forward(
        layer.neuron,
        signal,
        layer.weights.integers,
        None if layer.recurrent is None else layer.recurrent.integers,
        layer.coefficients,
        layer.constants,
        integers=True,
        keep_states=False,
    )
    return outputs


def run_all(layers: Sequence[RealLayer], signal: Any) -> Any:
    """The outputs of the last of these layers; `signal` itself if there are none."""
    for layer in layers:
        signal, _ = run_real(layer, signal)
    return signal
