"""Every reader with a few small valid files for it, and how these are damaged.

Modules are imported where they are needed: a small process forks fast.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tools.fuzz import mutate

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]
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
    own: Sequence[Mutation]

    def mutated(self, random: Random) -> bytes:
        data = random.choice(self.samples)
        chance = random.random()
        if chance < 0.7:
            with suppress(Exception):  # what its library refuses to write
                data = random.choice(self.own)(random, data, self.samples)
        if chance > 0.6:
            data = mutate.damaged(random, data, self.samples)
        return data


def _hdf5(fill: Callable[[Any], None], **options: Any) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def _written(folder: Path, write: Callable[[Path], Any]) -> bytes:
    write(folder / "sample")
    return (folder / "sample").read_bytes()


def _network() -> Any:
    import numpy as np

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
    import numpy as np

    from brf_lava.network.activity import Activity, FloatActivity, TestVectors
    from brf_lava.network.file import read_network, read_vectors, write_network

    spikes = tuple(np.eye(6, n, dtype=np.int8)[:, None].repeat(2, axis=1) for n in (5, 3))
    answer = Activity(np.arange(24).reshape(6, 2, 2), spikes, 0)
    vectors = TestVectors(np.ones((6, 2, 4), np.int8), answer)
    reference = FloatActivity(np.ones((2, 6), np.uint8), np.array([3, 4]))
    samples = [
        _written(folder, lambda path, more=more: write_network(_network(), path, *more))
        for more in ((), (reference, vectors))
    ]

    def read(path: Path) -> None:
        read_network(path)
        read_vectors(path)

    return Reader("net.h5", samples, read, [mutate.as_hdf5])


def _short_data() -> Any:
    import numpy as np

    from brf_lava.data.dataset import Dataset, DataSource, Split

    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (6, 12, 4)).astype(np.int8)
    split = Split(x, rng.integers(0, 6, (6, 12)).astype(np.uint8))
    return Dataset(
        "ecg",
        ("P", "PQ", "QR", "RS", "ST", "TP"),
        0.004,
        split,
        split,
        DataSource("own", "toys", "f"),
    )


def _trained(folder: Path, finish: bool) -> bytes:
    import torch

    from brf_lava.config.recipe import load_recipe, override
    from brf_lava.train.trainer import Trainer, resume_path

    changes = [
        "epochs=1",
        "validation=2",
        "batch_size=4",
        "network.hidden=[3]",
        "training.ignore_first=0",
    ]
    out = folder / "made.pt"
    trainer = Trainer(
        override(load_recipe("ecg-brf"), changes), _short_data(), 0, torch.device("cpu"), out
    )
    trainer.run()
    if finish:
        trainer.finish()
    return (out if finish else resume_path(out)).read_bytes()


def model(folder: Path) -> Reader:
    from brf_lava.train.checkpoint import load_checkpoint

    return Reader("model.pt", [_trained(folder, True)], load_checkpoint, [mutate.as_torch])


def resume(folder: Path) -> Reader:
    import torch

    from brf_lava.train.trainer import Trainer, stored_task

    data = _short_data()

    def read(path: Path) -> None:
        stored_task(path.with_name("model.pt"))
        Trainer.resumed(data, torch.device("cpu"), path.with_name("model.pt"))

    return Reader("model.resume.pt", [_trained(folder, False)], read, [mutate.as_torch])


def published(folder: Path) -> Reader:
    import torch

    from brf_lava.train.published import import_published

    torch.set_num_threads(1)
    data = _short_data()
    common = {
        "out.tau_mem": torch.full((6,), 20.0),
        "out.linear.weight": torch.randn(6, 3),
        "hidden.linear.weight": torch.randn(3, 7),
    }
    kinds = (
        {
            "hidden.omega": torch.full((3,), 4.0),
            "hidden.b_offset": torch.ones(3),
            "hidden.linear.mask": torch.ones(3, 7),
        },
        {"hidden.tau_mem": torch.full((3,), 20.0), "hidden.tau_adp": torch.full((3,), 100.0)},
    )
    samples = []
    for own in kinds:
        buffer = io.BytesIO()
        torch.save({"model_state_dict": {**common, **own}}, buffer)
        samples.append(buffer.getvalue())
    return Reader("p.pt", samples, lambda path: import_published(path, data), [mutate.as_torch])


def mat(folder: Path) -> Reader:
    import numpy as np
    import scipy.io

    from brf_lava.ecg.task import read_split

    x = np.zeros((2, 1301, 4), np.int16)
    x[:, ::7] = 1
    y = np.eye(6, dtype=np.uint8)[np.arange(2 * 1301).reshape(2, 1301) % 6]
    samples = [
        _written(folder, partial(scipy.io.savemat, mdict={"x": x, "y": y}, appendmat=False, **how))
        for how in ({}, {"do_compression": True})
    ]
    return Reader("QTDB_train.mat", samples, read_split, [mutate.as_mat])


def _arrays() -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return {"x": rng.integers(0, 2, (5, 7, 3)).astype(np.int8), "y": np.arange(5) % 2}


def _own(folder: Path, file: str, samples: Sequence[bytes], mutation: Mutation) -> Reader:
    from brf_lava.tasks.own import read_task

    (folder / "toys.toml").write_text(TASK.format(file=file))
    return Reader(
        file, samples, lambda path: read_task(path.with_name("toys.toml")).load(), [mutation]
    )


def own_npz(folder: Path) -> Reader:
    import numpy as np

    samples = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **_arrays())
        samples.append(buffer.getvalue())
    return _own(folder, "a.npz", samples, mutate.as_zip)


def own_hdf5(folder: Path) -> Reader:
    def fill(file: Any, packed: str | None) -> None:
        for name, array in _arrays().items():
            file.create_dataset(name, data=array, compression=packed)
        file["more/z"] = [1.5, 2.5]

    samples = [
        _hdf5(partial(fill, packed=packed), libver=version)
        for packed, version in ((None, "earliest"), ("gzip", "latest"))
    ]
    return _own(folder, "a.h5", samples, mutate.as_hdf5)


def mnist(folder: Path) -> Reader:
    import numpy as np

    from brf_lava.tasks.mnist import ARRAYS, SMNIST, load

    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(zip(ARRAYS, (images, labels) * 2, strict=True)))
    return Reader(
        "mnist.npz", [buffer.getvalue()], lambda path: load(SMNIST, path), [mutate.as_zip]
    )


def idx(folder: Path) -> Reader:
    from brf_lava.tasks.mnist import read_idx

    data = b"\x00\x00\x08\x03" + struct.pack(">III", 2, 28, 28) + bytes(2 * 784)

    def inside(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        return gzip.compress(
            mutate.damaged(random, gzip.decompress(data)) + bytes(random.choice((0, mutate.SIZE)))
        )

    return Reader("i.gz", [gzip.compress(data)], read_idx, [inside])


def prepared(folder: Path) -> Reader:
    import numpy as np

    from brf_lava.ecg.prepare import Prepared, Segments, Settings
    from brf_lava.ecg.records import load_prepared, write_prepared

    x, y = np.zeros((2, 1300, 4), np.int8), np.zeros((2, 1300), np.uint8)
    segments = Segments(
        "sel1", "p", ("a", "b"), 2, x, y, np.array([0, 1300]), 0, np.ones(4, np.float32)
    )
    content = Prepared(Settings(), (segments,), (segments,), (("sel2", "flat"),))
    sample = _written(folder, lambda path: write_prepared(content, path))
    return Reader("ecg.h5", [sample], load_prepared, [mutate.as_hdf5])


def shd(folder: Path) -> Reader:
    import h5py
    import numpy as np

    from brf_lava.tasks.shd import read_split

    def fill(file: Any) -> None:
        rng = np.random.default_rng(0)
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            lists = file.create_dataset(f"spikes/{name}", (4,), h5py.vlen_dtype(kind))
            for sample in range(4):
                lists[sample] = (
                    np.sort(rng.random(9)) if kind is np.float16 else rng.integers(0, 700, 9)
                )
        file["labels"] = np.arange(4)
        file["extra/speaker"] = np.arange(4)

    samples = [_hdf5(fill, libver=version) for version in ("earliest", "latest")]
    return Reader("shd_train.h5", samples, read_split, [mutate.as_hdf5])


def _record(folder: Path, suffix: str) -> Reader:
    import numpy as np
    import wfdb

    from brf_lava.ecg.prepare import Settings, read_segments

    signal = np.random.default_rng(0).normal(size=(3000, 2))
    wfdb.wrsamp(
        "r",
        fs=250,
        units=["mV"] * 2,
        sig_name=["a", "b"],
        p_signal=signal,
        fmt=["212"] * 2,
        adc_gain=[200.0] * 2,
        baseline=[0] * 2,
        comments=["age: 30 sex: M"],
        write_dir=str(folder),
    )
    steps = np.concatenate(
        [beat * 200 + np.array((40, 52, 65, 77, 87, 96, 130, 166)) for beat in range(14)]
    )
    wfdb.wrann(
        "r",
        "letters",
        steps,
        symbol=list("(p)(N)t)") * 14,
        fs=250,
        num=np.arange(112) % 3,
        aux_note=["x"] * 112,
        write_dir=str(folder),
    )
    (folder / "r.letters").rename(folder / "r.q1c")
    file = folder / f"r.{suffix}"
    text = suffix == "hea"
    return Reader(
        file.name,
        [file.read_bytes()],
        lambda path: read_segments(path.with_suffix(""), Settings()),
        [mutate.text if text else mutate.damaged_pairs],
    )


def _text(
    file: str, samples: Sequence[bytes], read: Callable[[Path], Any], *own: Mutation
) -> Reader:
    return Reader(file, samples, read, [mutate.text, *own])


def _shipped(kind: Any) -> list[bytes]:
    from brf_lava.config.shipped import names, shipped

    return [(shipped(kind) / f"{name}.toml").read_bytes() for name in names(kind)]


def recipe(folder: Path) -> Reader:
    from brf_lava.config.recipe import load_recipe

    return _text("r.toml", _shipped("training"), load_recipe)


def profile(folder: Path) -> Reader:
    from brf_lava.config.profile import load_profile

    return _text("p.toml", _shipped("deploy"), load_profile)


def task(folder: Path) -> Reader:
    from brf_lava.tasks.own import read_task

    return _text("t.toml", [(TASK.format(file="a.npz") + "scale = 0.1\n").encode()], read_task)


def run_json(folder: Path) -> Reader:
    import json

    from brf_lava.run.result import FORMAT, SCHEMA
    from brf_lava.run.stored import read_run

    spikes, sizes = {"mean": 3.5, "peak": 7}, {"recurrent": False, "weight_bits": 8}
    layers = [
        {
            "shape": {"neuron": name, "inputs": i, "neurons": n, **sizes},
            "spikes": spikes,
        }
        for name, i, n in (("BRF", 4, 5), ("LI", 5, 2))
    ]
    result = {
        "backend": "engine",
        "steps": 9,
        "samples": 2,
        "accuracy": 0.5,
        "cost": {"sops": 3.5},
        "agreement": None,
        "saturations": 0,
        "inputs": spikes,
        "layers": layers,
    }
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "result": result,
        "data": {"kind": "own", "description": "d", "fingerprint": "f"},
        "network": {"model": "m", "task": "ecg", "neurons": {}},
    }
    return _text("run.json", [json.dumps(content).encode()], read_run, mutate.as_json)


def metrics(folder: Path) -> Reader:
    import json

    from brf_lava.train.metrics import LIMITS, read_metrics

    lines = [json.dumps({"epoch": epoch, **dict.fromkeys(LIMITS, 0.5)}) for epoch in (1, 2, 3)]
    return _text(
        "m.jsonl",
        ["\n".join(lines).encode()],
        lambda path: read_metrics(path, list(LIMITS), "Train again."),
        mutate.as_json,
    )


def stream(folder: Path) -> Reader:
    from brf_lava.run.stream_lines import LineReader

    def read(path: Path) -> None:
        reader = LineReader(_network())
        for number, line in enumerate(path.read_bytes().splitlines()):
            reader.read(line, f"line {number}")

    lines = b'[0, 1, 1, 0]\n{"events": [0, 3]}\n{"reset": true}\n[0, 0, 0, 1]'
    return _text("s.jsonl", [lines], read, mutate.as_json)


def _order(folder: Path, suffix: str) -> Reader:
    import numpy as np

    from brf_lava.data.permutation import read_permutation

    order = np.random.default_rng(0).permutation(20)
    read = partial(read_permutation, steps=20)
    if suffix == "txt":
        return _text("o.txt", [" ".join(map(str, order)).encode()], read)
    buffer = io.BytesIO()
    if suffix == "npy":
        np.save(buffer, order)
        return Reader("o.npy", [buffer.getvalue()], read, [mutate.npy])
    import torch

    torch.save(torch.from_numpy(order), buffer)
    return Reader("o.pt", [buffer.getvalue()], read, [mutate.as_torch])


def patients(folder: Path) -> Reader:
    from brf_lava.ecg.patients import read_patients

    return _text(
        "p.csv",
        [b"record,patient\nsel1,a\nsel2,b\n"],
        lambda path: read_patients(path, ["sel1", "sel2"]),
    )


READERS: dict[str, Callable[[Path], Reader]] = {
    "network": network,
    "own-hdf5": own_hdf5,
    "prepared": prepared,
    "shd": shd,
    "model": model,
    "resume": resume,
    "published": published,
    "own-npz": own_npz,
    "mnist": mnist,
    "idx": idx,
    "mat": mat,
    "wfdb-header": partial(_record, suffix="hea"),
    "wfdb-signal": partial(_record, suffix="dat"),
    "wfdb-marks": partial(_record, suffix="q1c"),
    "recipe": recipe,
    "task": task,
    "profile": profile,
    "run-json": run_json,
    "metrics": metrics,
    "stream": stream,
    "order-npy": partial(_order, suffix="npy"),
    "order-pt": partial(_order, suffix="pt"),
    "order-txt": partial(_order, suffix="txt"),
    "patients": patients,
}
