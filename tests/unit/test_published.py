"""Published checkpoints of other tasks and sizes, made here in their scheme."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import assert_documented, assert_failed, assert_worked, brf_lava

from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.errors import CheckpointError, RecipeError
from brf_lava.network.file import read_network
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import load_checkpoint
from brf_lava.train.published import import_published

SIZES = {"smnist": (1, 256, 10), "psmnist": (1, 256, 10), "shd": (700, 128, 20), "ecg": (4, 36, 6)}
STEPS = 784
ZERO = torch.zeros(6, 36)


def tensors(task: str, adaptive: bool, mask: bool = False, **changes: Any) -> dict[str, Any]:
    """A state dict as the reference code saves it."""
    inputs, neurons, classes = SIZES[task]
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    found: dict[str, Any] = {
        "hidden.linear.weight": 40 * normal(neurons, inputs + neurons),
        "out.linear.weight": normal(classes, neurons),
        "out.tau_mem": 20 + normal(classes),
    }
    if adaptive:
        found |= {"hidden.tau_mem": 20 + normal(neurons), "hidden.tau_adp": 150 + normal(neurons)}
        found["hidden.linear.weight"] /= 40
    else:
        found |= {"hidden.omega": 10 + normal(neurons), "hidden.b_offset": normal(neurons)}
    if mask:
        kept = torch.rand(neurons, inputs + neurons, generator=generator) < 0.5
        found["hidden.linear.mask"] = kept.float()
    return found | changes


def save(path: Path, state: dict[str, Any]) -> Path:
    torch.save({"epoch": 3, "model_state_dict": state, "loss": 0.5}, path)
    return path


def dataset(task: str) -> Dataset:
    """A few random samples of the task's shape."""
    rng = np.random.default_rng(2)
    described = find_task(task)
    pixels = task.endswith("mnist")
    x = rng.integers(0, 256 if pixels else 2, (6, 60, described.inputs))
    split = Split(
        x.astype(np.uint8 if pixels else np.int8),
        rng.integers(0, len(described.classes), (6, 1)).astype(np.uint8),
    )
    if task == "ecg":
        split = Split(split.x, np.repeat(split.y, 60, axis=1))
    source = DataSource("test", "random samples", "abc")
    scale = 1 / 255 if pixels else 1.0
    return Dataset(task, described.classes, 0.01, split, split, source, input_scale=scale)


@pytest.mark.parametrize(
    ("task", "adaptive", "mask"),
    [
        ("smnist", False, True),
        ("shd", True, True),
        ("ecg", False, True),
        ("ecg", True, False),
    ],
)
def test_every_size_is_read(tmp_path: Path, task: str, adaptive: bool, mask: bool) -> None:
    state = tensors(task, adaptive, mask)
    data = dataset(task)
    neuron = None if task == "ecg" else "ALIF" if adaptive else "RF"
    checkpoint = import_published(save(tmp_path / "m.pt", state), data, neuron)
    assert (checkpoint.recipe.network.neuron == "ALIF") is adaptive
    assert list(checkpoint.recipe.network.hidden) == [SIZES[task][1]]
    assert checkpoint.recipe.task == task
    weight = state["hidden.linear.weight"] * state.get("hidden.linear.mask", 1)
    inputs = SIZES[task][0]
    block = checkpoint.model().hidden[0]
    assert torch.equal(block.weight, weight[:, :inputs])
    assert torch.equal(block.recurrent_weight, weight[:, inputs:])
    assert checkpoint.input_scale == data.input_scale
    assert checkpoint.activity.predictions.shape == data.test.y.shape
    assert checkpoint.metrics.sops_per_sample > 0


def test_the_named_resonator_is_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "m.pt", tensors("ecg", adaptive=False))
    checkpoint = import_published(path, dataset("ecg"), "bhrf")
    assert checkpoint.recipe.network.neuron == "BHRF"
    assert checkpoint.origin == "imported from m.pt as BHRF"
    assert import_published(path, dataset("ecg"), "HRF").recipe.network.neuron == "HRF"
    for neuron in ("LI", "LIF", "", "ALIF"):
        with pytest.raises(CheckpointError, match="was named"):
            import_published(path, dataset("ecg"), neuron)


def test_what_was_tried_is_told_and_doubted(tmp_path: Path) -> None:
    """Random weights solve nothing, whichever neuron they are taken for."""
    data = dataset("ecg")
    path = save(tmp_path / "m.pt", tensors("ecg", adaptive=False, **{"out.linear.weight": ZERO}))
    labels = np.full_like(data.test.y, 5)  # what never comes first where all outputs are equal
    data = replace(data, test=Split(data.test.x, labels))
    origin = import_published(path, data).origin
    assert "the most accurate on 6 samples: BRF 0.0%, BHRF 0.0%, RF 0.0%" in origin
    assert "far from chance" in origin


def test_a_recipe_gives_the_constants_whatever_it_prunes(tmp_path: Path) -> None:
    path = save(tmp_path / "m.pt", tensors("ecg", adaptive=False))
    recipe = override(load_recipe("ecg-bhrf"), ["recurrent_density=0.5", "theta=0.8"])
    checkpoint = import_published(path, dataset("ecg"), None, recipe)
    assert checkpoint.recipe.network.neuron == "BHRF"
    assert checkpoint.model().hidden[0].neuron.constants.theta == 0.8
    with pytest.raises(RecipeError, match="is for neuron BHRF, not BRF"):
        import_published(path, dataset("ecg"), "brf", recipe)


REFUSED: tuple[tuple[dict[str, Any], bool, str], ...] = (
    ({"hidden.omega": torch.zeros(35)}, False, r"hidden.0.weight: .*\[36, 4\].*\[35, 4\]"),
    ({"out.tau_mem": torch.zeros(7)}, False, r"for task ecg .* readout.neuron.tau: .*\[7\]"),
    ({"hidden.tau_adp": torch.zeros(36, 1)}, True, r"neuron.tau_adp: .*\[36, 1\]"),
    ({"hidden.linear.weight": torch.zeros(36, 39)}, False, r"\[36, 35\].*\[36, 36\]"),
    ({"hidden.linear.weight": torch.zeros(36)}, False, "for task ecg"),
    ({"hidden.b_offset": torch.full((36,), float("nan"))}, False, "not finite"),
    ({"hidden.omega": torch.full((36,), 150.0)}, False, "150 rad/s at neuron 0"),
    ({"hidden.linear.bias": torch.zeros(36)}, False, r"unknown .'hidden.linear.bias'"),
    ({"hidden.tau_adp": torch.ones(36)}, False, r"lacks hidden.tau_mem .* unknown .'hidden.omega'"),
    ({"out.linear.weight": None}, True, "lacks out.linear.weight"),
)


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    for changes, adaptive, message in REFUSED:
        path = save(tmp_path / "m.pt", tensors("ecg", adaptive, **changes))
        with pytest.raises(CheckpointError, match=message) as error:
            import_published(path, dataset("ecg"))
        assert "\n" not in str(error.value)


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name, message in (
        ("tensor.pt", "lacks .*out.linear.weight. Name one, or use the file as it is"),
        ("text.pt", "not a torch file"),
        ("none.pt", "none.pt: cannot be read .No such file"),
    ):
        with pytest.raises(CheckpointError, match=message):
            import_published(tmp_path / name, dataset("ecg"))
    path = save(tmp_path / "m.pt", tensors("ecg", adaptive=False))
    with pytest.raises(CheckpointError, match="needs 'brf-lava import' first"):
        load_checkpoint(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    np.savez(
        tmp_path / "mnist.npz",
        x_train=rng.integers(0, 256, (2, 28, 28)).astype(np.uint8),
        y_train=np.arange(2, dtype=np.uint8),
        x_test=rng.integers(0, 256, (2, 28, 28)).astype(np.uint8),
        y_test=np.arange(2, dtype=np.uint8),
    )
    return tmp_path


def imported(images: Path, task: str, *arguments: Any) -> Result:
    path = save(images / f"{task}.pt", tensors(task, adaptive=False))
    given = ("--task", task, "--data", images, "-o", images / "m.pt", "--neuron", "brf")
    return brf_lava("import", path, *given, *arguments)


def test_a_permuted_network_keeps_its_permutation_to_the_end(images: Path) -> None:
    assert_failed(imported(images, "psmnist"), 2, "--permutation identity")
    order = np.random.default_rng(4).permutation(STEPS)
    torch.save(torch.from_numpy(order), images / "order.pt")
    assert_worked(imported(images, "psmnist", "--permutation", images / "order.pt"))
    assert np.array_equal(load_checkpoint(images / "m.pt").permutation, order)
    given = ("--task", "psmnist", "--data", images, "-o", images / "m.pt", "--overwrite")
    again = (images / "psmnist.pt", *given, "--permutation", images / "order.pt")
    assert_documented("import", *again)
    exported = brf_lava(
        "export", images / "m.pt", images / "net.h5", "--rounding", "nearest", "--data", images
    )
    assert_worked(exported)
    assert "Notice" not in exported.output  # it is the very data that the model was measured on
    network, _ = read_network(images / "net.h5")
    assert network.provenance["permutation"] == order.tolist()
    assert network.input_range == (0, 255)
    ran = brf_lava("run", images / "net.h5", "--data", images, "--backend", "engine")
    assert_worked(ran)
    assert "Notice" not in ran.output
    assert "same prediction as float" in ran.output
    # RF was published without one: its own evaluation takes the pixels in their order
    assert_worked(imported(images, "psmnist", "--permutation", "identity", "--overwrite"))
    checkpoint = load_checkpoint(images / "m.pt")
    assert np.array_equal(checkpoint.permutation, np.arange(STEPS))
    assert "steps in their own order" in checkpoint.data.description


def test_what_does_not_belong_to_the_task_is_refused(images: Path) -> None:
    np.save(images / "order.npy", np.arange(STEPS))
    other = ("--permutation", images / "order.npy")
    assert_failed(imported(images, "smnist", *other), 2, "not permuted")
    other = ("--recipe", "psmnist-brf")
    assert_failed(imported(images, "smnist", *other), 2, "is for task psmnist")
