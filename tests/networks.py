"""Random networks for tests, over the whole range that the fixed point allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg import synthetic
from brf_lava.io.seal import LENGTH, MARK, seal
from brf_lava.network.layers import WEIGHT_MAX, WEIGHT_MIN, Connection, FixedLayer, FixedNetwork
from brf_lava.neurons import families
from brf_lava.neurons.boundary import divergence_boundary, harmonic_boundary

DT = 0.01  # s
OMEGA = (3.0, 30.0)  # rad/s
B_OFFSET = (0.1, 1.0)  # 1/s
GAMMA = 0.9
TAU = (5.0, 20.0)  # steps


def random_connection(
    rng: np.random.Generator, outputs: int, inputs: int, exponent: int
) -> Connection:
    """Weights over the full range, both limits included where there is room."""
    mantissa = rng.integers(WEIGHT_MIN, WEIGHT_MAX + 1, (outputs, inputs)).astype(np.int8)
    mantissa.flat[0] = WEIGHT_MIN
    mantissa.flat[-1] = WEIGHT_MAX
    return Connection(mantissa, exponent)


def random_network(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    neuron: families.Neuron | Sequence[families.Neuron] = families.BRF,
    recurrent: bool | Sequence[bool] = True,
    exponent: int = 7,
    state_bits: int = 14,
    parameter_bits: int = 16,
    input_range: tuple[int, int] = (0, 1),
) -> FixedNetwork:
    """Spiking layers and a readout of leaky integrators.

    sizes:     inputs, neurons of each hidden layer, classes
    neuron:    of all hidden layers, or one by one
    recurrent: of all hidden layers, or one by one
    exponent:  of input and readout weights; recurrent ones have two less. ALIF, whose input gain
               is about a sixteenth, gets up to four more. At 7 a quarter of the neurons spikes now
               and then, from about 13 on states saturate
    """
    hidden = len(sizes) - 2
    kinds = [neuron] * hidden if isinstance(neuron, families.Neuron) else list(neuron)
    loops = [recurrent] * hidden if isinstance(recurrent, bool) else list(recurrent)
    kinds, loops = [*kinds, families.LI], [*loops, False]
    layers = []
    for kind, inputs, neurons, loop in zip(kinds, sizes[:-1], sizes[1:], loops, strict=True):
        leaky = kind.spiking and "decay" in kind.fixed_coefficients
        own = min(exponent + 4, max(exponent, 11)) if leaky else exponent
        weights = random_connection(rng, neurons, inputs, own)
        back = random_connection(rng, neurons, neurons, max(0, own - 2)) if loop else None
        real = random_coefficients(rng, kind, neurons)
        integers = np.rint(real * 2**parameter_bits).astype(np.int64)
        constants = fixed_constants(kind, state_bits, parameter_bits)
        layers.append(FixedLayer(kind, weights, back, integers, constants))
    return FixedNetwork(tuple(layers), input_range=input_range)


def random_coefficients(
    rng: np.random.Generator, neuron: families.Neuron, neurons: int
) -> NDArray[np.float64]:
    """What the fixed coefficients stand for, [P, N]; all neurons stable."""
    if "rotation" not in neuron.fixed_coefficients:
        return np.exp(-1 / rng.uniform(*TAU, (len(neuron.fixed_coefficients), neurons)))
    omega, offset = rng.uniform(*OMEGA, neurons), rng.uniform(*B_OFFSET, neurons)
    if "friction" in neuron.fixed_coefficients:
        return np.stack([2 * DT * (harmonic_boundary(omega, DT) + offset), DT * omega])
    return np.stack([DT * (divergence_boundary(omega, DT) - offset), DT * omega])


def fixed_constants(neuron: families.Neuron, state_bits: int, parameter_bits: int) -> Any:
    """Its integer constants; threshold 1 and adaptation strength 1.8."""
    values = {
        "dt": round(DT * 2**parameter_bits),
        "theta": 1 << state_bits,
        "gamma": round(GAMMA * 2**parameter_bits),
        "beta": round(1.8 * 2**state_bits),
        "unit": 1 << state_bits,
        "state_bits": state_bits,
        "parameter_bits": parameter_bits,
    }
    kind: Any = neuron.fixed_constants
    return kind(*(values[name] for name in kind._fields))


def random_spikes(
    rng: np.random.Generator, steps: int, samples: int, inputs: int, rate: float = 0.1
) -> NDArray[np.int8]:
    """[T, B, I] int8."""
    return (rng.random((steps, samples, inputs)) < rate).astype(np.int8)


def random_inputs(
    rng: np.random.Generator, steps: int, samples: int, inputs: int, dtype: type = np.uint8
) -> NDArray[Any]:
    """Graded inputs [T, B, I] over the whole range of an 8-bit type, a third of them zero."""
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (steps, samples, inputs))
    x[rng.random(x.shape) < 1 / 3] = 0
    return x.astype(dtype)


def short_ecg() -> Dataset:
    """A second of the synthetic ECG."""
    train, test = (
        Split(split.x[:, :200].copy(), split.y[:, :200].copy())
        for split in synthetic.generate(train=12, test=3, seed=4)
    )
    source = DataSource("synthetic-ecg", "a short synthetic ECG", fingerprint(train, test))
    return Dataset("ecg", ("P", "PQ", "QR", "RS", "ST", "TP"), 1 / 250, train, test, source)


def give_commands(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """As the data of their task."""
    monkeypatch.setattr("brf_lava.cli.options.DataOptions.load", lambda *_: dataset)


SPIKING = [neuron for neuron in families.NEURONS.values() if neuron.spiking]


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """A network file to write to; what comes out has a seal again."""
    with h5py.File(path, "r+") as file:
        yield file
    content = path.read_bytes()
    content = content[:-LENGTH] if has_mark(content) else content
    path.write_bytes(content + seal(content))


def has_mark(content: bytes) -> bool:
    return content[-LENGTH:].startswith(MARK)
