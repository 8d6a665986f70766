"""Blocks and neurons with SLAYER's interface, alone and among stock SLAYER blocks."""

from __future__ import annotations

import copy
import importlib
import io
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.export.rounding import bare_weights
from brf_lava.network.file import read_layer
from brf_lava.network.layers import RealLayer
from brf_lava.neurons.families import find_neuron
from brf_lava.nn.blocks import Block
from brf_lava.nn.neurons import neuron_class
from brf_lava.slayer import block, neuron

SPIKING = {name: getattr(block, name.lower()) for name in ("RF", "BRF", "HRF", "BHRF", "ALIF")}
PARAMS: dict[str, dict[str, Any]] = {
    **{name: {"omega": (5.0, 40.0), "b_offset": (0.1, 3.0)} for name in SPIKING},
    "ALIF": {"theta": 0.5, "tau_mem_mean": 5.0, "tau_mem_std": 1.0},
    "LI": {},
}
SCALES = {**dict.fromkeys(SPIKING, 200.0), "ALIF": 20.0, "LI": 1.0}  # let some neurons spike
every_spiking = pytest.mark.parametrize("name", SPIKING)
ROUNDING = 1e-6  # float32 weights, relative to the largest


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spikes_in(samples: int = 3, channels: int = 4, steps: int = 40) -> Tensor:
    return (torch.rand(samples, channels, steps, generator=seeded(7)) < 0.2).float()


def make(name: str, kind: str = "Recurrent", **options: Any) -> Any:
    """A block with 4 inputs and 9 neurons of which some spike."""
    given = {"weight_scale": SCALES[name], "delay_shift": False, "generator": seeded(), **options}
    neuron_params = {**PARAMS[name], **given.pop("neuron_params", {})}
    return getattr(SPIKING[name], kind)(neuron_params, 4, 9, **given)


# The interface


@every_spiking
def test_spikes_go_in_and_out_as_nct(name: str) -> None:
    for kind in ("Dense", "Recurrent"):
        made = make(name, kind)
        assert made.shape == made.neuron.shape == (9,)
        assert made.neuron.device_params["type"] == name
        spikes = made(spikes_in())
        assert spikes.shape == (3, 9, 40)
        assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_the_blocks_are_those_that_training_uses() -> None:
    made = block.brf.Recurrent(PARAMS["BRF"], 4, 9, 200.0, delay_shift=False, generator=seeded())
    same = Block("BRF", PARAMS["BRF"], 4, 9, recurrent=True, weight_scale=200.0, generator=seeded())
    assert isinstance(made, Block)
    assert made.state_dict().keys() == same.state_dict().keys()
    assert torch.equal(made(spikes_in()), same(spikes_in()))


@every_spiking
def test_defaults_give_a_network_that_runs(name: str) -> None:
    space = SPIKING[name]
    blocks = [
        space.Input({}, weight=400.0, neurons=4),
        space.Recurrent({}, 4, 8),
        space.Dense({}, 8, 8),
        space.Affine({}, 8, 3),
    ]
    x = spikes_in()
    for each in blocks:
        x = each(x)
    assert x.shape == (3, 3, 40)


def test_delay_shift_is_one_step_and_slayers_default() -> None:
    for kind in ("Dense", "Recurrent"):
        prompt, late = make("BRF", kind), make("BRF", kind, delay_shift=True)
        expected, found = prompt(spikes_in()), late(spikes_in())
        assert torch.equal(found[..., 1:], expected[..., :-1])
        assert not found[..., 0].any()
        assert found.permute(2, 0, 1).is_contiguous()
        assert getattr(block.brf, kind)({}, 4, 9).delay_shift


def test_count_log_is_the_share_of_neurons_and_steps_that_spike() -> None:
    spikes, count = make("BRF", count_log=True)(spikes_in())
    assert 0 < float(count) < 1
    assert float(count) == pytest.approx(float(spikes.sum()) / spikes.numel())
    outputs, none = block.li.Affine({}, 4, 3, count_log=True)(spikes_in())
    assert outputs.shape == (3, 3, 40)
    assert none is None


@pytest.mark.parametrize("name", [*SPIKING, "LI"])
def test_a_neuron_alone_is_a_layer_of_identity_weights(name: str) -> None:
    alone = neuron_class(find_neuron(name))(9, seeded(), **PARAMS[name])
    layer = Block(name, PARAMS[name], 9, 9)
    layer.neuron = alone
    with torch.no_grad():
        layer.weight.copy_(torch.eye(9))
    current = 40 * torch.rand(3, 9, 30, generator=seeded())
    found = alone(current)
    assert torch.equal(found, layer(current))
    assert found.any()


def test_input_blocks_scale_and_shift_each_channel() -> None:
    made = block.brf.Input(PARAMS["BRF"], 300.0, 5.0, False, neurons=4, generator=seeded())
    expected = made.neuron(300.0 * spikes_in() + 5.0)
    assert torch.equal(made(spikes_in()), expected)
    assert expected.any()
    made(spikes_in()).sum().backward()
    assert made.weight.grad.abs() > 0
    assert made.bias.grad.abs() > 0
    shifted, count = block.brf.Input(PARAMS["BRF"], neurons=4, count_log=True)(spikes_in())
    assert not shifted[..., 0].any()
    assert float(count) == 0


def test_synapses_have_the_names_that_scripts_for_slayer_use() -> None:
    made = make("BRF")
    assert made.input_synapse.grad_norm == 0
    made(spikes_in()).sum().backward()
    assert made.input_synapse.shape == (9, 4)
    assert (made.recurrent_synapse.in_channels, made.recurrent_synapse.out_channels) == (9, 9)
    assert made.recurrent_synapse.weight is made.recurrent_weight
    expected = float(made.weight.grad.norm()) / 36
    assert made.input_synapse.grad_norm == pytest.approx(expected)
    dense = make("BRF", "Dense")
    dense.synapse.pre_hook_fx = torch.zeros_like
    assert not dense(spikes_in()).any()


def test_modules_copy_load_and_pickle() -> None:
    made = make("BRF")
    expected = made(spikes_in())
    assert torch.equal(copy.deepcopy(made)(spikes_in()), expected)
    buffer = io.BytesIO()
    torch.save(made, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(spikes_in()), expected)
    other = make("BRF", generator=seeded(2))
    assert not torch.equal(other(spikes_in()), expected)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(spikes_in()), expected)


@pytest.mark.parametrize("name", [*SPIKING, "LI"])
def test_help_says_what_a_block_and_a_neuron_take(name: str) -> None:
    space = getattr(block, name.lower())
    kinds = ("Input", "Dense", "Recurrent") if name in SPIKING else ("Input",)
    classes = [getattr(space, kind) for kind in kinds]
    for each in (*classes, getattr(neuron, name.lower()).Neuron):
        text = each.__doc__
        for part in ("Args:\n", "Raises:\n", "ParameterError:", f"neuron_params of {name}:"):
            assert part in text
        for key in find_neuron(name).keys:
            assert f"{key.name}: " in text
            assert key.unit in text
    for each in (*classes, space.Affine):
        assert all(f"    {argument}: " in each.__doc__ for argument in signature(each).parameters)
    assert "tau_mean: steps; a number above 0. Default: 20.0." in space.Affine.__doc__


def test_signatures_are_those_of_slayer() -> None:
    weights = "neuron_params in_neurons out_neurons weight_scale weight_norm pre_hook_fx"
    for kind, expected in (
        ("Dense", f"{weights} delay delay_shift mask count_log"),
        ("Recurrent", f"{weights} requires_grad delay delay_shift count_log"),
        ("Affine", weights),
        ("Input", "neuron_params weight bias delay_shift count_log"),
    ):
        parameters = signature(getattr(block.brf, kind)).parameters.values()
        assert " ".join(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY) == expected
    with pytest.raises(TypeError, match="missing a required argument: 'out_neurons'"):
        block.brf.Dense({}, 4)


# Weights


def test_weights_pass_through_the_hook_and_gradients_past_its_rounding() -> None:
    seen = []

    def hook(weight: Tensor) -> Tensor:
        seen.append(tuple(weight.shape))
        return weight + (torch.round(weight) - weight).detach()

    made = make("BRF", pre_hook_fx=hook)
    made(spikes_in()).sum().backward()
    assert sorted(seen) == [(9, 4), (9, 9)]
    rounded = make("BRF")
    with torch.no_grad():
        rounded.weight.round_()
        rounded.recurrent_weight.round_()
    rounded(spikes_in()).sum().backward()
    assert torch.equal(made(spikes_in()), rounded(spikes_in()))
    assert torch.allclose(made.weight.grad, rounded.weight.grad)
    assert torch.allclose(made.recurrent_weight.grad, rounded.recurrent_weight.grad)
    assert np.array_equal(made.to_real().weights, rounded.to_real().weights)


def lost(layer: RealLayer) -> list[float]:
    """By rounding: the largest error of each matrix, relative to its largest weight."""
    fixed, _ = quantize_layer(layer, LayerFormat())
    unit = layer.neuron.weight_gain(layer.constants) * fixed.unit
    pairs = zip((fixed.weights, fixed.recurrent), bare_weights(layer), strict=False)
    return [np.abs(q.integers / unit - w).max() / np.abs(w).max() for q, w in pairs]


@pytest.mark.parametrize("name", [*SPIKING, "LI"])
def test_weights_trained_on_the_grid_of_the_export_are_not_rounded_again(name: str) -> None:
    made = Block(name, PARAMS[name], 6, 11, recurrent=name != "LI", weight_scale=SCALES[name])
    assert max(lost(made.to_real())) > ROUNDING
    made.pre_hook_fx = made.neuron.quantize_8bit
    assert max(lost(made.to_real())) < ROUNDING
    made(spikes_in(channels=6)).sum().backward()
    assert made.weight.grad.any()


def test_the_grid_holds_weights_of_nothing_and_of_one_size() -> None:
    cell = neuron.brf.Neuron(2, omega=5.0)
    assert torch.equal(cell.quantize_8bit(torch.zeros(2, 3)), torch.zeros(2, 3))
    equal = torch.full((2, 3), 100.0)  # times dt: 1, a power of two
    assert torch.allclose(cell.quantize_8bit(equal), equal)
    spread = torch.tensor([[127.6, 1.0]])  # rounds to mantissa 128 on a grid of 1: a coarser one
    rounded = cell.quantize_8bit(spread / 0.01) * 0.01
    assert rounded[0].tolist() == pytest.approx([128.0, 0.0])


def test_weight_norm_learns_lengths_and_directions() -> None:
    plain, normed = make("BRF"), make("BRF", weight_norm=True)
    assert torch.equal(normed(spikes_in()), plain(spikes_in()))
    normed(spikes_in()).sum().backward()
    assert normed.recurrent_synapse.grad_norm > 0
    assert normed.recurrent_synapse.weight_norm_enabled
    names = dict(normed.named_parameters())
    assert "weight" not in names
    assert all(parameter.grad.any() for parameter in names.values())
    with torch.no_grad():
        normed.parametrizations.weight.original0.fill_(3.0)
    assert np.linalg.norm(normed.to_real().weights, axis=1) == pytest.approx(3.0)
    frozen = make("BRF", weight_norm=True, requires_grad=False)
    learned = {name for name, value in frozen.named_parameters() if value.requires_grad}
    assert "parametrizations.weight.original0" in learned
    assert not any("recurrent" in name for name in learned)


def test_masked_synapses_carry_nothing() -> None:
    mask = torch.ones(9, 4)
    mask[:, 2] = 0
    made = make("BRF", "Dense", mask=mask)
    x = spikes_in().requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    assert not x.grad[:, 2].any()
    assert x.grad[:, 1].any()
    assert not made.to_real().weights[:, 2].any()


# Parameters of the neurons


def test_parameters_can_be_frozen_and_shared() -> None:
    made = make("BRF", neuron_params={"requires_grad": False, "shared_param": True})
    assert {name for name, value in made.named_parameters() if value.requires_grad} == {
        "weight",
        "recurrent_weight",
    }
    assert made.neuron.omega.shape == (1,)
    assert made.neuron.coefficients().shape == (2, 9)
    assert made.to_real().coefficients.shape == (2, 9)
    learning = make("BRF", neuron_params={"shared_param": True})
    learning(spikes_in()).sum().backward()
    assert learning.neuron.omega.grad.abs() > 0


def test_shared_neurons_learn_their_number_from_the_first_input() -> None:
    cell = neuron.hrf.Neuron(shared_param=True, omega=7, b_offset=np.float32(0.5))
    assert (cell.omega.tolist(), cell.b_offset.tolist()) == ([7.0], [0.5])
    assert cell.shape is None
    assert cell(torch.zeros(2, 5, 3)).shape == (2, 5, 3)
    assert cell.shape == (5,)
    with pytest.raises(ParameterError, match=r"HRF: an input of shape \[2, 6, 3\]"):
        cell(torch.zeros(2, 6, 3))


REFUSED: tuple[tuple[str, Any, str], ...] = (
    ("BRF", {"threshold": 1}, "threshold: no such key. There are dt, theta, "),
    ("BRF", {"omga": 1}, "omga: no such key. Did you mean omega?"),
    ("RF", {"gamma": 0.9}, "gamma: no such key"),
    ("ALIF", {"theta": "high"}, 'theta: "high"; allowed is a number above 0.'),
    ("BRF", {"omega": (3.0, 2.0)}, r"omega: \[3, 2\]; allowed is a range \[low, high\] of numbers"),
    ("BRF", {"omega": (3.0, float("nan"))}, r"omega: \[3.0, nan\]; allowed is a range"),
    ("BRF", {"dt": 0.0}, "dt: 0.0; allowed is a number above 0."),
    ("BHRF", {"gamma": 1.5}, "gamma: 1.5; allowed is a number at least 0 and below 1."),
    ("BRF", {"shared_param": 1}, "shared_param: 1; allowed is true or false."),
    ("BRF", {"surrogate": "box"}, 'surrogate: "box"; allowed is one of "double-gaussian"'),
    ("BRF", {"omega": 100.0}, "omega: up to 100 rad/s; dt.omega must stay below 1"),
    ("BRF", None, "None; a dictionary is needed"),
    ("RF", [("theta", 1)], ".*; a dictionary is needed"),
    ("HRF", {1: 2}, "1: no such key"),
    ("ALIF", {"neurons": 3}, "neurons: no such key"),
)


def test_what_a_neuron_does_not_know_is_refused() -> None:
    for name, params, message in REFUSED:
        for kind in ("Dense", "Recurrent", "Input"):
            sizes: dict[str, int] = {"in_neurons": 4, "out_neurons": 9}
            sizes = {"neurons": 9} if kind == "Input" else sizes
            where = f"^{name} neuron_params: "
            with pytest.raises(ParameterError, match=where + message) as caught:
                getattr(SPIKING[name], kind)(params, **sizes)
            assert "\n" not in str(caught.value)


def test_no_samples_are_no_gradient() -> None:
    made = make("BRF")
    made(torch.zeros(0, 4, 5)).sum().backward()
    assert all(not parameter.grad.any() for parameter in made.parameters())


def test_other_refusals() -> None:
    with pytest.raises(ParameterError, match="there are no learned ones"):
        block.brf.Dense({}, 4, 9, delay=True)
    with pytest.raises(ParameterError, match=r"BRF\.neurons: None"):
        neuron.brf.Neuron()
    with pytest.raises(ParameterError, match=r"shape \[3, 5, 40\]; \[batch, 4, time\] with one"):
        make("BRF")(spikes_in(channels=5))
    with pytest.raises(ParameterError, match=r"shape \[3, 4\]"):
        make("BRF")(torch.zeros(3, 4))
    with pytest.raises(ParameterError, match=r"shape \[3, 4, 0\]"):
        make("BRF")(torch.zeros(3, 4, 0))
    with pytest.raises(ParameterError, match=r"torch\.float64 on cpu for .* torch\.float32 on cpu"):
        make("BRF")(spikes_in().double())
    for sizes in ((-4, 9), (0, 9), (4, 0), (4, 2.0)):
        with pytest.raises(ParameterError, match=r"BRF block: .*; a whole number from 1"):
            block.brf.Recurrent({}, *sizes)
    with pytest.raises(ParameterError, match=r"mask of shape \[4, 9\], not \[9, 4\]"):
        block.brf.Dense({}, 4, 9, mask=torch.ones(4, 9))


# State between calls


@every_spiking
def test_two_halves_are_one_sequence_in_every_bit(name: str) -> None:
    x = spikes_in()
    for kind, delay_shift, backend in (
        ("Dense", False, "cpu"),
        ("Dense", True, "reference"),
        ("Recurrent", True, "cpu"),
        ("Recurrent", False, "reference"),
    ):
        whole = make(name, kind, delay_shift=delay_shift)
        pieces = make(name, kind, delay_shift=delay_shift, neuron_params={"persistent_state": True})
        whole.backend = pieces.backend = backend
        expected = whole(x)
        found = torch.cat([pieces(x[..., :13]), pieces(x[..., 13:14]), pieces(x[..., 14:])], dim=2)
        assert torch.equal(found, expected)
        assert not torch.equal(whole(x[..., 14:]), expected[..., 14:]), "the state does nothing"


def test_state_is_kept_only_when_asked_for_and_dropped_with_the_batch() -> None:
    x = spikes_in()
    fresh, keeping = make("BRF"), make("BRF", neuron_params={"persistent_state": True})
    expected = fresh(x)
    assert torch.equal(fresh(x), expected)
    assert torch.equal(keeping(x), expected)
    assert not torch.equal(keeping(x), expected)
    keeping.reset_state()
    assert torch.equal(keeping(x), expected)
    assert torch.equal(keeping(x[:2]), expected[:2])  # another batch starts from zero
    assert keeping.state_dict().keys() == fresh.state_dict().keys()
    keeping(x)
    assert torch.equal(keeping.double()(x.double()), fresh.double()(x.double()))


def test_a_piece_learns_from_itself_alone() -> None:
    keeping = make("BRF", neuron_params={"persistent_state": True})
    for _ in range(2):  # a second backward pass through the first piece would raise
        keeping(spikes_in()).sum().backward()


def test_input_blocks_and_readouts_keep_state_too() -> None:
    for build in (
        lambda **kept: block.brf.Input(
            {**PARAMS["BRF"], **kept}, 300.0, neurons=4, generator=seeded()
        ),
        lambda **kept: block.li.Affine({**kept}, 4, 3, generator=seeded()),
    ):
        whole, pieces = build(), build(persistent_state=True)
        x = spikes_in()
        found = torch.cat([pieces(x[..., :9]), pieces(x[..., 9:])], dim=2)
        assert torch.equal(found, whole(x))


# Export


def test_every_block_exports_a_layer_that_reads_back(tmp_path: Path) -> None:
    blocks: tuple[Any, ...] = (
        block.alif.Input(PARAMS["ALIF"], 3.0, neurons=4, generator=seeded()),
        make("BRF", "Dense", count_log=True),
        make("BRF"),
        block.li.Affine({}, 4, 9, weight_norm=True, generator=seeded()),
    )
    path = tmp_path / "block.h5"
    for made in blocks:
        with h5py.File(path, "w") as file:
            made.export_hdf5(file.create_group("layer/1"))
        with h5py.File(path) as file:
            layer = read_layer(file["layer/1"], path)
        expected, _ = quantize_layer(made.to_real(), LayerFormat())
        assert layer.neuron is made.neuron.family
        assert np.array_equal(layer.weights.integers, expected.weights.integers)
        assert np.array_equal(layer.coefficients, expected.coefficients)
        assert (layer.recurrent is not None) is isinstance(made, block.BRFRecurrent)
        if isinstance(made, block.ALIFInput):
            diagonal = np.diag(layer.weights.integers)
            assert np.array_equal(np.diag(diagonal), layer.weights.integers)
            assert diagonal.all()


def test_an_input_block_that_no_file_can_hold_is_refused() -> None:
    for made in (block.brf.Input({}, 1.0, 0.5, neurons=3), block.brf.Input({"shared_param": True})):
        with pytest.raises(ParameterError, match="bias=None and a known number"):
            made.to_real()


# The gradient through the membrane


def late_by_early(made: Any, steps: int = 20) -> Tensor:
    """Gradient of the last output of the first neuron with respect to all inputs [1, 1, T]."""
    x = torch.zeros(1, 1, steps)
    x[0, 0, 0] = 1.0
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(made(x)[0, 0, -1], x)
    return gradient.flatten()


@every_spiking
def test_gradients_pass_through_the_membrane_of_a_recurrent_block(name: str) -> None:
    """Recurrent weights of 0 change nothing, in the gradient either."""
    space = SPIKING[name]
    dense, recurrent = (
        getattr(space, kind)(PARAMS[name], 1, 1, delay_shift=False, generator=seeded())
        for kind in ("Dense", "Recurrent")
    )
    with torch.no_grad():
        dense.weight.fill_(50.0)
        recurrent.weight.fill_(50.0)
        recurrent.recurrent_weight.zero_()
    recurrent.neuron.load_state_dict(dense.neuron.state_dict())
    found = late_by_early(recurrent)
    assert torch.equal(found, late_by_early(dense))
    assert found[:-1].all()
    exact = copy.deepcopy(recurrent)
    exact.backend = "reference"
    assert torch.allclose(found, late_by_early(exact), rtol=1e-4)


# Among stock SLAYER blocks

CUBA = {"threshold": 1.0, "current_decay": 0.25, "voltage_decay": 0.1}


@pytest.fixture
def slayer() -> Any:
    return importlib.import_module("lava.lib.dl.slayer")


class Mixed(nn.Module):
    """Blocks in a row, as in a script for SLAYER."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Any:
        counts = []
        for each in self.blocks:
            x = each(x)
            if isinstance(x, tuple):
                x, count = x
                counts.append(float(count))
        return (x, counts) if counts else x


@pytest.mark.parametrize("counting", [False, True])
def test_training_in_a_module_list_with_slayers_assistant(slayer: Any, counting: bool) -> None:
    torch.manual_seed(3)
    cuba, brf = slayer.block.cuba, block.brf
    ours = {"omega": (10.0, 60.0), "b_offset": (0.5, 2.0)}
    if counting:  # which SLAYER's own blocks cannot
        hook = partial(slayer.utils.quantize_hook_fx, scale=4)  # from -128 to 127.5
        blocks = [brf.Recurrent(ours, 6, 16, 100, pre_hook_fx=hook, count_log=True)]
        blocks += [brf.Dense(ours, 16, 3, 100, weight_norm=True, count_log=True)]
    else:
        blocks = [cuba.Dense(dict(CUBA), 6, 16, weight_scale=4), brf.Recurrent(ours, 16, 16, 100)]
        blocks += [cuba.Dense(dict(CUBA), 16, 3, weight_scale=4, weight_norm=True)]
    net = Mixed(blocks)
    labels = torch.arange(12) % 3
    rates = 0.05 + 0.4 * (torch.arange(6)[None] // 2 == labels[:, None]).float()
    x = (torch.rand(12, 6, 60, generator=seeded()) < rates[..., None]).float()
    stats = slayer.utils.LearningStats()
    rate = slayer.loss.SpikeRate(true_rate=0.3, false_rate=0.03, reduction="sum")
    assistant = slayer.utils.Assistant(
        net,
        rate,
        torch.optim.Adam(net.parameters(), lr=1.0),
        stats,
        classifier=slayer.classifier.Rate.predict,
        count_log=counting,
    )
    losses = []
    for _ in range(15):
        answer = assistant.train(x, labels)
        output, counts = answer if counting else (answer, [])
        losses.append(float(rate(output, labels)))
    assert output.shape == (12, 3, 60)
    assert all(0 <= count <= 1 for count in counts)
    assert len(counts) == 2 * counting
    assert min(losses[-3:]) < 0.7 * losses[0], losses
    assistant.test(x, labels)
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in learned)
