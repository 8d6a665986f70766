"""What a layer carries from one step to the next, for a sequence that comes in pieces."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Memory(NamedTuple):
    """A layer after its last step. Detached: gradients do not pass from piece to piece."""

    states: Tensor  # [S, B, N], in the order of ``neuron.states``
    output: Tensor  # [B, N], what recurrent weights hear in the next step
