"""A block's weights under the names that SLAYER's tools and scripts look for."""

from __future__ import annotations

from torch import Tensor

from brf_lava.nn.blocks import Block, Hook


class Synapse:
    """A view of one weight matrix of `block`; it holds nothing of its own.

    name: "weight" or "recurrent_weight".
    """

    complex = False

    def __init__(self, block: Block, name: str) -> None:
        self.block = block
        self.name = name

    @property
    def weight(self) -> Tensor:
        """[out, in], before ``pre_hook_fx``."""
        weight: Tensor = getattr(self.block, self.name)
        return weight

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.weight.shape)

    @property
    def in_channels(self) -> int:
        return self.shape[1]

    @property
    def out_channels(self) -> int:
        return self.shape[0]

    @property
    def weight_norm_enabled(self) -> bool:
        return self.block.weight_norm_enabled

    @property
    def pre_hook_fx(self) -> Hook | None:
        """Of the whole block; can be set."""
        return self.block.pre_hook_fx

    @pre_hook_fx.setter
    def pre_hook_fx(self, hook: Hook | None) -> None:
        self.block.pre_hook_fx = hook

    @property
    def grad_norm(self) -> float:
        """Norm of what is learned's gradient over how many values it has; 0 without gradient.

        With weight norm that of the lengths alone, as in SLAYER.
        """
        learned = self.weight
        if self.weight_norm_enabled:
            learned = getattr(self.block.parametrizations, self.name).original0
        return 0.0 if learned.grad is None else float(learned.grad.norm()) / learned.grad.numel()
