"""The examples run, and show what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brf_lava.neurons import real
from brf_lava.neurons.boundary import divergence_boundary

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str) -> str:
    """What it prints; takes up to 30 s on an idle machine."""
    return subprocess.check_output([sys.executable, EXAMPLES / name], text=True, timeout=240)


@pytest.mark.slow
def test_train_export_run() -> None:
    output = run("train_export_run.py")
    shares = [float(line.split()[2].rstrip("%")) for line in output.splitlines()]
    assert shares[0] > 60  # of a synthetic ECG after five epochs; a guess would be 36
    assert abs(shares[1] - shares[0]) < 5
    assert shares[2] > 80


def test_lava_by_hand() -> None:
    """The spikes are those of the equation, one step later: a dense connection takes one."""
    output = run("lava_by_hand.py")
    constants = real.BalancedConstants(0.01, 1.0, 0.9)
    state, spikes = (0.0, 0.0, 0.0), []
    for t in range(799):
        state, z = real.brf_step(
            state, 400.0 * (t == 0), (divergence_boundary(2.0, 0.01) - 0.1, 2.0), constants
        )
        spikes.append(z)
    expected = (1 + np.flatnonzero(spikes)).tolist()
    assert len(expected) > 3
    assert output == f"{len(expected)} spikes, at steps {expected}\n"
