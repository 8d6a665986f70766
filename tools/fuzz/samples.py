"""Every reader with a few small valid files for it, and how these are damaged.

What is slow to import is imported where it is needed: a small process forks fast.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from brf_lava.io import seal
from tools.fuzz import mutate

Mutation = Callable[[Random, bytes], bytes]
TASK = """name = "toys"
classes = ["a", "b"]
inputs = 3
steps = 7
step_seconds = 0.01
train = "{file}"
test = "{file}"
input = "x"
label = "y"
"""


@dataclass
class Reader:
    """file: its name. read: takes the path. own: damages of its kind of file."""

    file: str
    samples: Sequence[bytes]
    read: Callable[[Path], Any]
    own: Sequence[Mutation] = (mutate.text,)

    def mutated(self, random: Random) -> bytes:
        """A damaged sample. A digest is mostly taken anew, as whoever attacks would do."""
        data, chance = random.choice(self.samples), random.random()
        has_digest = data[-seal.LENGTH : -64] == seal.MARK
        data = data[: -seal.LENGTH] if has_digest else data
        if chance < 0.7:
            with suppress(Exception):  # what its library refuses to write
                data = random.choice(self.own)(random, data)
        data = mutate.damaged(random, data) if chance > 0.6 else data
        return data + seal.seal(data) if has_digest and random.random() < 0.9 else data


def _saved(save: Callable[..., Any], *values: Any, **named: Any) -> bytes:
    save(buffer := io.BytesIO(), *values, **named)
    return buffer.getvalue()


def _torch(contents: Any) -> bytes:
    import torch

    return _saved(lambda buffer: torch.save(contents, buffer))


def _hdf5(buffer: io.BytesIO, fill: Callable[[Any], None], libver: str) -> None:
    import h5py

    with h5py.File(buffer, "w", libver=libver) as file:
        fill(file)


def _network() -> Any:
    from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
    from brf_lava.neurons.families import NEURONS

    def layer(name: str, neurons: int, inputs: int, loop: bool) -> Any:
        record, weights = NEURONS[name], np.ones((neurons, inputs), np.int8)
        known = {"state_bits": 14, "parameter_bits": 16, "gamma": 60_000, "dt": 655}
        known["theta"] = known["unit"] = 1 << 14
        kind = record.fixed_constants
        back = Connection(np.ones((neurons, neurons), np.int8), 3) if loop else None
        coefficients = np.full((len(record.fixed_coefficients), neurons), 900)
        coefficients[0] *= 1 if name == "LI" else -1
        constants = kind(*(known.get(key, 1) for key in kind._fields))
        return FixedLayer(record, Connection(weights, 3), back, coefficients, constants)

    layers = (layer("BRF", 5, 4, True), layer("RF", 3, 5, False), layer("LI", 2, 3, False))
    return FixedNetwork(layers, {"task": "ecg"})


def network(folder: Path) -> Reader:
    from brf_lava.network.activity import Activity, FloatActivity, TestVectors
    from brf_lava.network.file import read_network, write_network

    spikes = tuple(np.eye(6, n, dtype=np.int8)[:, None].repeat(2, axis=1) for n in (5, 3))
    answer = Activity(np.arange(24).reshape(6, 2, 2), spikes, 0)
    vectors = TestVectors(np.ones((6, 2, 4), np.int8), answer)
    reference = FloatActivity(np.ones((2, 6), np.uint8), np.array([3, 4]))
    write_network(_network(), folder / "bare")
    write_network(_network(), folder / "full", reference, vectors)
    samples = [(folder / name).read_bytes() for name in ("bare", "full")]
    return Reader("net.h5", samples, read_network, [mutate.as_hdf5])


def _short_data() -> Any:
    from brf_lava.data.dataset import Dataset, DataSource, Split

    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (6, 12, 4)).astype(np.int8)
    split = Split(x, rng.integers(0, 6, (6, 12)).astype(np.uint8))
    source = DataSource("own", "toys", "f")
    return Dataset("ecg", ("P", "PQ", "QR", "RS", "ST", "TP"), 0.004, split, split, source)


def trained(folder: Path, finish: bool) -> Reader:
    """Of a model file, or of the state of a training that was stopped."""
    import torch

    from brf_lava.config.recipe import load_recipe, override
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.trainer import Trainer, resume_path

    small = ["epochs=1", "validation=2", "batch_size=4", "hidden=[3]", "training.ignore_first=0"]
    recipe, data = override(load_recipe("ecg-brf"), small), _short_data()
    out, cpu = folder / "model.pt", torch.device("cpu")
    trainer = Trainer(recipe, data, 0, cpu, out)
    trainer.run()
    if finish:
        trainer.finish()
        return Reader("model.pt", [out.read_bytes()], load_checkpoint, [mutate.as_torch])

    def read(path: Path) -> None:
        Trainer.resumed(data, cpu, path.with_name("model.pt"))

    state = resume_path(out)
    return Reader(state.name, [state.read_bytes()], read, [mutate.as_torch])


def published(folder: Path) -> Reader:
    import torch

    from brf_lava.train.published import import_published

    torch.set_num_threads(1)
    brf = {"omega": (4.0, 3), "b_offset": (1.0, 3), "linear.mask": (1.0, 3, 7)}
    alif = {"tau_mem": (20.0, 3), "tau_adp": (100.0, 3)}
    samples = []
    for hidden in (brf, alif):
        tensors = {f"hidden.{name}": torch.full(n, to) for name, (to, *n) in hidden.items()}
        tensors |= {"out.tau_mem": torch.full((6,), 20.0), "out.linear.weight": torch.randn(6, 3)}
        tensors["hidden.linear.weight"] = torch.randn(3, 7)
        samples.append(_torch({"model_state_dict": tensors}))
    read = partial(import_published, dataset=_short_data())
    return Reader("p.pt", samples, read, [mutate.as_torch])


def mat(folder: Path) -> Reader:
    from scipy.io import savemat

    from brf_lava.ecg.task import read_split

    x = np.zeros((2, 1301, 4), np.int16)
    x[:, ::7] = 1
    y = np.eye(6, dtype=np.uint8)[np.arange(2 * 1301).reshape(2, 1301) % 6]
    samples = [_saved(savemat, {"x": x, "y": y}, do_compression=packed) for packed in (0, 1)]
    return Reader("QTDB_train.mat", samples, read_split, [mutate.as_mat])


def own(folder: Path, file: str, mutation: Mutation) -> Reader:
    from brf_lava.tasks.own import read_task

    rng, packed = np.random.default_rng(0), {"earliest": None, "latest": "gzip"}
    arrays = {"x": rng.integers(0, 2, (5, 7, 3)).astype(np.int8), "y": np.arange(5) % 2}

    def fill(file: Any, packed: str | None) -> None:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression=packed)
        file["more/z"] = [1.5, 2.5]

    if file == "a.npz":
        samples = [_saved(save, **arrays) for save in (np.savez, np.savez_compressed)]
    else:
        samples = [_saved(_hdf5, partial(fill, packed=how), at) for at, how in packed.items()]
    (folder / "toys.toml").write_text(TASK.format(file=file))
    return Reader(file, samples, lambda path: read_task(folder / "toys.toml").load(), [mutation])


def mnist(folder: Path) -> Reader:
    from brf_lava.tasks.mnist import ARRAYS, SMNIST, load

    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    arrays = dict(zip(ARRAYS, (images, labels) * 2, strict=True))
    samples = [_saved(np.savez_compressed, **arrays)]
    return Reader("mnist.npz", samples, partial(load, SMNIST), [mutate.as_zip])


def idx(folder: Path) -> Reader:
    from brf_lava.tasks.mnist import read_idx

    data = b"\x00\x00\x08\x03" + struct.pack(">III", 2, 28, 28) + bytes(2 * 784)

    def inside(random: Random, data: bytes) -> bytes:
        bomb = bytes(random.choice((0, mutate.SIZE)))
        return gzip.compress(mutate.damaged(random, gzip.decompress(data)) + bomb)

    return Reader("i.gz", [gzip.compress(data)], read_idx, [inside])


def prepared(folder: Path) -> Reader:
    from brf_lava.ecg.prepare import Prepared, Segments, Settings
    from brf_lava.ecg.records import load_prepared, write_prepared

    x, y = np.zeros((2, 1300, 4), np.int8), np.zeros((2, 1300), np.uint8)
    starts = np.array([0, 1300])
    segments = Segments("sel1", "p", x, y, starts, 0)
    content = Prepared(Settings(), (segments,), (segments,), (("sel2", "flat"),))
    write_prepared(content, folder / "ecg.h5")
    return Reader("ecg.h5", [(folder / "ecg.h5").read_bytes()], load_prepared, [mutate.as_hdf5])


def shd(folder: Path) -> Reader:
    import h5py

    from brf_lava.tasks.shd import read_split

    def fill(file: Any) -> None:
        rng = np.random.default_rng(0)
        for name, kind, most in (("times", np.float16, 1), ("units", np.uint16, 700)):
            lists = file.create_dataset(f"spikes/{name}", (4,), h5py.vlen_dtype(kind))
            for sample in range(4):
                lists[sample] = (most * np.sort(rng.random(9))).astype(kind)
        file["labels"] = file["extra/speaker"] = np.arange(4)

    samples = [_saved(_hdf5, fill, version) for version in ("earliest", "latest")]
    return Reader("shd_train.h5", samples, read_split, [mutate.as_hdf5])


def record(folder: Path, suffix: str, mutation: Mutation) -> Reader:
    import wfdb

    from brf_lava.ecg.prepare import Settings, read_segments

    signal = np.random.default_rng(0).normal(size=(3000, 2))
    units, gains = {"units": ["mV"] * 2, "fmt": ["212"] * 2}, {"adc_gain": [200.0] * 2}
    names, where = {"sig_name": ["a", "b"], "baseline": [0] * 2}, {"write_dir": str(folder)}
    text = {"comments": ["age: 30 sex: M"]}
    wfdb.wrsamp("r", fs=250, p_signal=signal, **units, **gains, **names, **text, **where)
    beat = np.array((40, 52, 65, 77, 87, 96, 130, 166))
    steps, symbols = np.concatenate([n * 200 + beat for n in range(14)]), list("(p)(N)t)") * 14
    notes = {"num": np.arange(112) % 3, "aux_note": ["x"] * 112}
    wfdb.wrann("r", "letters", steps, symbol=symbols, fs=250, **notes, **where)
    (folder / "r.letters").rename(folder / "r.q1c")

    def read(path: Path) -> None:
        read_segments(path.with_suffix(""), Settings())

    return Reader(f"r.{suffix}", [(folder / f"r.{suffix}").read_bytes()], read, [mutation])


def shipped(folder: Path, kind: Any) -> Reader:
    """Of recipes or board profiles."""
    from brf_lava.config.profile import load_profile
    from brf_lava.config.recipe import load_recipe
    from brf_lava.config.shipped import names, shipped

    samples = [(shipped(kind) / f"{name}.toml").read_bytes() for name in names(kind)]
    return Reader("r.toml", samples, load_recipe if kind == "training" else load_profile)


def task(folder: Path) -> Reader:
    from brf_lava.tasks.own import read_task

    return Reader("t.toml", [(TASK.format(file="a.npz") + "scale = 0.1\n").encode()], read_task)


def run_json(folder: Path) -> Reader:
    from brf_lava.run.result import FORMAT, SCHEMA, SpikeCost
    from brf_lava.run.stored import read_run

    spikes, shape = {"mean": 3.5, "peak": 7}, {"recurrent": False, "weight_bits": 8}
    layers = [
        {"shape": {"neuron": name, "inputs": i, "neurons": n, **shape}, "spikes": spikes}
        for name, i, n in (("BRF", 4, 5), ("LI", 5, 2))
    ]
    result = {"backend": "engine", "steps": 9, "samples": 2, "accuracy": 0.5, "agreement": None}
    result |= {"cost": vars(SpikeCost(3.5, 1.0, 2.0, 3.0, 400.0)), "saturations": 0, "seconds": 1.0}
    result |= {"checked": False, "reference": None, "inputs": spikes, "layers": layers}
    content = {"format": FORMAT, "schema": SCHEMA, "result": result}
    content["data"] = {"kind": "own", "description": "d", "fingerprint": "f"}
    content["network"] = {"model": "m", "task": "ecg", "neurons": {}}
    own = [mutate.text, mutate.as_json]
    return Reader("run.json", [json.dumps(content).encode()], read_run, own)


def metrics(folder: Path) -> Reader:
    from brf_lava.train.metrics import LIMITS, read_metrics

    lines = [json.dumps({"epoch": epoch, **dict.fromkeys(LIMITS, 0.5)}) for epoch in (1, 2, 3)]
    read = partial(read_metrics, names=list(LIMITS), remedy="Train again.")
    return Reader("m.jsonl", ["\n".join(lines).encode()], read, [mutate.text, mutate.as_json])


def stream(folder: Path) -> Reader:
    from brf_lava.run.stream_lines import LineReader

    def read(path: Path) -> None:
        reader = LineReader(_network())
        for number, line in enumerate(path.read_bytes().splitlines()):
            reader.read(line, f"line {number}")

    lines = b'[0, 1, 1, 0]\n{"events": [0, 3]}\n{"reset": true}\n[0, 0, 0, 1]'
    return Reader("s.jsonl", [lines], read, [mutate.text, mutate.as_json])


def order(folder: Path, suffix: str, mutation: Mutation) -> Reader:
    from brf_lava.data.permutation import read_permutation

    steps = np.random.default_rng(0).permutation(20)
    sample = " ".join(map(str, steps)).encode()
    if suffix == "npy":
        sample = _saved(np.save, steps)
    elif suffix == "pt":
        import torch

        sample = _torch(torch.from_numpy(steps))
    return Reader(f"o.{suffix}", [sample], partial(read_permutation, steps=20), [mutation])


def patients(folder: Path) -> Reader:
    from brf_lava.ecg.prepare import read_patients

    read = partial(read_patients, records=["sel1", "sel2"])
    return Reader("p.csv", [b"record,patient\nsel1,a\nsel2,b\n"], read)


READERS: dict[str, Callable[[Path], Reader]] = {
    "network": network,
    "own-hdf5": partial(own, file="a.h5", mutation=mutate.as_hdf5),
    "prepared": prepared,
    "shd": shd,
    "model": partial(trained, finish=True),
    "resume": partial(trained, finish=False),
    "published": published,
    "own-npz": partial(own, file="a.npz", mutation=mutate.as_zip),
    "mnist": mnist,
    "idx": idx,
    "mat": mat,
    "wfdb-header": partial(record, suffix="hea", mutation=mutate.text),
    "wfdb-signal": partial(record, suffix="dat", mutation=mutate.pairs),
    "wfdb-marks": partial(record, suffix="q1c", mutation=mutate.pairs),
    "recipe": partial(shipped, kind="training"),
    "task": task,
    "profile": partial(shipped, kind="deploy"),
    "run-json": run_json,
    "metrics": metrics,
    "stream": stream,
    "order-npy": partial(order, suffix="npy", mutation=mutate.npy),
    "order-pt": partial(order, suffix="pt", mutation=mutate.as_torch),
    "order-txt": partial(order, suffix="txt", mutation=mutate.text),
    "patients": patients,
}
