"""The divergence boundary of a resonator: the damping at which it neither grows nor decays.

One step of `real.brf_step` without input and without refractory current multiplies ``u + iv`` by
``1 + dt (b + i omega)``. Its modulus is 1 at ``b = p(omega)`` (Higuchi et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from brf_lava.errors import ParameterError


def divergence_boundary(omega: Any, dt: Any) -> Any:
    """Damping ``p(omega)`` at the edge of stability, in 1/s; never positive.

    omega: angular frequency, rad/s, with ``dt * omega < 1`` (see `check_omega`).
    dt: step of this very cell, s. Works on floats, NumPy arrays and torch tensors.
    """
    return ((1 - (dt * omega) ** 2) ** 0.5 - 1) / dt


def harmonic_boundary(omega: Any, dt: Any) -> Any:
    """Damping ``dt omega**2 / 2`` of a BHRF neuron without offset, in 1/s (Higuchi et al. 2024).

    One step of `real.hrf_step` without input multiplies areas of its state space by ``1 - 2 dt b``,
    and no state grows for b from 0 to ``1 / dt - dt omega**2 / 4``; this one is on the safe side.
    """
    return 0.5 * dt * omega**2


def check_omega(omega: Iterable[float], dt: float, where: str = "omega") -> None:
    """Refuse angular frequencies for which no stable damping exists.

    Raises: ParameterError naming the first neuron with ``|dt * omega| >= 1`` or a value that is not
    a number.
    """
    for index, value in enumerate(omega):
        if not dt * abs(float(value)) < 1:  # also catches NaN
            raise ParameterError(
                f"{where}: {float(value):g} rad/s at neuron {index}; dt*omega must stay below 1 "
                f"(dt = {dt:g}, so omega < {1 / dt:g}). Lower omega or dt."
            )


def growth_per_step(damping: float, rotation: float) -> float:
    """By how much a step of `real.rf_step` without input stretches every state.

    damping, rotation: dt * damping and dt * omega.
    """
    return float(abs(complex(1 + damping, rotation)))


def harmonic_growth_per_step(friction: float, rotation: float) -> float:
    """By how much a step of `real.hrf_step` without input stretches a state in the long run.

    The larger root of its matrix, of determinant ``1 - friction`` and trace ``2 - friction -
    rotation**2``. friction, rotation: 2 * dt * damping and dt * omega.
    """
    half, area = 1 - (friction + rotation**2) / 2, 1 - friction
    if half**2 > area:  # two real roots
        return float(abs(half) + (half**2 - area) ** 0.5)
    return float(area**0.5)


def is_harmonic_stable(friction: int, rotation: int, one: int) -> bool:
    """Whether both roots of a step of `fixed.hrf_step` lie inside the unit circle: it rests."""
    return friction > 0 and rotation**2 + 2 * friction * one < 4 * one**2


def stabilize_harmonic(friction: int, rotation: int, one: int) -> tuple[int, int]:
    """The stable integers (friction, rotation) nearest to these, by their friction alone."""
    return max(1, min(friction, (4 * one**2 - rotation**2 - 1) // (2 * one))), rotation


def is_stable(damping: int, rotation: int, one: int) -> bool:
    """Whether ``|1 + damping/one + i rotation/one| < 1``, decided in integers."""
    return (one + damping) ** 2 + rotation**2 < one**2


def stabilize_resonator(damping: int, rotation: int, one: int) -> tuple[int, int]:
    """The stable integers (damping, rotation) nearest to these, by the sum of their changes.

    damping: -one or more, rotation: 0 or more; then stronger damping and slower rotation lead
    there. The frequency is changed last. Raises: ParameterError for other integers.
    """
    if damping < -one or rotation < 0:
        raise ParameterError(
            f"resonator: damping {damping}, rotation {rotation}; at least {-one} and 0 are needed."
        )
    change = 0
    while True:
        for slower in range(change + 1):
            candidate = (damping - (change - slower), rotation - slower)
            if is_stable(*candidate, one):
                return candidate
        change += 1
