"""The neurons of this package, one record each.

To add one: its step in `real.py` and in `fixed.py`, its adjoint in `adjoint.py`, a record here, its
process in `proc.neurons.process` and its program in `backends.loihi2.program`.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from typing import Any

from brf_lava.errors import ParameterError
from brf_lava.neurons import adjoint, boundary, fixed, real
from brf_lava.neurons.record import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Coefficient,
    Constant,
    Interval,
    Normal,
    Plane,
    Uniform,
)
from brf_lava.neurons.record import Neuron as Neuron

DT = Constant("dt", 0.01, POSITIVE, "seconds", stored=Interval(above=0, high=2), per_state=True)
THETA = Constant("theta", 1.0, POSITIVE, "state", of_state=True)
GAMMA = Constant("gamma", 0.9, FRACTION, "per step")  # decay of the refractory variable
BETA = Constant(
    "beta", 1.8, NOT_NEGATIVE, "threshold per adaptation", stored=Interval(0, high=8), of_state=True
)
# the ranges of S-MNIST in Higuchi et al. 2024
OMEGA = Uniform("omega", (15.0, 50.0), NOT_NEGATIVE, "rad/s", times_dt_below_1=True)
B_OFFSET = Uniform("b_offset", (0.1, 1.0), NOT_NEGATIVE, "1/s")

UNIT = Interval(low=0, high=1)
DAMPING = Coefficient("damping", Interval(low=-1, high=0), "dt * (p(omega) - b_offset)", times="dt")
FRICTION = Coefficient(
    "damping",
    UNIT,
    "2 * dt * damping",
    fixed="friction",
    factor=2,
    times="dt",
    stored=Interval(low=0, high=4),
)
ROTATION = Coefficient(
    "omega", FRACTION, "dt * omega in rad per step", fixed="rotation", times="dt", stored=UNIT
)
DECAY = Coefficient("decay", UNIT, "per step", stored=FRACTION)
ADAPTATION = Coefficient("adaptation", UNIT, "decay per step", stored=FRACTION)


EULER_PLANE = Plane(
    damping=boundary.divergence_boundary,
    formula=r"$p(\omega) = (\sqrt{1-(\delta\omega)^2}-1)/\delta$",
    bare=r"$-b_\mathrm{off}$",
    edge=r"$-p(\omega)$: RF diverges below",
    top=0.0,
)
HARMONIC_PLANE = Plane(
    damping=boundary.harmonic_boundary,
    formula=r"$\delta\omega^2/2$",
    bare=r"$b_\mathrm{off}$",
    edge=r"$\delta\omega^2/2$: damping of omega alone",
    top=1.0,  # where friction alone would overshoot
)


def _rf(omega: Any, b_offset: Any, constants: Any) -> Any:
    """The damping may lie beyond the divergence boundary."""
    return -b_offset, omega


def _brf(omega: Any, b_offset: Any, constants: Any) -> Any:
    return boundary.divergence_boundary(omega, constants.dt) - b_offset, omega


def _hrf(omega: Any, b_offset: Any, constants: Any) -> Any:
    return b_offset, omega


def _bhrf(omega: Any, b_offset: Any, constants: Any) -> Any:
    return boundary.harmonic_boundary(omega, constants.dt) + b_offset, omega


def _alif(tau_mem: Any, tau_adp: Any, constants: Any) -> Any:
    return exp(-1 / tau_mem), exp(-1 / tau_adp)


def _li(tau: Any, constants: Any) -> Any:
    return (exp(-1 / tau),)


def _of_resonator(rule: Any, coefficients: Any, constants: Any) -> Any:
    """The damping is what omega alone makes of it, plus or minus the offset."""
    damping, omega = coefficients
    bare, less = (rule(omega, offset, constants)[0] for offset in (0.0, 1.0))
    return omega, (damping - bare) / (less - bare)


def _of_leaky(rule: Any, coefficients: Any, constants: Any) -> Any:
    return tuple(-1 / log(decay or 1e-9) for decay in coefficients)


RF = Neuron(
    name="RF",
    states=("u", "v"),
    per_neuron=(DAMPING, ROTATION),
    parameters=(DT, THETA, OMEGA, B_OFFSET),
    rule=_rf,
    inverse=_of_resonator,
    real_step=real.rf_step,
    fixed_step=fixed.rf_step,
    adjoint_step=adjoint.rf_adjoint,
    real_constants=real.ResonatorConstants,
    fixed_constants=fixed.ResonatorConstants,
    weights_carry="dt",
    growth=boundary.growth_per_step,
    is_stable=boundary.is_stable,
    stabilize=boundary.stabilize_resonator,
    plane=EULER_PLANE,
)
BRF = replace(
    RF,
    name="BRF",
    states=("u", "v", "q"),
    parameters=(DT, THETA, OMEGA, B_OFFSET, GAMMA),
    rule=_brf,
    real_step=real.brf_step,
    fixed_step=fixed.brf_step,
    adjoint_step=adjoint.brf_adjoint,
    real_constants=real.BalancedConstants,
    fixed_constants=fixed.BalancedConstants,
    bare=RF,
)
HRF = replace(
    RF,
    name="HRF",
    states=("u", "w"),
    per_neuron=(FRICTION, ROTATION),
    rule=_hrf,
    real_step=real.hrf_step,
    fixed_step=fixed.hrf_step,
    adjoint_step=adjoint.hrf_adjoint,
    growth=boundary.harmonic_growth_per_step,
    is_stable=boundary.is_harmonic_stable,
    stabilize=boundary.stabilize_harmonic,
    plane=HARMONIC_PLANE,
)
BHRF = replace(
    HRF,
    name="BHRF",
    states=("u", "w", "q"),
    parameters=BRF.parameters,
    rule=_bhrf,
    real_step=real.bhrf_step,
    fixed_step=fixed.bhrf_step,
    adjoint_step=adjoint.bhrf_adjoint,
    real_constants=BRF.real_constants,
    fixed_constants=BRF.fixed_constants,
    bare=HRF,
)
ALIF = Neuron(
    name="ALIF",
    states=("u", "a", "z"),
    per_neuron=(DECAY, ADAPTATION),
    parameters=(
        replace(THETA, default=0.01),
        BETA,
        Normal("tau_mem", 20.0, 5.0, "steps"),
        Normal("tau_adp", 150.0, 10.0, "steps"),
    ),
    rule=_alif,
    inverse=_of_leaky,
    real_step=real.alif_step,
    fixed_step=fixed.alif_step,
    adjoint_step=adjoint.alif_adjoint,
    real_constants=real.ALIFConstants,
    fixed_constants=fixed.ALIFConstants,
    leak="decay",
    state_units={"a": 1 << fixed.ADAPTATION_BITS, "z": 1},
)
LI = Neuron(
    name="LI",
    states=("o",),
    per_neuron=(DECAY,),
    parameters=(Normal("tau", 20.0, 5.0, "steps"),),
    rule=_li,
    inverse=_of_leaky,
    real_step=real.li_step,
    fixed_step=fixed.li_step,
    adjoint_step=adjoint.li_adjoint,
    real_constants=real.LIConstants,
    fixed_constants=fixed.LIConstants,
    spiking=False,
    leak="decay",
)
NEURONS: dict[str, Neuron] = {neuron.name: neuron for neuron in (RF, BRF, HRF, BHRF, ALIF, LI)}
SPIKING: dict[str, Neuron] = {n.name: n for n in NEURONS.values() if n.spiking}
READOUT = LI  # of all networks
DEFAULT = BRF  # where none is named


def find_neuron(name: str) -> Neuron:
    """The record of a neuron by its name. Raises: ParameterError listing the names there are."""
    if name not in NEURONS:
        raise ParameterError(f"neuron {name!r} is not known; choose one of {', '.join(NEURONS)}.")
    return NEURONS[name]
