"""Does a network fit: the memory model, the division into cores, the limits and the command."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network

from brf_lava.backends.loihi2.listing import count
from brf_lava.backends.loihi2.program import network_programs
from brf_lava.board import fits
from brf_lava.board.describe import (
    LayerShape,
    NetworkShape,
    layer_shape,
    network_shape,
    read_description,
)
from brf_lava.board.fits import (
    RESOURCES,
    Placement,
    neuron_words,
    part_loads,
    place,
)
from brf_lava.cli.main import main
from brf_lava.config.profile import Limits, Loihi2Profile, load_profile
from brf_lava.config.shipped import shipped
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.network.file import write_network
from brf_lava.neurons.families import NEURONS

BOARDS = ("loihi2-oheogulch", "loihi2-kapohopoint", "loihi2-halapoint")


def board(name: str = "loihi2-oheogulch", **values: int) -> Loihi2Profile:
    """A shipped profile with other limits."""
    profile = load_profile(name)
    assert isinstance(profile, Loihi2Profile)
    changed = {key: replace(getattr(profile.limits, key), value=v) for key, v in values.items()}
    return replace(profile, limits=replace(profile.limits, **changed))


def chain(inputs: int, *layers: tuple[str, int, bool], classes: int = 10) -> NetworkShape:
    """Layers (neuron, neurons, recurrent) one after the other, then a readout."""
    found = []
    for neuron, neurons, recurrent in (*layers, ("LI", classes, False)):
        found.append(LayerShape(neuron, neurons, inputs, recurrent, 8))
        inputs = neurons
    return NetworkShape("a chain", tuple(found))


def assert_valid(placement: Placement) -> None:
    """Every neuron exactly once, no core over a limit, no more cores than parts or than needed."""
    profile, packing = placement.profile, placement.profile.packing
    expected = np.tile(fits.empty_core(packing), (placement.cores, 1))
    for index, split in enumerate(placement.splits):
        assert len(split.cores) == split.parts
        assert len(set(split.cores.tolist())) == split.parts, "two parts of a layer on one core"
        if not split.parts:
            continue
        assert int(split.sizes.sum()) == placement.network.layers[index].neurons
        assert split.sizes.min() > 0
        assert split.sizes.max() - split.sizes.min() <= 1
        last = index + 1 == len(placement.splits)
        onward = 1 if last else placement.splits[index + 1].parts
        assert split.reached == onward + split.parts * split.layer.recurrent or not onward
        expected[split.cores] += part_loads(split.layer, split.sizes, split.reached, packing)
    assert np.array_equal(placement.loads, expected)
    assert (placement.loads <= fits.capacity(profile)).all()
    assert (placement.loads[:, fits.NEURONS] > 0).all(), "an empty core"
    if all(split.parts for split in placement.splits):
        assert placement.ratio is not None
        assert placement.ratio >= 1


# The memory model


def test_the_published_compiler_report_is_met() -> None:
    """784-128-64-10 leaky integrators on a board: rows of 10, 50 and 64 weights of 8 bits."""
    one_axon = LayerShape("LI", 64, 1, False, 8)
    rows = part_loads(one_axon, [10, 50, 64], 1, board().packing)[:, fits.SYNAPSES]
    assert rows.tolist() == [4, 16, 21]
    assert 784 * rows[2] > board().limits.synapse_words.value  # it used three cores


def test_words_of_a_neuron() -> None:
    packing = board().packing
    words = {
        name: neuron_words(LayerShape(name, 1, 1, False, 8), packing) for name in NEURONS
    }  # states of 24 bits, two in a word, and two words of parameters
    assert words == {"RF": 3, "BRF": 4, "HRF": 3, "BHRF": 4, "ALIF": 4, "LI": 3}


def test_words_of_coefficients_are_one_more_than_a_program_needs() -> None:
    """A third parameter, such as a threshold of its own, has room: the safe side, as it says."""
    network = random_network(np.random.default_rng(0), (2, 1, 1))
    hidden = count(network_programs(network)[0])
    packing = board().packing
    assert (hidden.coefficient_words, packing.parameter_words.value) == (1, 2)
    assert "'brf-lava loihi2 program' counts 1" in packing.parameter_words.source


def test_a_part_by_hand() -> None:
    layer = LayerShape("BRF", 36, 4, True, 8)
    words = 40 * 12  # 24 + 36 * 20 = 744 bits take 12 words
    load = part_loads(layer, [36], 2, board().packing)[0]
    assert load.tolist() == [36, 1, 40, 72, words, words + 40 + 36 * (4 + 2)]


# Division and placement


def test_a_small_network_shares_one_core() -> None:
    placement = place(chain(4, ("BRF", 36, True), classes=6), board())
    assert_valid(placement)
    assert (placement.cores, placement.chips, placement.ratio) == (1, 1, 1.0)
    assert placement.core_parts() == [((1, 36), (2, 6))]
    assert placement.loads[0].tolist() == [42, 2, 76, 78, 480 + 36 * 3, 736 + 36 * 4 + 6 * 4 + 1]
    assert not placement.violations
    assert not placement.notices


def test_a_layer_is_divided_evenly_and_says_why() -> None:
    placement = place(chain(700, ("BRF", 128, True), classes=20), board())
    assert_valid(placement)
    assert [split.parts for split in placement.splits] == [3, 1]
    assert placement.splits[0].sizes.tolist() == [43, 43, 42]
    # 64 neurons: 24 + 64 * 20 = 1304 bits are 21 words, of each of 828 axons
    assert placement.splits[0].reason == "2 would need 17,388 of 16,000 synapse words"
    assert placement.core_parts() == [((1, 43), (2, 20)), ((1, 43),), ((1, 42),)]


def test_a_core_takes_no_more_groups_than_allowed() -> None:
    network = chain(4, *[("RF", 4, False)] * 10)
    assert place(network, board()).cores == 2
    placement = place(network, board(groups_per_core=3))
    assert_valid(placement)
    assert placement.cores == placement.bound[fits.GROUPS] == 4


def bound_of(network: NetworkShape, profile: Loihi2Profile) -> dict[str, int]:
    titles = [resource.title for resource in RESOURCES]
    return dict(zip(titles, place(network, profile).bound.tolist(), strict=True))


def test_the_lower_bound_by_hand() -> None:
    """256 BRF neurons with 257 axons: at most 197 on a core, and 194 fill their rows' words."""
    assert 257 * 62 <= 16_000 < 257 * 63  # words of a row: of 195 to 197 neurons, and of 198
    assert 24 + 20 * 194 == 61 * 64
    synapses = 256 / 194 * 257 * 61 + 256 * 4
    axons = 256 / 194 * 257 + 256
    words = 256 * (4 + 3) + 10 * (3 + 1)  # two parts of the layer and one readout are reached
    assert bound_of(chain(1, ("BRF", 256, True)), board()) == {
        "neurons": 1,
        "groups": 1,
        "input axons": 1,
        "output axons": 1,
        "synapse words": math.ceil(synapses / 16_000),
        "memory words": math.ceil((synapses + axons + words) / 19_999),
    }
    assert math.ceil(synapses / 16_000) == 2


def test_the_lower_bound_counts_axons_of_every_core_and_its_own_word() -> None:
    """100 neurons with 3 axons on 20 cores or more, 100 axons of the readout."""
    network = chain(3, ("RF", 100, False), classes=1)
    found = bound_of(network, board(neurons_per_core=5, input_axons=120, memory_words=784))
    assert found["neurons"] == 21
    assert found["input axons"] == math.ceil((20 * 3 + 100) / 120)
    # words of 20 parts of 5, then of the readout
    assert 20 * (3 * 2 + 3 + 5 * (3 + 1)) + 100 * 1 + 100 + 3 + 1 == 784
    assert found["memory words"] == 2  # one word of a core is not for neurons
    assert bound_of(network, board(neurons_per_core=5, memory_words=785))["memory words"] == 1


def log_uniform(rng: np.random.Generator, most: int) -> int:
    return int(np.exp(rng.uniform(0, np.log(most))))


def random_chain(rng: np.random.Generator) -> NetworkShape:
    """Up to 40 layers of up to 2000 neurons."""
    layers = [
        ("BRF", log_uniform(rng, 2000), bool(rng.integers(2))) for _ in range(rng.integers(1, 41))
    ]
    return chain(log_uniform(rng, 2000), *layers, classes=int(rng.integers(2, 101)))


def test_cores_are_near_the_lower_bound() -> None:
    """Of 400 such networks the median is 1.09 and the largest 1.67, 5 cores instead of 3."""
    rng = np.random.default_rng(0)
    ratios = [place(random_chain(rng), board("loihi2-halapoint")).ratio for _ in range(60)]
    known = [ratio for ratio in ratios if ratio is not None]
    assert len(known) >= 50
    assert np.median(known) < 1.11
    assert max(known) < 1.4


def test_small_layers_share_cores_as_far_as_they_fit() -> None:
    """100 neurons take 6400 synapse words: two such layers fit a core."""
    placement = place(chain(100, *[("BRF", 100, True)] * 10, classes=1), board())
    assert_valid(placement)
    assert (placement.cores, placement.bound.max()) == (5, 4)
    assert [split.parts for split in placement.splits] == [1] * 11
    assert sorted(len(parts) for parts in placement.core_parts()) == [2] * 4 + [3]


shapes = st.lists(
    st.tuples(
        st.sampled_from([name for name, neuron in NEURONS.items() if neuron.spiking]),
        st.integers(1, 3000),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(
    layers=shapes,
    inputs=st.integers(1, 3000),
    classes=st.integers(1, 300),
    tight=st.dictionaries(
        st.sampled_from(["neurons_per_core", "input_axons", "output_axons", "synapse_words"]),
        st.integers(100, 5000),
    ),
    groups=st.integers(1, 8),
)
def test_every_neuron_has_its_place(
    layers: list[tuple[str, int, bool]],
    inputs: int,
    classes: int,
    tight: dict[str, int],
    groups: int,
) -> None:
    network = chain(inputs, *layers, classes=classes)
    placement = place(network, board(groups_per_core=groups, **tight))
    assert_valid(placement)
    unplaced = [split for split in placement.splits if not split.parts]
    named = {each.split(" (")[0] for each in placement.violations if "neuron on" in each}
    assert len(named) == len(unplaced)


@settings(deadline=None, max_examples=60)
@given(
    neurons=st.integers(1, 400),
    inputs=st.integers(1, 60),
    recurrent=st.booleans(),
    reached=st.integers(1, 20),
    words=st.integers(200, 3000),
    outputs=st.integers(20, 3000),
)
def test_no_fewer_parts_would_do(
    neurons: int, inputs: int, recurrent: bool, reached: int, words: int, outputs: int
) -> None:
    """Against every number of parts, one after the other."""
    profile = board(synapse_words=words, output_axons=outputs)
    layer = LayerShape("BRF", neurons, inputs, recurrent, 8)
    room = fits.capacity(profile) - fits.empty_core(profile.packing)

    def fit(parts: int) -> bool:
        size, reach = -(-neurons // parts), reached + parts * recurrent
        return bool((part_loads(layer, [size], reach, profile.packing) <= room).all())

    fewest = next((parts for parts in range(1, neurons + 1) if fit(parts)), 0)
    assert fits.fewest_parts(profile, layer, reached).parts == fewest


def test_a_million_neurons_fit_the_large_system() -> None:
    network = chain(1000, *[("BRF", 1000, True)] * 1000)
    placement = place(network, board("loihi2-halapoint"))
    assert_valid(placement)
    assert placement.network.neurons == 1_000_010
    assert not placement.violations
    assert placement.ratio is not None
    assert placement.ratio < 1.25
    assert placement.cores == 47_995
    assert placement.bound.max() == placement.bound[fits.MEMORY] == 43_095
    assert "not modeled" in placement.notices[-1]


# What does not fit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"input_axons": 30},
            "layer 1 (BRF), one neuron on a core: input axons: 40 needed, 30 allowed; make this",
        ),
        (
            {"output_axons": 30},
            "layer 1 (BRF), one neuron on a core: output axons: 37 needed, 30 allowed; make this",
        ),
        (
            {"synapse_words": 35},
            "layer 1 (BRF), one neuron on a core: synapse words: 40 needed, 35 allowed; make this",
        ),
        ({"memory_words": 84}, "memory words: 124 needed, 84 allowed; make this layer or the one"),
        (
            {"neurons_per_core": 1, "cores_per_chip": 5},
            "oheogulch, 42 cores: chips: 9 needed, 1 allowed; use a board with more chips",
        ),
        (
            {"weight_bits": 6},
            "layer 1 (BRF): bits of a weight: 8 needed, 6 allowed; export with --weight-bits 6",
        ),
        ({"state_bits": 20}, "all layers: bits of a state: 24 needed, 20 allowed; use a board"),
    ],
)
def test_each_violated_limit_is_named(values: dict[str, int], expected: str) -> None:
    network = chain(4, ("BRF", 36, True), classes=6)
    placement = place(network, board(**values))
    assert_valid(placement)
    assert any(expected in each for each in placement.violations), placement.violations
    with pytest.raises(DoesNotFitError, match=r"net\.h5: does not fit oheogulch: ") as error:
        placement.require_fit("net.h5")
    assert error.value.exit_code == 1


def test_a_layer_that_no_core_can_take_a_neuron_of() -> None:
    network = chain(1000, ("BRF", 1_000_000, True))
    placement = place(network, board("loihi2-halapoint"))
    assert_valid(placement)
    assert placement.ratio is None
    resources = [each.split(": ")[1] for each in placement.violations[:4]]
    assert resources == ["input axons", "output axons", "synapse words", "memory words"]
    with pytest.raises(DoesNotFitError, match=r"1,001,000 needed, 16,000 allowed.*And 4 more"):
        placement.require_fit("net.h5")


def test_more_cores_than_are_placed_are_refused() -> None:
    with pytest.raises(ParameterError, match="at most 1,000,000 are placed"):
        place(chain(1, *[("RF", 4096, False)] * 2000), board(neurons_per_core=1))


def test_notices_name_the_largest() -> None:
    narrow = chain(5000, ("RF", 10, False), ("RF", 10, False))
    (notice,) = place(narrow, board()).notices
    assert notice.startswith("5,000 input axons on a core (layer 1) are more than the 4,096 of")
    loud = [replace(layer, input_sum=40_000 + i) for i, layer in enumerate(chain(4).layers * 3)]
    (notice,) = place(NetworkShape("x", tuple(loud)), board()).notices
    assert "add up to 40,002 (layer 3, and 2 more layers)" in notice


# Networks and descriptions


def test_the_sizes_of_a_network_in_integers() -> None:
    network = random_network(np.random.default_rng(0), (4, 7, 3), input_range=(-128, 255))
    shape = network_shape(network, "x")
    hidden, readout = shape.layers
    assert (hidden.neuron, hidden.neurons, hidden.inputs, hidden.recurrent) == ("BRF", 7, 4, True)
    assert (hidden.sources, hidden.synapses, shape.synapses) == (11, 77, 77 + 21)
    mantissa = network.layers[0].weights.mantissa.astype(int)
    recurrent = network.layers[0].recurrent
    assert recurrent is not None
    assert (network.layers[0].weights.exponent, recurrent.exponent) == (7, 5)
    both = 255 * 4 * np.abs(mantissa).sum(1) + np.abs(recurrent.mantissa.astype(int)).sum(1)
    assert hidden.input_sum == both.max()
    assert readout.input_sum == np.abs(network.layers[1].weights.mantissa.astype(int)).sum(1).max()


@pytest.mark.parametrize(("exponent", "expected"), [(3, 5 + 7), (5, 5 + 28), (2, 10 + 7)])
def test_inputs_and_recurrent_spikes_add_up(exponent: int, expected: int) -> None:
    """Weights 2, -3 with exponent 3 and a recurrent 7 with another: in units of the lesser."""
    network = random_network(np.random.default_rng(0), (2, 1, 1))
    hidden = network.layers[0]
    weights = replace(hidden.weights, mantissa=np.array([[2, -3]], np.int8), exponent=3)
    recurrent = replace(hidden.weights, mantissa=np.array([[7]], np.int8), exponent=exponent)
    layer = replace(hidden, weights=weights, recurrent=recurrent)
    assert layer_shape(layer).input_sum == expected
    silent = replace(recurrent, mantissa=np.zeros((1, 1), np.int8), exponent=0)
    assert layer_shape(replace(hidden, weights=weights, recurrent=silent)).input_sum == 5


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-128, 0, 8), (0, 127, 8), (-1, 1, 2), (-2, 1, 2), (0, 0, 1)]
)
def test_bits_that_weights_need(low: int, high: int, bits: int) -> None:
    network = random_network(np.random.default_rng(0), (2, 1, 1), recurrent=False)
    weights = replace(network.layers[0].weights, mantissa=np.array([[low, high]], np.int8))
    layer = replace(network.layers[0], weights=weights)
    assert (
        network_shape(replace(network, layers=(layer, network.layers[1])), "").layers[0].weight_bits
        == bits
    )


DESCRIPTION = """
name = "SHD"
inputs = 700
[[layer]]
neuron = "BRF"
neurons = 128
recurrent = true
repeat = 2
[[layer]]
neuron = "LI"
neurons = 20
recurrent = false
repeat = 1
"""


def test_a_description_in_toml_and_json(tmp_path: Path) -> None:
    expected = chain(700, ("BRF", 128, True), ("BRF", 128, True), classes=20).layers
    path = tmp_path / "shd.toml"
    path.write_text(DESCRIPTION)
    assert read_description(path) == NetworkShape("SHD", expected)
    hidden = {"neuron": "BRF", "neurons": 128, "recurrent": True, "repeat": 2}
    readout = {"neuron": "LI", "neurons": 20, "recurrent": False, "repeat": 1}
    other = tmp_path / "shd.json"
    other.write_text(json.dumps({"name": "SHD", "inputs": 700, "layer": [hidden, readout]}))
    assert read_description(other) == read_description(path)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"BRF"', '"BFR"', "layer 1: neuron"),
        ('"LI"', '"RF"', "layer 2: neuron RF; layers that spike come first"),
        ("neurons = 128", "neurons = 0", "layer 1: neurons: 0; allowed is a whole number, 1 to"),
        ("recurrent = false", "recurrent = true", "a readout is not recurrent"),
        ("repeat = 1\n", "repeat = 2\n", "a readout is not recurrent and not repeated"),
        ("repeat = 2\n", "", "layer 1: repeat is missing. Add it."),
        ("inputs = 700", "inputs = 700\nsize = 1", "size: no such key"),
        ("inputs = 700", "inputs = ", "not valid TOML"),
        ("[[layer]]", "[[layers]]", "layer: a list of layers is needed"),
    ],
)
def test_another_description_is_refused(tmp_path: Path, old: str, new: str, part: str) -> None:
    path = tmp_path / "net.toml"
    assert old in DESCRIPTION
    path.write_text(DESCRIPTION.replace(old, new))
    with pytest.raises(ParameterError) as error:
        read_description(path)
    assert str(error.value).startswith(str(path))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("net.json", b"[1]", "list; a JSON object is needed"),
        ("net.json", b"{", "not valid JSON"),
        ("net.json", b'{"inputs": 4, "inputs": 5}', "not valid JSON (inputs stands there twice)"),
        ("net.json", b'{"layer": [1]}', "layer: a list of layers"),
        ("net.toml", b"\xff", "byte 0 is not UTF-8"),
        ("net.yaml", b"", "a description of type .yaml; .toml or .json"),
        ("absent.toml", None, "cannot be read"),
    ],
)
def test_no_description(tmp_path: Path, name: str, content: bytes | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ParameterError, match=re.escape(part)):
        read_description(tmp_path / name)


# The command


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["map", *map(str, arguments)])


def one_error(result: Result, code: int) -> str:
    """The message of the only error, on the last line."""
    assert isinstance(result.exception, SystemExit), result.output
    assert result.exit_code == code
    assert result.output.count("Error: ") == 1
    return result.output.rstrip("\n").splitlines()[-1].removeprefix("Error: ")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 36, 6)), path)
    return path


@pytest.mark.parametrize("name", BOARDS)
def test_map_prints_every_limit_with_its_source(network: Path, name: str) -> None:
    result = command(network, "--profile", name)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.replace("│", " ").split())
    profile = load_profile(name)
    assert isinstance(profile, Loihi2Profile)
    for resource in RESOURCES:
        assert f" {resource.title} " in text
    for key in Limits.__dataclass_fields__:
        limit = getattr(profile.limits, key)
        assert f" {limit.value:,} " in text, key
        assert limit.source.split()[0] in text
        assert limit.certainty in text
    assert "Fits: 1 of" in text
    assert " ops " in text
    assert "Nothing here was verified on hardware." in text


def test_map_says_no_after_the_whole_map(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_text(DESCRIPTION.replace("repeat = 2", "repeat = 200"))
    result = command("--describe", path)
    assert "chips: " in one_error(result, 1)
    assert "Does not fit: oheogulch, " in result.output
    assert "and 177 more rows, see --all" in result.output  # of 201 layers
    assert "Fits" not in result.output
    assert "177 more rows" not in command("--describe", path, "--all").output


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_map_draws(tmp_path: Path, suffix: str) -> None:
    path, out = tmp_path / "net.toml", tmp_path / f"map.{suffix}"
    path.write_text(DESCRIPTION)
    result = command("--describe", path, "-o", out)
    assert result.exit_code == 0, result.output
    content = out.read_bytes()
    if suffix == "png":
        assert content.startswith(b"\x89PNG")
        return
    fullest = place(read_description(path), board()).utilization.max()
    share = f">{100 * fullest:.0f}<".encode()
    for words in (b"SHD on oheogulch", b"synapse words", b"% of the limit", share):
        assert words in content


def test_map_draws_a_large_system(tmp_path: Path) -> None:
    path, out = tmp_path / "large.toml", tmp_path / "map.svg"
    path.write_text(DESCRIPTION.replace("repeat = 2", "repeat = 2000"))
    result = command("--describe", path, "-o", out, "--profile", "loihi2-halapoint")
    assert result.exit_code == 0, result.output
    assert b"the fullest of each " in out.read_bytes()
    assert out.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "name either a network file or"),
        (("{net}", "--describe", "{net}"), "name either a network file or"),
        (("{net}", "--profile", "sim"), "is of kind 'sim', not a Loihi 2 board"),
        (("{net}", "--profile", "loihi2-oheogulsch"), "Did you mean loihi2-oheogulch?"),
        (("{net}", "-o", "map.gif"), "a picture of type .gif"),
        (("{net}", "-o", "{net}.toml/map.png"), "does not exist"),
        (("absent.h5",), "absent.h5"),
    ],
)
def test_wrong_use_is_one_line(network: Path, arguments: tuple[str, ...], part: str) -> None:
    assert part in one_error(command(*(each.format(net=network) for each in arguments)), 2)


def test_integers_that_no_core_can_hold_do_not_fit(tmp_path: Path) -> None:
    """40 inputs of 127 << 15 add up to more than 24 bits hold."""
    network = random_network(np.random.default_rng(1), (40, 3, 2), exponent=15)
    write_network(network, tmp_path / "net.h5")
    result = CliRunner().invoke(main, ["map", str(tmp_path / "net.h5")])
    assert result.exit_code == 1
    assert "does not fit oheogulch: hidden1: weights of neuron" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("input_bits", 10**12, "1 to 64"),
        ("word_bits", 2048, "1 to 1024"),
        ("neurons_per_core", 10**30, "1 to 2147483647"),
    ],
)
def test_numbers_beyond_reason_are_refused(
    network: Path, tmp_path: Path, key: str, value: int, allowed: str
) -> None:
    """None of them makes a map that takes forever."""
    own = (shipped("deploy") / "loihi2-oheogulch.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(re.sub(rf"({key} = {{ value = )\d+", rf"\g<1>{value}", own))
    message = one_error(command(network, "--profile", path), 2)
    assert f"{key}.value: {value}; allowed is a whole number, {allowed}." in message


def test_a_name_that_no_font_has_is_spelled_out(tmp_path: Path) -> None:
    hidden = {"neuron": "BRF", "neurons": 3, "recurrent": True, "repeat": 1}
    readout = {"neuron": "LI", "neurons": 2, "recurrent": False, "repeat": 1}
    path, out = tmp_path / "net.json", tmp_path / "map.svg"
    path.write_text(json.dumps({"name": "a\ud800", "inputs": 3, "layer": [hidden, readout]}))
    result = command("--describe", path, "-o", out)
    assert result.exit_code == 0, result.output
    assert b"a\\ud800 on oheogulch" in out.read_bytes()
