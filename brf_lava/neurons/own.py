"""A neuron of the user's own: a record in a Python file, named ``FILE.py:NAME``.

Reading it runs the file. So it is read where the user names it, in a recipe or a command; where a
model or network file names it, only if it is still, byte for byte, the file it was made with.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from brf_lava.errors import BrfLavaError, ParameterError
from brf_lava.neurons import real
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.record import Neuron, Normal, Source, Uniform
from brf_lava.neurons.surrogate import double_gaussian

REFERENCE = re.compile(r"(?P<file>[^:]*\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}")
VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
MOST = 3  # states and coefficients, each; the compiled loop keeps them in registers
FORMAT = {"state_bits": 14, "parameter_bits": 16, "input_gain": 1}
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
        reference: the path of a Python file and the name of a `Neuron` in it.
        folders: where the path may start from, in order.
        sha256: of the file that a model or network was made with. A file with another is not run;
            with the right one it may also lie in one of the folders itself.

    Raises:
        ParameterError: if the file is missing, has changed or fails, or the record is not complete.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise ParameterError(f"{reference}: not of the form FILE.py:NAME, such as gbrf.py:GBRF.")
    wanted = Path(match["file"])
    places = [place / wanted for place in folders]
    if sha256 is not None:
        places += [place / wanted.name for place in folders]
    places = list(dict.fromkeys(places))
    there = [place for place in places if os.path.isfile(place)]  # False where it may not look
    if not there:
        raise ParameterError(
            f"{reference}: no such file, looked for at {', '.join(map(str, places))}. It holds the "
            "neuron's equations: put it there."
        )
    for path in there:
        try:
            source = path.read_bytes()
        except OSError as error:
            raise ParameterError(f"{path}: cannot be read ({error.strerror}).") from None
        digest = hashlib.sha256(source).hexdigest()
        if sha256 in (None, digest):
            return _load(path, source, match["name"])
    raise ParameterError(
        f"{there[0]}: not the file that this was made with (SHA-256 {str(sha256)[:12]}..., now "
        f"{digest[:12]}...), so it is not run. Restore it, or train and export again."
    )


_LOADED: dict[str, Neuron] = {}


def is_loaded(name: str) -> bool:
    """Whether one of the user's own neurons that were read has this name."""
    return name in _LOADED


def loaded(name: str) -> Neuron:
    """The user's own neuron of this name that was read last."""
    return _LOADED[name]


@cache
def _load(path: Path, source: bytes, name: str) -> Neuron:
    digest = hashlib.sha256(source).hexdigest()
    module = ModuleType(f"brf_lava_own_{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except BrfLavaError as error:
        raise ParameterError(f"{path}: {error}") from error
    except Exception as error:
        raise _failure(f"{path}", error) from error
    record = getattr(module, name, None)
    if not isinstance(record, Neuron):
        names = [key for key, value in vars(module).items() if isinstance(value, Neuron)]
        raise ParameterError(
            f"{path}: {name} is {'no name in it' if record is None else type(record).__name__}; a "
            f"Neuron of brf_lava.neurons.record is needed. There is {', '.join(names) or 'none'}."
        )
    _check(record, f"{path}: {name}")
    own = replace(record, source=Source(str(path), name, digest))
    _LOADED[own.name] = own
    return own


def _failure(where: str, error: Exception) -> ParameterError:
    text = " ".join(str(error).split())
    return ParameterError(f"{where}: {type(error).__name__}: {text}. Correct it.")


def _check(record: Neuron, where: str) -> None:
    """Raises: ParameterError for what a record lacks, and for steps that do not run."""
    for good, problem in (*_names(record), *_constants(record), *_functions(record)):
        if not good:
            raise ParameterError(f"{where}: {problem} is needed. Correct the record.")
    _try_steps(record, where)


Test = tuple[object, str]  # what must be true, and what it is if not, and what is needed


def _names(record: Neuron) -> tuple[Test, ...]:
    variables = [
        *(*record.states, *record.fixed_coefficients),
        *(constant.name for constant in record.constants),
    ]
    names = [*variables, *(each.name for each in record.trained)]
    states, coefficients = len(record.states), len(record.per_neuron)
    return (
        (NAME.fullmatch(record.name), f"name {record.name!r}; 1 to 10 letters and digits"),
        (record.name not in NEURONS, f"name {record.name}; another than those of brf_lava"),
        (record.spiking, "spiking=False; a hidden layer that spikes"),
        (1 <= states <= MOST, f"{states} states; 1 to {MOST}"),
        (1 <= coefficients <= MOST, f"{coefficients} coefficients; 1 to {MOST}"),
        (
            all(VARIABLE.fullmatch(each) and each not in RESERVED for each in names),
            f"names {', '.join(names)}; lower-case ones other than {', '.join(sorted(RESERVED))}",
        ),
        (len(set(variables)) == len(variables), f"names {', '.join(variables)}; different ones"),
    )


def _constants(record: Neuron) -> tuple[Test, ...]:
    real_fields = set(getattr(record.real_constants, "_fields", ()))
    fixed_fields = set(getattr(record.fixed_constants, "_fields", ()))
    shared = {constant.name for constant in record.constants}
    bits = {"state_bits", "parameter_bits", *(("input_gain",) if record.leak else ())}
    factors = [each.times for each in record.per_neuron]
    if any(isinstance(each, Uniform) and each.times_dt_below_1 for each in record.trained):
        factors.append("dt")
    return (
        (
            real_fields <= shared,
            f"real constants {', '.join(sorted(real_fields))}; a Constant for each of them",
        ),
        (
            bits <= fixed_fields <= bits | shared,
            f"integer constants {', '.join(sorted(fixed_fields))}; {', '.join(sorted(bits))}, and "
            "a Constant for each other one",
        ),
        (
            not record.leak or record.leak in record.coefficients,
            f"leak {record.leak!r}; one of its coefficients",
        ),
        (
            {record.weights_carry, *factors} <= {"", *real_fields},
            f"weights_carry {record.weights_carry!r} and times {factors}; real constants",
        ),
    )


def _functions(record: Neuron) -> tuple[Test, ...]:
    adjoint = record.adjoint_step
    return (
        (
            _calls(record.real_step, "spike", real.spike),
            "real_step without spike(...); that of brf_lava.neurons.real, called by this name,",
        ),
        (
            adjoint is None or _calls(adjoint, "derivative", double_gaussian),
            "adjoint_step without derivative(...); double_gaussian of brf_lava.neurons.surrogate, "
            "called by this name,",
        ),
    )


def _calls(step: Any, name: str, function: Any) -> bool:
    """Whether a step calls a function by the global name under which training binds another."""
    code = getattr(step, "__code__", None)
    return code is not None and name in code.co_names and step.__globals__.get(name) is function


def _try_steps(record: Neuron, where: str) -> None:
    """One step from rest in both number systems, as the initial values allow."""
    values = {constant.name: constant.default for constant in record.constants}
    trained = [
        each.mean if isinstance(each, Normal) else sum(each.default) / 2 for each in record.trained
    ]
    try:
        constants = record.real_constants(*(values[name] for name in _fields(record, "real")))
        coefficients = tuple(record.rule(*trained, constants))
        one, unit = 1 << FORMAT["parameter_bits"], 1 << FORMAT["state_bits"]
        integers = {
            c.name: round(c.default * (unit if c.of_state else one)) for c in record.constants
        }
        fixed = record.fixed_constants(
            *({**integers, **FORMAT}[name] for name in _fields(record, "fixed"))
        )
        scaled = tuple(
            round(spec.scale(constants) * value * one)
            for spec, value in zip(record.per_neuron, coefficients, strict=True)
        )
        rest = (0,) * len(record.states)
        for step, state, given, shared in (
            (record.real_step, tuple(map(float, rest)), coefficients, constants),
            (record.fixed_step, rest, scaled, fixed),
        ):
            states, _ = step(state, state[0] + 1, given, shared)
            if len(states) != len(rest):
                raise ValueError(f"{step.__name__} returns {len(states)} of {len(rest)} states")
        if record.adjoint_step is not None:
            state = tuple(map(float, rest))
            into = record.adjoint_step(state, state, coefficients, constants, state, 1.0)
            if (len(into[0]), len(into[2])) != (len(rest), len(coefficients)):
                raise ValueError("adjoint_step returns gradients of other states or coefficients")
    except Exception as error:
        raise _failure(where, error) from error


def _fields(record: Neuron, number_system: str) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(record, f"{number_system}_constants")._fields
    return fields
