"""The published ECG networks from checkpoint to Lava on the real QT database, number by number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from brf_lava.backends import engine
from brf_lava.backends.sim.lava_net import run_on_lava
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError
from brf_lava.network.activity import Activity
from brf_lava.network.file import read_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import assert_equal
from brf_lava.run.result import decision_of
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.published import import_published

FLOAT_TOLERANCE = 1e-4  # of SOPs: the order of float sums flips a few spikes in a million

FOLDER = os.environ.get("BRF_LAVA_DATA")
DATA = Path(FOLDER or "")


@dataclass(frozen=True)
class Published:
    """What is known of one checkpoint: the scores the reference code gives it."""

    neuron: str
    accuracy: float
    sops: float
    integer_accuracy: float  # at least, at eight bits

    @property
    def checkpoint(self) -> Path:
        return DATA / "checkpoints" / f"ecg_{self.neuron.lower()}.pt"

    @property
    def golden(self) -> Path:
        return DATA / "golden" / f"ecg_{self.neuron.lower()}_qtdb_test.npz"


PUBLISHED = (
    Published("BRF", 0.8621, 6913.55, 0.855),
    Published("RF", 0.8511, 11907.33, 0.84),
    Published("ALIF", 0.7076, 4612.73, 0.69),
)

pytestmark = pytest.mark.skipif(
    not (FOLDER and all(p.checkpoint.exists() and p.golden.exists() for p in PUBLISHED)),
    reason="the QT database and the published ECG checkpoints are not under BRF_LAVA_DATA",
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return find_task("ecg").load(DATA)


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda published: published.neuron)
def published(request: pytest.FixtureRequest) -> Published:
    return request.param  # type: ignore[no-any-return]  # pytest's


@pytest.fixture(scope="module")
def checkpoint(published: Published, dataset: Dataset) -> Checkpoint:
    return import_published(published.checkpoint, dataset)


@pytest.fixture(scope="module")
def network(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> FixedNetwork:
    """Exported at eight bits, and read back from the file."""
    path = tmp_path_factory.mktemp("published") / "net.h5"
    export_model(checkpoint, dataset, path, rounding="nearest")
    return read_network(path)[0]


@pytest.fixture(scope="module")
def activity(network: FixedNetwork, dataset: Dataset) -> Activity:
    return engine.run(network, dataset.test.time_major())


def test_the_neuron_is_found_out_or_named_unless_it_cannot_be(
    published: Published, checkpoint: Checkpoint, dataset: Dataset
) -> None:
    assert checkpoint.recipe.network.neuron == published.neuron
    assert f"as {published.neuron}" in checkpoint.origin
    name = "rf" if published.neuron == "ALIF" else "ALIF"
    with pytest.raises(CheckpointError, match=f"neuron '{name}' was named"):
        import_published(published.checkpoint, dataset, name)


def test_the_float_network_is_the_published_one(
    published: Published, checkpoint: Checkpoint
) -> None:
    metrics, golden = checkpoint.metrics, np.load(published.golden)["pred"]
    assert (metrics.samples, metrics.steps) == (141, 1300)
    assert metrics.accuracy == pytest.approx(published.accuracy, abs=1.5e-4)
    assert metrics.sops_per_sample == pytest.approx(published.sops, rel=FLOAT_TOLERANCE)
    predictions = checkpoint.activity.predictions[:, -golden.shape[1] :]
    assert np.mean(predictions == golden) >= 0.999


def test_integers_lose_little(
    published: Published, activity: Activity, network: FixedNetwork, dataset: Dataset
) -> None:
    decision = decision_of(network)
    hits, counted = decision.hits(decision.predict(activity.outputs), dataset.test.y)
    assert counted == 141 * (1300 - decision.ignore_first)
    assert hits / counted >= published.integer_accuracy
    assert activity.spikes[0].sum() / 141 == pytest.approx(published.sops, rel=0.05)
    assert activity.saturations == 0


def test_lava_equals_the_engine_in_every_spike_and_output(
    network: FixedNetwork, activity: Activity, dataset: Dataset
) -> None:
    x = dataset.test.time_major()
    assert x.shape == (1300, 141, 4)
    assert_equal(run_on_lava(network, x, timeout=120), activity, "Lava", "the engine")
