"""The published ECG network from checkpoint to Lava on the real QT database, number by number."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from brf_lava.errors import BackendUnavailableError
from brf_lava.export.hdf5 import read_network
from brf_lava.export.network import FixedNetwork
from brf_lava.recipes import load_recipe
from brf_lava.run import engine
from brf_lava.run.check import assert_equal
from brf_lava.run.lava_net import require_lava, run_on_lava
from brf_lava.tasks.task import Dataset, find_task
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.published import import_published

FLOAT_TOLERANCE = 1e-4  # of SOPs: the order of float sums flips a few spikes in a million

FOLDER = os.environ.get("BRF_LAVA_DATA")
CHECKPOINT = Path(FOLDER or "") / "checkpoints" / "ecg_brf.pt"
GOLDEN = Path(FOLDER or "") / "golden" / "ecg_brf_qtdb_test.npz"

pytestmark = pytest.mark.skipif(
    not (FOLDER and CHECKPOINT.exists() and GOLDEN.exists()),
    reason="the QT database and the published ECG checkpoint are not under BRF_LAVA_DATA",
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return find_task("ecg").load(Path(FOLDER or ""))


@pytest.fixture(scope="module")
def checkpoint(dataset: Dataset) -> Checkpoint:
    return import_published(CHECKPOINT, load_recipe("ecg-brf"), dataset)


@pytest.fixture(scope="module")
def network(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> FixedNetwork:
    """Exported at eight bits, and read back from the file."""
    path = tmp_path_factory.mktemp("published") / "net.h5"
    export_model(checkpoint, dataset, path, parameter_bits=16, weight_bits=8)
    return read_network(path)[0]


def test_float_network_scores_what_was_published(checkpoint: Checkpoint) -> None:
    assert dict(checkpoint.metrics.as_dict(), device="") | {"loss": 0.0} == {
        "loss": 0.0,
        "accuracy": pytest.approx(0.8621, abs=1.5e-4),
        "sops_per_sample": pytest.approx(6913.55, rel=FLOAT_TOLERANCE),
        "samples": 141,
        "steps": 1300,
        "device": "",
    }


def test_float_predictions_are_those_of_the_reference_code(checkpoint: Checkpoint) -> None:
    golden = np.load(GOLDEN)
    assert np.mean(checkpoint.activity.predictions == golden["pred"]) >= 0.999


def test_integers_lose_little(network: FixedNetwork, dataset: Dataset) -> None:
    x = np.ascontiguousarray(dataset.test.x.transpose(1, 0, 2))
    activity = engine.run(network, x)
    assert np.mean(dataset.test.y == activity.outputs.argmax(2).T) >= 0.855
    assert activity.spikes[0].sum() / 141 == pytest.approx(6913.55, rel=0.02)
    assert activity.saturations == 0


def test_lava_equals_the_engine_in_every_spike_and_output(
    network: FixedNetwork, dataset: Dataset
) -> None:
    try:
        require_lava()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    x = np.ascontiguousarray(dataset.test.x.transpose(1, 0, 2))
    assert x.shape == (1300, 141, 4)
    found = run_on_lava(network, x, timeout=120)
    assert_equal(found, engine.run(network, x), "Lava", "the engine")
