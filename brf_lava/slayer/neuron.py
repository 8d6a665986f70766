"""``neuron.<n>.Neuron``: the neurons alone, as in lava-dl's ``slayer.neuron``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from brf_lava.neurons.families import NEURONS
from brf_lava.nn.neurons import neuron_class

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


for _name, _family in NEURONS.items():
    _space = ModuleType(f"{__name__}.{_name.lower()}", f"{_name} neurons alone, without weights.")
    _space.Neuron = neuron_class(_family)  # type: ignore[attr-defined]  # as in any module
    globals()[_name.lower()] = _space
