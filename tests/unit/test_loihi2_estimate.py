"""What a run would cost: counts, energy and time by hand; stored runs; meters; the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.board import energy, meter
from brf_lava.board.describe import LayerShape, NetworkShape, network_shape
from brf_lava.board.energy import (
    CROSSING,
    HOPS_X,
    HOPS_Y,
    LOCAL,
    MESSAGES,
    PARTS,
    RECEIVED,
    SENT,
    SPIKES,
    SYNOPS,
    UPDATES,
    MeasuredRun,
    Range,
    barrier,
    core_work,
    estimate,
    step_time,
)
from brf_lava.board.fits import Placement, place
from brf_lava.board.meter import NvmlMeter, RaplMeter, measured
from brf_lava.cli.main import main
from brf_lava.config.profile import Loihi2Profile, load_profile
from brf_lava.config.recipe import load_recipe, override
from brf_lava.config.shipped import shipped
from brf_lava.data.dataset import DataSource
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError, ParameterError
from brf_lava.network.activity import FloatActivity
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.result import measure, summarize, write_result
from brf_lava.run.sop import SpikeCounts, Spikes
from brf_lava.run.stored import read_run
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from brf_lava.train.model import Metrics, Network

STEPS = 10


def board(**values: int) -> Loihi2Profile:
    """The single chip with other limits."""
    profile = load_profile("loihi2-oheogulch")
    assert isinstance(profile, Loihi2Profile)
    changed = {key: replace(getattr(profile.limits, key), value=v) for key, v in values.items()}
    return replace(profile, limits=replace(profile.limits, **changed))


def tiny(**values: int) -> tuple[MeasuredRun, Placement]:
    """Three inputs, four recurrent neurons, two classes: 5 inputs and 8 spikes in 10 steps."""
    layers = (LayerShape("BRF", 4, 3, True, 8), LayerShape("LI", 2, 4, False, 8))
    network = NetworkShape("tiny", layers)
    run = MeasuredRun(
        network=network,
        steps=STEPS,
        samples=6,
        inputs=5.0,
        peak_inputs=2.0,
        spikes=(8.0, 0.0),
        peaks=(3.0, 0.0),
    )
    return run, place(network, board(**values))


# Ways on the chip


def test_numbers_of_cores_run_along_the_rows_and_back() -> None:
    cores = np.array([0, 3, 4, 31, 32, 35, 36, 63, 64, 119, 120])
    chip, column, row = energy.places(cores, 120)
    assert chip.tolist() == [0] * 10 + [1]
    assert column.tolist() == [0, 0, 1, 7, 7, 7, 6, 0, 0, 2, 0]
    assert row.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 0]


def test_next_routers_are_neighbors() -> None:
    _, column, row = energy.places(np.arange(0, 128, energy.CORES_PER_ROUTER), 128)
    assert (np.abs(np.diff(column)) + np.abs(np.diff(row))).tolist() == [1] * 31
    assert len(set(zip(column.tolist(), row.tolist(), strict=True))) == 32


def test_traffic_by_hand() -> None:
    """Two parts with 2 and 3 spikes; targets: the same router, two columns on, and a next chip."""
    ways = energy.traffic(np.array([2.0, 3.0]), np.array([0, 40]), np.array([1, 8, 120]), 120)
    # core 0: column 0, row 0; core 40: column 5, row 1; core 8: column 2, row 0
    messages, local, crossing, hops_x, hops_y = ways.tolist()
    assert (messages, local, crossing) == (15.0, 2.0, 5.0)
    assert (hops_x, hops_y) == (2 * 2 + 3 * (5 + 3), 3 * 2)


# Counts


def test_counts_on_one_core() -> None:
    run, placement = tiny()
    assert placement.cores == 1
    counts = estimate(run, placement).counts
    assert counts[SYNOPS] == 5 * 4 + 8 * 4 + 8 * 2
    assert counts[UPDATES] == 6 * STEPS
    assert (counts[SPIKES], counts[energy.INPUTS]) == (8.0, 5.0)
    assert counts[energy.OUTPUTS] == 2 * STEPS  # every state of the readout, to the host
    assert (counts[PARTS], counts[LOCAL]) == (16.0, 16.0)
    assert counts[HOPS_X] == counts[HOPS_Y] == counts[CROSSING] == 0.0


def test_counts_on_six_cores() -> None:
    """One neuron a core: every spike goes to four cores of its layer and two of the readout."""
    run, placement = tiny(neurons_per_core=1)
    assert [split.parts for split in placement.splits] == [4, 2]
    counts = estimate(run, placement).counts
    assert counts[SYNOPS] == 5 * 4 + 8 * 4 + 8 * 2  # division adds none
    assert counts[energy.INPUTS] == 5 * 4
    # the hidden layer fills router 0, the readout is on router 1, one column on
    assert (counts[PARTS], counts[LOCAL], counts[HOPS_X]) == (48.0, 32.0, 16.0)
    assert counts[HOPS_Y] == counts[CROSSING] == 0.0


def test_work_of_the_cores_adds_up() -> None:
    _, placement = tiny(neurons_per_core=1)
    work = core_work(placement, 0.5, [0.8, 0.0])
    assert work[SYNOPS].tolist() == pytest.approx([1.3] * 4 + [0.8] * 2)
    assert work[UPDATES].tolist() == [1.0] * 6
    assert work[SPIKES].tolist() == pytest.approx([0.2] * 4 + [0] * 2)
    assert work[SENT].tolist() == pytest.approx([0.2 * 6] * 4 + [1] * 2)
    assert work[RECEIVED].tolist() == pytest.approx([1.3] * 4 + [0.8] * 2)


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 300), min_size=2, max_size=5),
    recurrent=st.booleans(),
    per_core=st.integers(10, 300),
    data=st.data(),
)
def test_no_operation_is_lost_between_cores(
    sizes: list[int], recurrent: bool, per_core: int, data: st.DataObject
) -> None:
    kinds = [*["RF"] * (len(sizes) - 2), "LI"]
    layers = tuple(
        LayerShape(kind, neurons, inputs, recurrent and kind == "RF", 8)
        for kind, inputs, neurons in zip(kinds, sizes[:-1], sizes[1:], strict=True)
    )
    rate = st.floats(0, 50)
    spikes = tuple(data.draw(rate) if kind == "RF" else 0.0 for kind in kinds)
    network = NetworkShape("x", layers)
    run = MeasuredRun(network, STEPS, 1, data.draw(rate), 1.0, spikes, spikes)
    placement = place(network, board(neurons_per_core=per_core))
    counts = estimate(run, placement).counts
    each = [value / STEPS for value in spikes]
    work = core_work(placement, run.inputs / STEPS, each)
    assert work[SYNOPS].sum() * STEPS == pytest.approx(counts[SYNOPS])
    assert work[UPDATES].sum() * STEPS == counts[UPDATES]
    assert work[SPIKES].sum() * STEPS == pytest.approx(counts[SPIKES])
    received = counts[PARTS] + counts[energy.INPUTS]
    assert work[RECEIVED].sum() * STEPS == pytest.approx(received)
    onward = work[SENT].sum() * STEPS
    assert onward == pytest.approx(counts[PARTS] + counts[energy.OUTPUTS])


# Energy and time


def test_energy_by_hand() -> None:
    run, placement = tiny(neurons_per_core=1)
    davies, sanafe = estimate(run, placement).energies.values()
    assert davies[SYNOPS].low == pytest.approx(68 * 23.6e-12)
    assert davies[UPDATES] == pytest.approx((60 * 52e-12, 60 * 81e-12))
    messages = 48 + 20 + 2 * STEPS
    assert davies[MESSAGES].low == pytest.approx(messages * 1.7e-12)
    assert davies[HOPS_X].high == pytest.approx(16 * 3.0e-12)
    assert SPIKES not in davies
    assert sanafe[SPIKES].low == pytest.approx(8 * 69.3e-12)
    low = 68 * 33.6 + 60 * 51.2 + 8 * 69.3 + messages * 111 + 16 * 3
    high = 68 * 35.5 + 60 * 72.8 + 8 * 69.3 + messages * 111 + 16 * 3
    assert energy.total(sanafe.values()) == pytest.approx((low * 1e-12, high * 1e-12))


def test_time_of_the_busiest_core_by_hand() -> None:
    found = estimate(*tiny())
    davies, sanafe, scaled = found.times.values()
    assert davies.mean.high - davies.mean.low == pytest.approx(465 - 113)
    assert all(each.mean.low == each.mean.high for each in (sanafe, scaled))
    synops, received = 0.5 * 4 + 0.8 * 4 + 0.8 * 2, 0.5 + 0.8 + 0.8
    assert davies.mean.high == pytest.approx(synops * 3.5 + 6 * 8.4 + 465)
    assert davies.peak.high == pytest.approx((2 * 4 + 3 * 4 + 3 * 2) * 3.5 + 6 * 8.4 + 465)
    assert davies.bound == "neuron updates"
    assert sanafe.mean.high == pytest.approx(
        synops * 4.7 + 6 * 9.7 + 0.8 * 30 + (1.6 + 2) * 5.1 + received * 16 + 600
    )
    assert (scaled.mean, scaled.bound) == (Range(200.0, 200.0), "shortest step")
    assert found.seconds.low == pytest.approx(davies.mean.low * 1e-9 * STEPS)
    assert found.seconds.high == pytest.approx(sanafe.mean.high * 1e-9 * STEPS)
    assert found.static.low == pytest.approx(0.232 * found.seconds.low)
    assert found.static.high == pytest.approx(0.282 * found.seconds.high)


def test_work_is_side_by_side_in_the_scaled_set_alone() -> None:
    work = {SYNOPS: np.array([1000.0]), UPDATES: np.array([500.0])}
    sets = (energy.LOIHI1, energy.SCALED)
    times = [step_time(work, work, barrier(1, 1, name), name) for name in sets]
    assert times[0].mean.high == pytest.approx(3500 + 4200 + 465)
    assert times[1].mean.high == pytest.approx(max(700, 2100))
    assert times[1].bound == "neuron updates"


@pytest.mark.parametrize(
    ("routers", "ns"), [(1, 600), (2, 1000), (3, 1400), (4, 1400), (5, 1800), (30, 1800)]
)
def test_barrier_by_routers(routers: int, ns: float) -> None:
    assert barrier(routers, 1, energy.FITTED) == (ns, ns)


@pytest.mark.parametrize(
    ("chips", "low", "high"),
    [
        (1, 113, 465),
        (2, 113, 14_300),
        (255, 113, 14_300),
        (256, 14_300, 16_200),
        (767, 14_300, 16_200),
        (768, 16_200, 16_200),
        (1152, 16_200, 16_200),
    ],
)
def test_barrier_by_chips(chips: int, low: float, high: float) -> None:
    assert barrier(8, chips, energy.LOIHI1) == Range(low, high)


def test_several_chips_make_the_time_a_range() -> None:
    """Six cores on two chips: as on one, but for the barrier's upper end."""
    one = list(estimate(*tiny(neurons_per_core=1)).times.values())
    two = list(estimate(*tiny(neurons_per_core=1, cores_per_chip=4, chips=2)).times.values())
    for single, several in zip(one[:2], two[:2], strict=True):
        assert several.mean.high > several.mean.low
        assert several.peak.high - several.peak.low == several.mean.high - several.mean.low
        assert several.mean.low <= single.mean.low + 1e-9  # fewer routers on each chip
    assert (two[2].mean.low, two[2].bound) == (200.0, "neuron updates")
    assert two[2].mean.high == pytest.approx(4.2 + 14_300)


def test_every_constant_has_a_source_and_a_range() -> None:
    for constant in (each for group in energy.CONSTANTS for each in group):
        assert 0 < constant.range.low <= constant.range.high
        assert constant.source
        assert constant.certainty in ("published", "quoted", "derived")
    assert all("Loihi 1" in name for name in energy.ENERGIES)


def test_a_layer_that_is_not_placed_is_not_estimated() -> None:
    run, placement = tiny(input_axons=3)
    with pytest.raises(ParameterError, match="tiny: a layer of it does not fit oheogulch"):
        estimate(run, placement)


# Stored runs


def spiking_network() -> FixedNetwork:
    return random_network(np.random.default_rng(0), (4, 9, 6), exponent=9)


def write_run(path: Path, network: FixedNetwork, x: np.ndarray, cut: int) -> None:
    """A run in two parts, the first with `cut` samples."""
    parts = [
        measure(network, x[:, part], engine.run(network, x[:, part]), 0.5)
        for part in (slice(0, cut), slice(cut, None))
    ]
    labels = np.zeros((x.shape[1], 1 if network.provenance.get("decision") else len(x)), np.uint8)
    result = summarize(network, parts, labels, None, backend="engine", checked=False)
    write_result(result, DataSource("qtdb", "some data", "abc"), network.provenance, path)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    network = replace(spiking_network(), provenance={"task": "ecg", "model": "123"})
    x = random_spikes(np.random.default_rng(1), 40, 5, 4)
    write_run(tmp_path / "run.json", network, x, 2)
    return tmp_path / "run.json"


def test_what_a_run_stores_is_read_back(stored: Path) -> None:
    network = spiking_network()
    x = random_spikes(np.random.default_rng(1), 40, 5, 4)
    spikes = engine.run(network, x).spikes[0]
    found = read_run(stored)
    assert (found.backend, found.data, found.model, found.task) == ("engine", "abc", "123", "ecg")
    run = found.run
    assert run.network == replace(network_shape(network, "ecg"), name="ecg")
    assert (run.steps, run.samples) == (40, 5)
    assert run.inputs == pytest.approx(x.sum() / 5)
    assert run.peak_inputs == x.sum(axis=2).max()
    assert spikes.sum() > 20
    assert run.spikes == pytest.approx((spikes.sum() / 5, 0))
    assert run.peaks == (spikes.sum(axis=2).max(), 0)


def test_synops_of_an_estimate_are_those_of_the_run(stored: Path) -> None:
    """Counted twice, weight by weight in the run and layer by layer in the estimate."""
    cost = json.loads(stored.read_text())["result"]["cost"]
    run = read_run(stored).run
    synops = sum(cost[name] for name in ("input_synops", "recurrent_synops", "output_synops"))
    counts = estimate(run, place(run.network, board())).counts
    assert counts[SYNOPS] == pytest.approx(synops)
    assert synops > 0


def test_graded_inputs_count_as_one_each() -> None:
    signal = np.array([[[0, -3, 200]], [[0, 0, 1]]])
    counts = SpikeCounts.of([signal])
    assert counts.spikes() == (Spikes(mean=3.0, peak=2),)
    both = SpikeCounts.of_parts([counts, SpikeCounts(1, (7,), (4,))])
    assert both.spikes() == (Spikes(mean=5.0, peak=4),)


def drop(key: str, *path: str | int) -> Callable[[Any], Any]:
    def change(contents: Any) -> Any:
        part = contents
        for step in path:
            part = part[step]
        del part[key]
        return contents

    return change


def put(value: Any, *path: str | int) -> Callable[[Any], Any]:
    def change(contents: Any) -> Any:
        part = contents
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        return contents

    return change


SHAPE = ("result", "layers", 0, "shape")
DAMAGE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "format": (put("other", "format"), "format 'other'"),
    "old schema": (put(1, "schema"), "schema 1; 'brf-lava-run' of schema 2, which has the spikes"),
    "no schema": (drop("schema"), "schema is missing"),
    "list": (lambda _: [], "[]; allowed is a table with the keys format, schema"),
    "no result": (drop("result"), "result is missing"),
    "no layers": (put([], "result", "layers"), "hidden layers and a readout are needed"),
    "null layers": (put(None, "result", "layers"), "result.layers: null; allowed is a list, each"),
    "one layer": (lambda c: put(c["result"]["layers"][:1], "result", "layers")(c), "a readout"),
    "text layer": (put("x", "result", "layers", 0), 'result.layers.1: "x"; allowed is a table'),
    "neuron": (put("BFR", *SHAPE, "neuron"), 'layers.1.shape.neuron: "BFR"; allowed is one of'),
    "neurons": (put(-4, *SHAPE, "neurons"), "layers.1.shape.neurons: -4; allowed is a whole"),
    "real neurons": (put(4.5, *SHAPE, "neurons"), "neurons: 4.5; allowed is a whole number"),
    "true neurons": (put(True, *SHAPE, "neurons"), "neurons: true; allowed is a whole number"),
    "recurrent": (put(1, *SHAPE, "recurrent"), "recurrent: 1; allowed is true or false"),
    "chain": (put(8, "result", "layers", 1, "shape", "inputs"), "layer 2: 8 inputs, 9 come"),
    "steps": (put(0, "result", "steps"), "result.steps: 0; allowed is a whole number, 1"),
    "spikes": (put(-1, "result", "layers", 0, "spikes", "mean"), "mean: -1; allowed is a number"),
    "infinite": (put(float("inf"), "result", "inputs", "mean"), "inputs.mean: inf; allowed is a"),
    "nan": (put(float("nan"), "result", "inputs", "mean"), "inputs.mean: nan; allowed is a number"),
    "too many": (put(1e6, "result", "inputs", "mean"), "are impossible for 4 senders and 40"),
    "peak": (put(10, "result", "layers", 0, "spikes", "peak"), "10 in a step are impossible"),
    "no data": (drop("fingerprint", "data"), "data.fingerprint is missing"),
}


def test_a_damaged_run_is_refused_in_one_line(stored: Path) -> None:
    contents = stored.read_text()
    for name, (change, part) in DAMAGE.items():
        stored.write_text(json.dumps(change(json.loads(contents))))
        with pytest.raises(DataError) as error:
            read_run(stored)
        message = str(error.value)
        assert message.startswith(f"{stored}: "), name
        assert part in message, name
        assert "brf-lava run --out" in message, name
        assert "\n" not in message, name


def test_a_key_that_stands_there_twice_is_refused(stored: Path) -> None:
    """JSON leaves open which value is meant; Python would take the last."""
    text = stored.read_text()
    assert text.count('"steps": ') > 0
    stored.write_text(text.replace('"steps": ', '"steps": 1, "steps": ', 1))
    with pytest.raises(
        DataError, match=r"not valid JSON \(steps stands there twice\)\. Write it again"
    ):
        read_run(stored)


def test_what_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for content in (b"", b"{", b"\xff\xfe", b'{"format": NaN', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not (valid JSON|UTF-8 text).*Write it again with"):
            read_run(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_run(path)


# Meters


def write_rapl(folder: Path, name: str, value: int, zone: str = "package-0") -> None:
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "name").write_text(f"{zone}\n")
    (package / "energy_uj").write_text(f"{value}\n")
    (package / "max_energy_range_uj").write_text("1000000\n")


def test_rapl_counts_packages_and_goes_round(tmp_path: Path) -> None:
    write_rapl(tmp_path, "intel-rapl:0", 100)
    write_rapl(tmp_path, "intel-rapl:1", 999_000)
    write_rapl(tmp_path, "intel-rapl:0:0", 5, "core")  # package 0 has it already
    write_rapl(tmp_path, "intel-rapl:2", 7, "psys")  # has the packages in it
    counter = RaplMeter(tmp_path)
    assert counter.problem == ""
    before = counter.read()
    assert before == pytest.approx([1e-4, 0.999])
    write_rapl(tmp_path, "intel-rapl:0", 600)
    write_rapl(tmp_path, "intel-rapl:1", 2_000)
    assert counter.spent(before, counter.read()) == pytest.approx(500e-6 + 3_000e-6)


def test_rapl_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "no RAPL counters" in RaplMeter(tmp_path).problem
    write_rapl(tmp_path, "intel-rapl:0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("much")
    assert "hold no numbers" in RaplMeter(tmp_path).problem
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert "cannot be read (No such file" in RaplMeter(tmp_path).problem


class Driver:
    """NVML with some cards, which count 2500 mJ more at every reading."""

    NVMLError = RuntimeError

    def __init__(self, cards: int = 1, counts: bool = True) -> None:
        self.cards, self.counts, self.energy = cards, counts, 0

    def nvmlInit(self) -> None:  # noqa: N802  # the library's own names
        if not self.cards:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return self.nvmlDeviceGetHandleByUUID(f"GPU-{index}")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in [f"GPU-{index}" for index in range(self.cards)]:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, card: str) -> int:  # noqa: N802
        if not self.counts:
            raise self.NVMLError("Not Supported")
        self.energy += 2500
        return self.energy


@pytest.mark.parametrize(
    ("driver", "uuid", "problem"),
    [
        (Driver(), "0", ""),
        (Driver(), None, ""),  # the only one, whatever it is called
        (Driver(cards=2), "1", ""),
        (Driver(cards=2), None, "which of the 2 cards is used"),
        (Driver(), "3", "Not Found"),
        (Driver(cards=0), "0", "Driver Not Loaded"),
        (Driver(counts=False), "0", "Not Supported"),
    ],
)
def test_nvml(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, uuid: str | None, problem: str
) -> None:
    monkeypatch.setattr(meter, "pynvml", driver)
    counter = NvmlMeter(uuid)
    assert problem in counter.problem
    assert bool(problem) == bool(counter.problem)
    if not problem:
        assert counter.spent(counter.read(), counter.read()) == pytest.approx(2.5)


def test_without_a_driver() -> None:
    """The library itself, on a computer that has none."""
    problem = NvmlMeter("0").problem
    if not problem or "Not Found" not in problem:
        pytest.skip("this computer has a driver")
    assert problem == "NVML, the driver's library: NVML Shared Library Not Found"


def test_a_measurement_counts_what_it_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.25 s and 0.002 J a call: four calls after the first fill a second."""
    write_rapl(tmp_path, "intel-rapl:0", 0)
    now, calls = [0.0], []

    def call() -> None:
        calls.append(now[0])
        now[0] += 0.25
        write_rapl(tmp_path, "intel-rapl:0", 2000 * len(calls))

    monkeypatch.setattr(meter.time, "perf_counter", lambda: now[0])
    found = measured("x", [call, call], 10, RaplMeter(tmp_path))
    assert len(calls) == 5
    assert (found.seconds, found.joules) == pytest.approx((0.25, 0.002 / 10))
    assert (found.batch, found.problem) == (10, "")
    blind = measured("x", [call], 10, RaplMeter(tmp_path / "absent"))
    assert blind.joules is None
    assert "no RAPL counters" in blind.problem
    with pytest.raises(ParameterError, match="x: no samples to measure"):
        measured("x", [], 1, RaplMeter(tmp_path))


# The command


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["estimate", *map(str, arguments)])


def one_error(result: Result, code: int) -> str:
    """The message of the only error, on the last line."""
    assert isinstance(result.exception, SystemExit), result.output
    assert result.exit_code == code
    assert result.output.count("Error: ") == 1
    return result.output.rstrip("\n").splitlines()[-1].removeprefix("Error: ")


def words(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_estimate_is_labeled_and_sourced(stored: Path) -> None:
    result = command(stored)
    assert result.exit_code == 0, result.output
    text = words(result)
    assert "An estimate, not a measurement; nothing here was verified on hardware." in text
    for part in (
        "Loihi 1, Davies et al. 2018",
        "Loihi 1, fit of SANA-FE",
        "23.6 pJ",
        "35.5 pJ",
        "static, chips in use",
        "not measured",
        "Left out: the host, the ways between it and the chip",
    ):
        assert part in text
    counts = estimate(read_run(stored).run, place(read_run(stored).run.network, board())).counts
    assert f"synaptic operations {counts[SYNOPS]:,.1f}" in text
    assert f"neuron updates {15 * 40:,.1f}" in text


def test_a_run_that_does_not_fit(stored: Path, tmp_path: Path) -> None:
    text = (shipped("deploy") / "loihi2-oheogulch.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("input_axons = { value = 16000", "input_axons = { value = 5"))
    result = command(stored, "--profile", small)
    assert "input axons: 13 needed, 5 allowed" in one_error(result, 1)


@pytest.fixture
def synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A network for the ecg task and its run on three samples of the synthetic data."""
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(meter, "REPEATS_SECONDS", 0.0)
    dataset = ecg.load(None)
    network = replace(spiking_network(), provenance={"task": "ecg", "model": "123"})
    write_network(network, tmp_path / "net.h5")
    x = np.ascontiguousarray(dataset.test.first(3).x.transpose(1, 0, 2))
    part = measure(network, x, engine.run(network, x), 0.1)
    result = summarize(network, [part], dataset.test.y[:3], None, backend="engine", checked=False)
    write_result(result, dataset.source, network.provenance, tmp_path / "run.json")
    return tmp_path / "run.json", tmp_path / "net.h5"


def test_the_same_samples_are_measured_beside(synthetic: tuple[Path, Path]) -> None:
    run, network = synthetic
    result = command(run, "--measure", network)
    assert result.exit_code == 0, result.output
    text = words(result)
    assert text.count("integer engine, CPU") >= 2  # one at a time, and all at once
    assert "integer engine, CPU needs" not in text
    assert "float network, GPU needs --float, GPU not measured" in text


def test_the_float_model_is_measured_beside(synthetic: tuple[Path, Path]) -> None:
    run, _ = synthetic
    recipe = override(load_recipe("ecg-brf"), ("network.hidden=[9]",))
    contents = json.loads(run.read_text())
    model = run.with_name("model.pt")
    save_checkpoint(
        Checkpoint(
            recipe=recipe,
            seed=0,
            origin="trained",
            inputs=4,
            classes=tuple("ABCDEF"),
            epoch=1,
            epochs_done=1,
            data=DataSource(**contents["data"]),
            metrics=Metrics(1.5, 0.5, 10.0, 3, 1300, "a processor"),
            activity=FloatActivity(np.zeros((3, 1300), np.uint8), np.zeros(3, np.int64)),
            state_dict=Network(recipe, 4, 6, torch.Generator().manual_seed(0)).state_dict(),
            versions={"brf_lava": "0"},
        ),
        model,
    )
    run.write_text(
        json.dumps(put(load_checkpoint(model).fingerprint, "network", "model")(contents))
    )
    result = command(run, "--float", model, "--device", "cpu")
    assert result.exit_code == 0, result.output
    text = words(result)
    assert text.count("float network, CPU") >= 2  # one at a time, and all at once
    assert "integer engine, CPU needs --measure not measured" in text


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (put("other", "network", "model"), "is not the network of the run"),
        (put("other", "data", "fingerprint"), "are not those of the run. Name them with --data."),
    ],
)
def test_other_samples_or_networks_are_not_measured(
    synthetic: tuple[Path, Path], change: Callable[[Any], Any], part: str
) -> None:
    run, network = synthetic
    run.write_text(json.dumps(change(json.loads(run.read_text()))))
    result = command(run, "--measure", network)
    assert part in one_error(result, 2)
    assert result.output.count("│") == 0  # before anything is printed


@pytest.mark.parametrize("what", ["weights", "state"])
def test_another_export_of_the_model_is_not_measured(
    synthetic: tuple[Path, Path], what: str
) -> None:
    """Same model and sizes, other integers: what was written down is not what it would do."""
    run, path = synthetic
    network = spiking_network()
    hidden = network.layers[0]
    if what == "weights":
        changed = replace(hidden, weights=replace(hidden.weights, exponent=5))
    else:
        constants = hidden.constants._replace(theta=hidden.constants.theta // 2)
        changed = replace(hidden, constants=constants)
    other = replace(
        network,
        layers=(changed, *network.layers[1:]),
        provenance={"task": "ecg", "model": "123"},
    )
    write_network(other, path)
    result = command(run, "--measure", path)
    assert "another export of the run's model" in one_error(result, 2)
    assert result.output.count("│") == 0  # before anything is printed


def test_data_without_a_measurement_is_refused(stored: Path, tmp_path: Path) -> None:
    result = command(stored, "--data", tmp_path)
    assert "--data: goes with --measure or --float" in one_error(result, 2)
