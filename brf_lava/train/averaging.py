"""An exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch

from brf_lava.train.model import Network


class AveragedNetwork:
    """A twin of a network in training, whose weights are the mean of those it had.

    After n updates the weights of update i count in proportion to ``decay ** (n - i)``, and these
    shares add up to 1: what the network started with does not count.

    decay: per update, above 0 and below 1.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.updates = 0

    def update(self, network: Network) -> None:
        """Take in the weights that `network` has now."""
        self.updates += 1
        share = (1 - self.decay) / (1 - self.decay**self.updates)
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        with torch.no_grad():
            for mean, weight in pairs:
                mean.lerp_(weight, share)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]
