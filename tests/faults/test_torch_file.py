"""A model file that runs code when it is loaded is refused by every command that loads one."""

from __future__ import annotations

import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import assert_failed, brf_lava
from networks import random_network
from torch import Tensor, nn

from brf_lava.data.permutation import read_permutation
from brf_lava.errors import DataError
from brf_lava.io.torch_file import load_torch_file
from brf_lava.network.file import write_network
from brf_lava.train.trainer import resume_path

TARGET = "written-by-the-model-file"


class Malicious(nn.Module):
    """Creates the file `TARGET` when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.values = torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> str:
        return "written-by-the-model-file"

    @torch.jit.export
    def __setstate__(self, name: str) -> None:
        self.training = False
        self.values = torch.from_file(name, True, 4)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(Malicious()), path)
    torch.jit.load(path)
    (tmp_path / TARGET).unlink()  # it does what it says
    return path


COMMANDS = (
    "export model.pt net.h5",
    "import model.pt --task ecg -o other.pt",
    "plot parameters model.pt -o x.png",
    "run net.h5 --backend engine --reference model.pt",
    "train --resume --out other.pt",
)


def test_every_command_refuses_it(file: Path) -> None:
    network = random_network(np.random.default_rng(0), (4, 3, 6))
    provenance = {"task": "ecg", "data": {}, "metrics": {}}
    write_network(replace(network, provenance=provenance), file.parent / "net.h5")
    resume_path(file.with_name("other.pt")).write_bytes(file.read_bytes())
    before = sorted(file.parent.iterdir())
    for command in COMMANDS:
        result = brf_lava(*command.split())
        assert_failed(result, 2, "not a torch file of plain tensors")
        assert sorted(file.parent.iterdir()) == before


def test_the_loader_refuses_it(file: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match="TorchScript"):
        load_torch_file(file)
    with pytest.raises(DataError, match="not a torch file of plain tensors"):
        read_permutation(file)
    assert not (file.parent / TARGET).exists()


def test_a_tar_archive_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's format of 2016: versions before 2.6 unpacked it to disk whatever `weights_only`."""
    extracted: list[Any] = []
    monkeypatch.setattr(tarfile.TarFile, "extract", lambda self, *a, **k: extracted.append(a))
    path = tmp_path / "model.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Exception):  # noqa: B017, PT011  # of another kind in each version of torch
        load_torch_file(path)
    assert not extracted
