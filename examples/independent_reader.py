"""An independent reader and simulator of the network file, written from FORMAT.md alone.

    python independent_reader.py net.h5

checks the digest, reads the network, runs the test vectors of the file, and compares every spike,
every output and the count of saturations. The exit code is 0 if all are equal, 1 if one differs,
2 if the file is not valid or has no test vectors. As a module: `run(read(path), inputs)`.

T is the number of steps, B of samples, N of neurons, I of inputs, C of classes. Names are those of
FORMAT.md; a primed state u' is `u1` here. All integers are int64, the states arrays [B, N].
"""

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import h5py
import numpy as np

LIMIT = 8388607
Array = np.ndarray
Step = tuple[tuple[Array, ...], Array]  # the states after a step, and the spikes or the outputs


def cut(x: Array, n: int) -> Array:
    return np.sign(x) * (abs(x) >> n)


def mul(a: Array, b: Any, n: int) -> Array:
    return cut(a * b, n)


def saturate(x: Array) -> Array:
    return np.clip(x, -LIMIT, LIMIT)


def rf(c: Any, current: Array, u: Array, v: Array) -> Step:
    kept = c.one + c.damping
    u1 = saturate(mul(u, kept, c.p) - mul(v, c.rotation, c.p) + current)
    v1 = saturate(mul(v, kept, c.p) + mul(u, c.rotation, c.p))
    return (u1, v1), u1 > c.theta


def brf(c: Any, current: Array, u: Array, v: Array, q: Array) -> Step:
    kept = c.one + c.damping - mul(q, c.dt, c.state_bits)
    u1 = saturate(mul(u, kept, c.p) - mul(v, c.rotation, c.p) + current)
    v1 = saturate(mul(v, kept, c.p) + mul(u, c.rotation, c.p))
    z = u1 > c.theta + q
    q1 = mul(q, c.gamma, c.p) + z * c.unit
    return (u1, v1, q1), z


def hrf(c: Any, current: Array, u: Array, w: Array) -> Step:
    w1 = saturate(cut(w * c.one + u * c.rotation, c.p))
    u1 = saturate(cut(u * (c.one - c.friction) - w1 * c.rotation, c.p) + current)
    return (u1, w1), u1 > c.theta


def bhrf(c: Any, current: Array, u: Array, w: Array, q: Array) -> Step:
    kept = c.one - c.friction - 2 * mul(q, c.dt, c.state_bits)
    w1 = saturate(cut(w * c.one + u * c.rotation, c.p))
    u1 = saturate(cut(u * kept - w1 * c.rotation, c.p) + current)
    z = u1 > c.theta + q
    q1 = mul(q, c.gamma, c.p) + z * c.unit
    return (u1, w1, q1), z


def alif(c: Any, current: Array, u: Array, a: Array, s: Array) -> Step:
    rest = u - s * (c.theta + mul(a, c.beta, 22))
    a1 = mul(a, c.adaptation, c.p) + s * mul(c.one - c.adaptation, 2**22, c.p)
    u1 = saturate(mul(rest, c.decay, c.p) + mul(current, c.one - c.decay, c.p))
    z = u1 > c.theta + mul(a1, c.beta, 22)
    return (u1, a1, z.astype(np.int64)), z


def li(c: Any, current: Array, o: Array) -> Step:
    o1 = saturate(mul(o, c.decay, c.p) + mul(current, c.one - c.decay, c.p))
    return (o1,), o1


# Of each neuron type: the equations, the states, the coefficients, and the constants.
NEURONS = {
    "RF": (rf, "uv", ("damping", "rotation"), ("theta", "unit")),
    "BRF": (brf, "uvq", ("damping", "rotation"), ("dt", "theta", "gamma", "unit")),
    "HRF": (hrf, "uw", ("friction", "rotation"), ("theta", "unit")),
    "BHRF": (bhrf, "uwq", ("friction", "rotation"), ("dt", "theta", "gamma", "unit")),
    "ALIF": (alif, "uas", ("decay", "adaptation"), ("theta", "beta", "unit")),
    "LI": (li, "o", ("decay",), ()),
}


class Layer(NamedTuple):
    step: Callable[..., Step]
    states: str
    c: SimpleNamespace  # the coefficients and constants by name, and p and one
    weight: Array  # [N, I], mantissa * 2**exponent
    weight_rec: Array  # [N, N], 0 if the layer has no recurrent weights


class Network(NamedTuple):
    layers: list[Layer]  # the hidden layers, then the readout
    vectors: tuple[Array, list[Array], int] | None  # inputs, spikes and outputs, saturations


def integers(group: h5py.Group, name: str, shape: tuple[int, ...], kind: str = "int64") -> Array:
    data = group[name]
    if data.dtype != kind or data.shape != shape:
        raise ValueError(f"{data.name} is {data.dtype} {data.shape}, not {kind} {shape}")
    return data[()].astype(np.int64)


def read_layer(group: h5py.Group, is_readout: bool, inputs: int) -> Layer:
    name, n = group["neuron/type"][0].decode(), int(group["shape"][0])
    if own := group["neuron/type"].attrs.get("neuron"):
        raise ValueError(f"{group.name} has a user's own neuron, {own}: not supported here")
    if name not in NEURONS or (name == "LI") != is_readout:
        raise ValueError(f"{group.name} has neurons of type {name}, which is unknown or misplaced")
    step, states, coefficients, constants = NEURONS[name]
    constants += ("state_bits", "parameter_bits")
    if unknown := {*group["neuron"]} - {*coefficients, *constants, "type", "growing"}:
        raise ValueError(f"{group.name}/neuron has unknown entries: {', '.join(sorted(unknown))}")
    c = {key: integers(group["neuron"], key, (n,)) for key in coefficients}
    c |= {key: int(integers(group["neuron"], key, ())) for key in constants}
    c |= {"p": c["parameter_bits"], "one": 2 ** c["parameter_bits"]}
    weight = integers(group, "weight", (n, inputs), "int8")
    weight <<= integers(group, "weight_exponent", ())
    weight_rec = np.zeros((n, n), np.int64)
    if group["type"][0] == b"dense_rec":
        weight_rec = integers(group, "weight_rec", (n, n), "int8")
        weight_rec <<= integers(group, "weight_rec_exponent", ())
    return Layer(step, states, SimpleNamespace(**c), weight, weight_rec)


def read(path: str) -> Network:
    data = Path(path).read_bytes()
    if data[-81:] != b"\nbrf-lava sha256 " + hashlib.sha256(data[:-81]).hexdigest().encode():
        raise ValueError("the digest is missing or wrong: the file is damaged or edited")
    with h5py.File(io.BytesIO(data)) as file:
        if file.attrs["format"] != b"brf-lava-network" or file.attrs["schema"] != 4:
            raise ValueError("not a brf-lava-network of schema 4")
        sizes = [int(file[f"layer/{i}/shape"][0]) for i in range(len(file["layer"]))]
        last = len(sizes) - 1
        hidden = range(1, last)
        layers = [read_layer(file[f"layer/{i}"], False, sizes[i - 1]) for i in hidden]
        layers.append(read_layer(file[f"layer/{last}"], True, sizes[last - 1]))
        if "vectors" not in file:
            return Network(layers, None)
        given = file["vectors/inputs"]
        shapes = [(*given.shape[:2], n) for n in sizes]
        inputs = integers(file, "vectors/inputs", shapes[0], given.dtype.name)
        sent = [integers(file, f"vectors/spikes/{i}", shapes[i], "int8") for i in hidden]
        sent.append(integers(file, "vectors/outputs", shapes[last], "int32"))
        return Network(layers, (inputs, sent, int(integers(file, "vectors/saturations", ()))))


def run(network: Network, inputs: Array) -> tuple[list[Array], Array, int]:
    """The spikes [T, B, N] of each hidden layer, the outputs [T, B, C], and the saturations."""
    (steps, samples, _), layers, saturations = inputs.shape, network.layers, 0
    sent = [np.zeros((1 + steps, samples, len(layer.weight)), np.int64) for layer in layers]
    states = [(zeros[0],) * len(layer.states) for layer, zeros in zip(layers, sent, strict=True)]
    for t in range(steps):  # sent[i][0] is before the first step, sent[i][t + 1] is of step t
        received = inputs[t].astype(np.int64)
        for i, layer in enumerate(layers):
            current = received @ layer.weight.T + sent[i][t] @ layer.weight_rec.T
            states[i], sent[i][t + 1] = layer.step(layer.c, current, *states[i])
            saturations += sum(int((abs(state) >= LIMIT).sum()) for state in states[i])
            received = sent[i][t + 1]
    return [spikes[1:] for spikes in sent[:-1]], sent[-1][1:], saturations


def main(path: str) -> int:
    try:
        network = read(path)
        if network.vectors is None:
            raise ValueError("the file has no test vectors")
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        print(f"{path}: {error}")
        return 2
    inputs, stored, stored_saturations = network.vectors
    spikes, outputs, saturations = run(network, inputs)
    for i, (ours, theirs) in enumerate(zip([*spikes, outputs], stored, strict=True), 1):
        for t, b, n in np.argwhere(ours != theirs):
            where = f"layer {i}, step {t}, sample {b}, neuron {n}"
            print(f"{path}: {where}: {ours[t, b, n]} instead of {theirs[t, b, n]}")
            return 1
    if saturations != stored_saturations:
        print(f"{path}: {saturations} saturations instead of {stored_saturations}")
        return 1
    size = f"{len(network.layers) + 1} layers, {len(inputs)} steps of {inputs.shape[1]} samples"
    counts = f"{sum(z.size for z in spikes):,} spikes, {outputs.size:,} outputs"
    print(f"{path}: {size}: all {counts} and {saturations:,} saturations are equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
