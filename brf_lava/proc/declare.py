"""Python models of a process, in integers and real numbers, from one class that does the work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

SYSTEMS = {"fixed": ("Fixed", "fixed_pt"), "real": ("Floating", "floating_pt")}  # name and tag


def python_models(process: type, work: type, **types: tuple[Any, Any, Any]) -> Iterator[Any]:
    """The models in integers and in real numbers, to be named in a module next to the process.

    work: their `run_spk`; its `number_system` is "fixed" or "real". types: of each port or variable
    its class, and what it holds in integers and in real numbers.
    """
    for index, (system, (kind, mark)) in enumerate(SYSTEMS.items(), start=1):
        declared = {name: LavaPyType(each[0], each[index]) for name, each in types.items()}
        attributes = {"__module__": work.__module__, "number_system": system, **declared}
        model = type(f"{kind}{process.__name__}Model", (work,), attributes)
        yield implements(process, LoihiProtocol)(requires(CPU)(tag(mark)(model)))
