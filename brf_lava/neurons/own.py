"""A neuron of the user's own: a record in a Python file, named ``FILE.py:NAME``.

Reading it runs the file. So it is read where the user names it, in a recipe or a command; where a
model or network file names it, only if it is still, byte for byte, the file it was made with.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from brf_lava.errors import ParameterError, explained
from brf_lava.neurons import real
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.record import Neuron, Normal, Source, Uniform
from brf_lava.neurons.surrogate import double_gaussian

REFERENCE = re.compile(r"(?P<file>[^:]*\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}")
VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
MOST = 3  # states and coefficients, each; the compiled loop keeps them in registers
FORMAT = {"state_bits": 14, "parameter_bits": 16}
UNIT = {"unit": 1 << FORMAT["state_bits"]}  # may be among the integer constants
RESERVED = frozenset(  # by Lava's processes, torch's modules and network files
    (
        *("a_in", "s_out", "o_out", "name", "type", "vars", "samples", "constants", "probe"),
        *("blanks", "microcode", "neuron", "neurons", "generator", "shape", "family", "training"),
        *("surrogate", "requires_grad", "shared_param", "persistent_state", "forward", "run"),
        *("parameters", "coefficients", "id", "stop", "wait", "pause", "proc_params", "register"),
        *("time_step", "number_system", "weight", "recurrent_weight", "half", "double", "float"),
    )
)


def is_reference(name: str) -> bool:
    """Whether this names a neuron of the user's own."""
    return REFERENCE.fullmatch(name) is not None


def load_neuron(reference: str, folders: Sequence[Path], sha256: str | None = None) -> Neuron:
    """The record that a reference such as ``my_neuron.py:GBRF`` names.

    Args:
        reference: The path of a Python file and the name of a `Neuron` in it.
        folders: Where the path may start from, in order.
        sha256: Of the file that a model or network was made with. A file with another is not run;
            with the right one it may also lie in one of the folders itself.

    Raises:
        ParameterError: If the file is missing, has changed or fails, or the record is not complete.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise ParameterError(f"{reference}: not of the form FILE.py:NAME, such as gbrf.py:GBRF.")
    wanted = Path(match["file"])
    names = [wanted] if sha256 is None else [wanted, Path(wanted.name)]
    places = list(dict.fromkeys(folder / name for name in names for folder in folders))
    files = [place for place in places if os.path.isfile(place)]  # False where it may not look
    if not files:
        raise ParameterError(
            f"{reference}: no such file, looked for at {', '.join(map(str, places))}. It holds the "
            "neuron's equations: put it there."
        )
    for path in files:
        source = path.read_bytes()
        digest = hashlib.sha256(source).hexdigest()
        if sha256 in (None, digest):
            return _load(path, source, Source(str(path), match["name"], digest))
    raise ParameterError(
        f"{files[0]}: not the file that this was made with (SHA-256 {str(sha256)[:12]}..., now "
        f"{digest[:12]}...), so it is not run. Restore it, or train and export again."
    )


LOADED: dict[str, Neuron] = {}  # the user's own neurons by name, each as it was read last


@cache
def _load(path: Path, code: bytes, source: Source) -> Neuron:
    module = ModuleType(f"brf_lava_own_{source.sha256[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look
    with explained(ParameterError, path, "Correct it."):
        exec(compile(code, str(path), "exec"), vars(module))
    record = getattr(module, source.name, None)
    if not isinstance(record, Neuron):
        kind = "no name in it" if record is None else type(record).__name__
        names = [name for name, value in vars(module).items() if isinstance(value, Neuron)]
        raise ParameterError(
            f"{path}: {source.name} is {kind}; a Neuron of brf_lava.neurons.record is needed. "
            f"There is {', '.join(names) or 'none'}."
        )
    where = f"{path}: {source.name}"
    if problem := next(_problems(record), None):
        raise ParameterError(f"{where}: {problem} is needed. Correct the record.")
    with explained(ParameterError, where, "Correct it."):
        _try_steps(record)
    LOADED[record.name] = replace(record, source=source)
    return LOADED[record.name]


def _problems(record: Neuron) -> Iterator[str]:
    """What a record has in place of what it needs."""
    if not NAME.fullmatch(record.name):
        yield f"name {record.name!r}; 1 to 10 letters and digits"
    if record.name in NEURONS:
        yield f"name {record.name}; another than those of brf_lava"
    if not record.spiking:
        yield "spiking=False; a hidden layer that spikes"
    for kind, sizes in (("states", record.states), ("coefficients", record.per_neuron)):
        if not 1 <= len(sizes) <= MOST:
            yield f"{len(sizes)} {kind}; 1 to {MOST}"
    shared = [constant.name for constant in record.constants]
    variables = [*record.states, *record.fixed_coefficients, *shared]
    names = [*variables, *(each.name for each in record.trained)]
    if not all(VARIABLE.fullmatch(each) and each not in RESERVED for each in names):
        yield f"names {', '.join(names)}; lower-case ones other than {', '.join(sorted(RESERVED))}"
    if len(set(variables)) < len(variables):
        yield f"names {', '.join(variables)}; different ones"
    real_fields = set(_fields(record.real_constants))
    fixed_fields = set(_fields(record.fixed_constants))
    if not real_fields <= set(shared):
        yield f"real constants {', '.join(sorted(real_fields))}; a Constant for each of them"
    if not set(FORMAT) <= fixed_fields <= {*FORMAT, *UNIT, *shared}:
        yield (
            f"integer constants {', '.join(sorted(fixed_fields))}; {', '.join(sorted(FORMAT))}, "
            "and a Constant for each other one"
        )
    if record.leak and record.leak not in record.coefficients:
        yield f"leak {record.leak!r}; one of its coefficients"
    factors = {record.weights_carry, *(each.times for each in record.per_neuron)}
    if any(isinstance(each, Uniform) and each.times_dt_below_1 for each in record.trained):
        factors.add("dt")
    if not factors <= {"", *real_fields}:
        yield f"weights_carry and times {', '.join(sorted(factors))}; real constants"
    if not _calls(record.real_step, "spike", real.spike):
        yield "real_step without spike(...); that of brf_lava.neurons.real, called by this name,"
    adjoint = record.adjoint_step
    if adjoint is not None and not _calls(adjoint, "derivative", double_gaussian):
        yield (
            "adjoint_step without derivative(...); double_gaussian of brf_lava.neurons.surrogate, "
            "called by this name,"
        )


def _fields(constants: Any) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(constants, "_fields", ())
    return fields


def _calls(step: Any, name: str, function: Any) -> bool:
    """Whether a step calls a function by the global name under which training binds another."""
    code = getattr(step, "__code__", None)
    return code is not None and name in code.co_names and step.__globals__.get(name) is function


def _try_steps(record: Neuron) -> None:
    """Two steps from rest in both number systems, as the initial values allow."""
    values = {constant.name: constant.default for constant in record.constants}
    trained = [
        each.mean if isinstance(each, Normal) else sum(each.default) / 2 for each in record.trained
    ]
    constants = record.real_constants(*(values[name] for name in _fields(record.real_constants)))
    coefficients = tuple(record.rule(*trained, constants))
    one, formats = 1 << FORMAT["parameter_bits"], {**FORMAT, **UNIT}
    integers = {c.name: round(c.default * c.scale(**formats)) for c in record.constants} | formats
    fixed = record.fixed_constants(*(integers[name] for name in _fields(record.fixed_constants)))
    scaled = tuple(
        round(spec.scale(constants) * value * one)
        for spec, value in zip(record.per_neuron, coefficients, strict=True)
    )
    zeros = (0,) * len(record.states)
    rest = tuple(map(float, zeros))
    for step, state, given, shared in (
        (record.real_step, rest, coefficients, constants),
        (record.fixed_step, zeros, scaled, fixed),
    ):
        for _ in range(2):  # the second finds out that the first left out a state
            state, _ = step(state, state[0] + 1, given, shared)
    if record.adjoint_step is not None:
        record.adjoint_step(rest, rest, coefficients, constants, rest, 1.0)
