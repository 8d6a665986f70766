"""Does a network fit: the memory model, the division into cores, the limits and the command."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import assert_failed, assert_worked, brf_lava
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network

from brf_lava.backends.loihi2.machine import COEFFICIENT, words
from brf_lava.backends.loihi2.program import network_programs
from brf_lava.board import fits
from brf_lava.board.describe import (
    LayerShape,
    NetworkShape,
    layer_shape,
    network_shape,
    read_description,
)
from brf_lava.board.fits import TITLES, Placement, neuron_words, part_loads, place
from brf_lava.config.profile import Limits, Loihi2Profile, load_profile
from brf_lava.config.shipped import shipped
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.network.file import write_network
from brf_lava.neurons.families import NEURONS


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
        assert len(set(split.cores.tolist())) == len(split.cores) == split.parts
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
        assert placement.cores >= max(placement.bound)


# The memory model


def test_the_published_compiler_report_is_met() -> None:
    """784-128-64-10 leaky integrators on a board: rows of 10, 50 and 64 weights of 8 bits."""
    one_axon = LayerShape("LI", 64, 1, False, 8)
    rows = part_loads(one_axon, [10, 50, 64], 1, board().packing)[:, fits.SYNAPSES]
    assert rows.tolist() == [4, 16, 21]
    sizes = pairwise((784, 128, 64, 10))
    layers = [LayerShape("LI", neurons, inputs, False, 8) for inputs, neurons in sizes]
    assert [fits.divide(board(), layer, 1).parts for layer in layers] == [3, 1, 1]


def test_words_of_a_neuron() -> None:
    """States of 24 bits, two in a word, and two words of parameters: one more than a program needs,
    the safe side, as it says."""
    packing = board().packing
    sizes = {name: neuron_words(LayerShape(name, 1, 1, False, 8), packing) for name in NEURONS}
    assert sizes == {"RF": 3, "BRF": 4, "HRF": 3, "BHRF": 4, "ALIF": 4, "LI": 3}
    hidden, _ = network_programs(random_network(np.random.default_rng(0), (2, 1, 1)))
    assert (words(hidden, COEFFICIENT), packing.parameter_words.value) == (1, 2)
    assert "'brf-lava loihi2 program' counts 1" in packing.parameter_words.source


# Division and placement


def test_a_small_network_shares_one_core() -> None:
    placement = place(chain(4, ("BRF", 36, True), classes=6), board())
    assert_valid(placement)
    assert (placement.cores, placement.chips, max(placement.bound)) == (1, 1, 1)
    assert [split.cores.tolist() for split in placement.splits] == [[0], [0]]
    assert placement.loads[0].tolist() == [42, 2, 76, 78, 480 + 36 * 3, 736 + 36 * 4 + 6 * 4 + 1]
    assert not placement.violations


def test_a_layer_is_divided_evenly_and_says_why() -> None:
    placement = place(chain(700, ("BRF", 128, True), classes=20), board())
    assert_valid(placement)
    hidden, readout = placement.splits
    assert hidden.sizes.tolist() == [43, 43, 42]
    # 64 neurons: 24 + 64 * 20 = 1304 bits are 21 words, of each of 828 axons
    assert hidden.reason == "2 would need 17,388 of 16,000 synapse words"
    assert (hidden.cores.tolist(), readout.cores.tolist()) == ([0, 1, 2], [0])
    assert placement.first_layers.tolist() == [1, 1, 1]


def test_a_core_takes_no_more_groups_than_allowed() -> None:
    network = chain(4, *[("RF", 4, False)] * 10)
    assert place(network, board()).cores == 2
    placement = place(network, board(groups_per_core=3))
    assert_valid(placement)
    assert placement.cores == placement.bound[fits.GROUPS] == 4


def test_the_lower_bound_by_hand() -> None:
    """256 BRF neurons with 257 axons: at most 197 on a core, and 194 fill their rows' words."""
    assert 257 * 62 <= 16_000 < 257 * 63  # words of a row: of 195 to 197 neurons, and of 198
    assert 24 + 20 * 194 == 61 * 64
    synapses = 256 / 194 * 257 * 61 + 256 * 4
    axons = 256 / 194 * 257 + 256
    others = 256 * (4 + 3) + 10 * (3 + 1)  # two parts of the layer and one readout are reached
    memory = math.ceil((synapses + axons + others) / 19_999)
    found = place(chain(1, ("BRF", 256, True)), board()).bound
    assert found == [1, 1, 1, 1, math.ceil(synapses / 16_000), memory] == [1, 1, 1, 1, 2, memory]
    # axons of every core, and a word of a core that is not for neurons: 20 parts of 5 neurons with
    # 3 axons, then 100 axons of the readout
    network = chain(3, ("RF", 100, False), classes=1)
    bound = place(network, board(neurons_per_core=5, input_axons=120, memory_words=784)).bound
    assert bound[fits.NEURONS] == 21
    assert bound[fits.INPUTS] == math.ceil((20 * 3 + 100) / 120)
    assert 20 * (3 * 2 + 3 + 5 * (3 + 1)) + 100 * 1 + 100 + 3 + 1 == 784
    assert bound[fits.MEMORY] == 2
    roomy = place(network, board(neurons_per_core=5, memory_words=785))
    assert roomy.bound[fits.MEMORY] == 1


def test_cores_are_near_the_lower_bound() -> None:
    """Of 400 such networks the median is 1.09 and the largest 1.67, 5 cores instead of 3."""
    rng, ratios = np.random.default_rng(0), []

    def log_uniform(most: int) -> int:
        return int(np.exp(rng.uniform(0, np.log(most))))

    for _ in range(25):
        layers = [
            ("BRF", log_uniform(2000), bool(rng.integers(2))) for _ in range(rng.integers(1, 41))
        ]
        network = chain(log_uniform(2000), *layers, classes=int(rng.integers(2, 101)))
        placement = place(network, board("loihi2-halapoint"))
        if all(split.parts for split in placement.splits):
            ratios.append(placement.cores / max(placement.bound))
    assert len(ratios) >= 20
    assert np.median(ratios) < 1.11
    assert max(ratios) < 1.4


def test_small_layers_share_cores_as_far_as_they_fit() -> None:
    """100 neurons take 6400 synapse words: two such layers fit a core."""
    placement = place(chain(100, *[("BRF", 100, True)] * 10, classes=1), board())
    assert_valid(placement)
    assert (placement.cores, max(placement.bound)) == (5, 4)
    assert placement.loads[:, fits.GROUPS].tolist().count(2) == 4


@settings(deadline=None, max_examples=40)
@given(
    layers=st.lists(
        st.tuples(st.sampled_from(["RF", "BRF", "ALIF"]), st.integers(1, 3000), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    inputs=st.integers(1, 3000),
    classes=st.integers(1, 300),
    tight=st.dictionaries(
        st.sampled_from(["neurons_per_core", "input_axons", "output_axons", "synapse_words"]),
        st.integers(100, 5000),
    ),
    groups=st.integers(1, 8),
)
def test_every_neuron_has_its_place(
    layers: Any, inputs: int, classes: int, tight: dict[str, int], groups: int
) -> None:
    network = chain(inputs, *layers, classes=classes)
    placement = place(network, board(groups_per_core=groups, **tight))
    assert_valid(placement)
    unplaced = any(not split.parts for split in placement.splits)
    assert unplaced == any("one neuron on a core" in each for each in placement.violations)


@settings(deadline=None, max_examples=40)
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
    assert fits.divide(profile, layer, reached).parts == fewest


def test_a_million_neurons_fit_the_large_system() -> None:
    placement = place(chain(1000, *[("BRF", 1000, True)] * 1000), board("loihi2-halapoint"))
    assert_valid(placement)
    assert placement.network.neurons == 1_000_010
    assert not placement.violations
    assert (placement.cores, placement.chips) == (47_995, 400)
    assert max(placement.bound) == placement.bound[fits.MEMORY] == 43_095


# What does not fit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"input_axons": 30},
            "layer 1 (BRF), one neuron on a core: input axons: 40 needed, 30 allowed; make this",
        ),
        ({"output_axons": 30}, "core: output axons: 37 needed, 30 allowed; make this layer or the"),
        ({"synapse_words": 35}, "synapse words: 40 needed, 35 allowed; make this layer or the one"),
        ({"memory_words": 84}, "memory words: 124 needed, 84 allowed; make this layer or the one"),
        (
            {"neurons_per_core": 1, "cores_per_chip": 5},
            "oheogulch, 42 cores: chips: 9 needed, 1 allowed; use a board with more chips",
        ),
        ({"weight_bits": 6}, "bits of a weight: 8 needed, 6 allowed; export with --weight-bits 6"),
        ({"state_bits": 20}, "bits of a state: 24 needed, 20 allowed; use a board with states"),
    ],
)
def test_each_violated_limit_is_named(values: dict[str, int], expected: str) -> None:
    placement = place(chain(4, ("BRF", 36, True), classes=6), board(**values))
    assert_valid(placement)
    message = r"net\.h5: does not fit oheogulch: .*" + re.escape(expected)
    with pytest.raises(DoesNotFitError, match=message) as error:
        placement.require_fit("net.h5")
    assert error.value.exit_code == 6


def test_a_layer_that_no_core_can_take_a_neuron_of() -> None:
    placement = place(chain(1000, ("BRF", 1_000_000, True)), board("loihi2-halapoint"))
    assert_valid(placement)
    resources = [each.split(": ")[1] for each in placement.violations]
    assert resources == ["input axons", "output axons", "synapse words", "memory words"]
    with pytest.raises(DoesNotFitError, match=r"1,001,000 needed, 16,000 allowed"):
        placement.require_fit("net.h5")


def test_what_is_advised_is_listed_and_does_not_refuse() -> None:
    layers = [replace(each, input_sum=40_000) for each in chain(5000, ("RF", 10, False)).layers]
    placement = place(NetworkShape("x", tuple(layers)), board())
    most = {check.title: check.most for check in placement.checks()}
    assert most["axons of a part, in or out, advised"] == 5000
    assert most["bits of summed weights, advised"] == 17  # with the sign
    assert not placement.violations


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


def test_sums_and_bits_of_weights() -> None:
    """Weights 2, -3 with exponent 3 and a recurrent 7 with another: in units of the lesser."""
    hidden = random_network(np.random.default_rng(0), (2, 1, 1)).layers[0]
    weights = replace(hidden.weights, mantissa=np.array([[2, -3]], np.int8), exponent=3)
    for exponent, expected in ((3, 5 + 7), (5, 5 + 28), (2, 10 + 7)):
        recurrent = replace(weights, mantissa=np.array([[7]], np.int8), exponent=exponent)
        layer = replace(hidden, weights=weights, recurrent=recurrent)
        assert layer_shape(layer).input_sum == expected
    silent = replace(weights, mantissa=np.zeros((1, 1), np.int8), exponent=0)
    assert layer_shape(replace(hidden, weights=weights, recurrent=silent)).input_sum == 5
    for low, high, bits in ((-128, 0, 8), (0, 127, 8), (-1, 1, 2), (-2, 1, 2), (0, 0, 1)):
        weights = replace(hidden.weights, mantissa=np.array([[low, high]], np.int8))
        assert layer_shape(replace(hidden, weights=weights, recurrent=None)).weight_bits == bits


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
LAYERS = "layer: one or more layers that spike come first, then one readout, LI"


def test_a_description(tmp_path: Path) -> None:
    path = tmp_path / "shd.toml"
    path.write_text(DESCRIPTION)
    expected = chain(700, ("BRF", 128, True), ("BRF", 128, True), classes=20).layers
    assert read_description(path) == NetworkShape("SHD", expected)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"BRF"', '"BFR"', 'layer.1.neuron: "BFR"; allowed is one of'),
        ('"LI"', '"RF"', LAYERS),
        ("recurrent = false", "recurrent = true", LAYERS),
        ("neurons = 128", "neurons = 0", "layer.1.neurons: 0; allowed is a whole number, 1 to"),
        ("repeat = 2\n", "", "layer.1.repeat is missing. Add it."),
        ("inputs = 700", "inputs = 700\nsize = 1", "size: no such key"),
        ("repeat = 2", "repeat = 2\nbias = true", "layer.1.bias: no such key"),
        ("inputs = 700", "inputs = ", "not valid TOML"),
        ("[[layer]]", "[[layers]]", "layers: no such key. Did you mean layer"),
    ],
)
def test_another_description_is_refused(tmp_path: Path, old: str, new: str, part: str) -> None:
    path = tmp_path / "net.toml"
    assert old in DESCRIPTION
    path.write_text(DESCRIPTION.replace(old, new))
    with pytest.raises(ParameterError, match=re.escape(part)) as error:
        read_description(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


# The command


def map_text(*arguments: str | Path) -> str:
    result: Result = brf_lava("map", *arguments)
    assert_worked(result)
    return " ".join(result.output.replace("│", " ").split())


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 36, 6)), path)
    return path


def test_map_prints_every_limit_with_its_source(network: Path) -> None:
    profile = board("loihi2-kapohopoint")
    text = map_text(network, "--profile", "loihi2-kapohopoint", "--all")
    for title in TITLES:
        assert f" {title} " in text
    for key in Limits.__dataclass_fields__:
        limit = getattr(profile.limits, key)
        assert f" {limit.value:,} " in text, key
        assert limit.source.split()[0] in text
        assert limit.certainty in text
    for part in ("Fits: 1 of 960 cores", " 30 ops ", "Nothing was verified on hardware."):
        assert part in text


def test_map_says_no_after_the_whole_map(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_text(DESCRIPTION.replace("repeat = 2", "repeat = 200"))
    result = brf_lava("map", "--describe", path)
    assert_failed(result, 6, "oheogulch, 202 cores: chips: 2 needed, 1 allowed")
    verdict, *lines = result.stdout.splitlines()
    assert verdict == "Does not fit: 1 limit exceeded."
    assert len(lines) < 10
    assert "Fits" not in result.output
    assert brf_lava("map", "--describe", path, "--all").output.count(" BRF rec. ") == 200
    found = json.loads(brf_lava("map", "--describe", path, "--json").stdout)
    assert (found["fits"], found["cores"], len(found["layers"])) == (False, 202, 201)
    assert found["violations"][0].startswith("oheogulch, 202 cores: chips: 2 needed, 1 allowed")


def test_map_draws(tmp_path: Path) -> None:
    path, out = tmp_path / "net.toml", tmp_path / "map.svg"
    path.write_text(DESCRIPTION.replace("SHD", r"a\\b"))
    table = tmp_path / "map.csv"
    map_text("--describe", path, "-o", out, "--csv", table)
    assert '\n1,image,"neurons",0,0,' in table.read_text()
    fullest = place(read_description(path), board()).utilization.max()
    share = f">{100 * fullest:.0f}<".encode()
    for part in (rb"a\b on oheogulch", b"synapse words", b"% of the limit", share):
        assert part in out.read_bytes()
    path.write_text(DESCRIPTION.replace("repeat = 2", "repeat = 2000"))
    map_text("--describe", path, "-o", out, "--profile", "loihi2-halapoint")
    assert b"the fullest of each " in out.read_bytes()
    assert out.stat().st_size < 1_000_000


def test_wrong_use_is_one_line(network: Path) -> None:
    for arguments, part in (
        ((), "name either a network file, or"),
        ((network, "--describe", network), "name either a network file, or"),
        ((network, "--profile", "sim"), "is of kind 'sim', not a Loihi 2 board"),
        ((network, "-o", "map.gif"), "a picture of type .gif"),
        (("--describe", "absent.toml"), "absent.toml: cannot be read"),
    ):
        assert_failed(brf_lava("map", *arguments), 2, part)


def test_integers_that_no_core_can_hold_do_not_fit(tmp_path: Path) -> None:
    """40 inputs of 127 << 15 add up to more than 24 bits hold."""
    network = random_network(np.random.default_rng(1), (40, 3, 2), exponent=15)
    write_network(network, tmp_path / "net.h5")
    result = brf_lava("map", tmp_path / "net.h5")
    assert_failed(result, 6, "does not fit oheogulch: hidden1: weights of neuron")


def test_numbers_beyond_reason_are_refused(network: Path, tmp_path: Path) -> None:
    own = (shipped("deploy") / "loihi2-oheogulch.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(own.replace("word_bits = { value = 64", "word_bits = { value = 2048"))
    result = brf_lava("map", network, "--profile", path)
    assert_failed(result, 2, "word_bits.value: 2048; allowed is a whole number, 1 to 1024.")
