"""What a run would cost: counts, energy and time by hand; stored runs; meters; the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import assert_failed, assert_worked, brf_lava, write_task
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.board import energy as e
from brf_lava.board import meter
from brf_lava.board.describe import LayerShape, NetworkShape, network_shape
from brf_lava.board.energy import Estimate, Range, barrier, core_work, estimate, step_time
from brf_lava.board.fits import Placement, place
from brf_lava.board.meter import measured, nvml_meter, rapl_meter
from brf_lava.config.profile import Loihi2Profile, load_profile
from brf_lava.config.recipe import load_recipe, override
from brf_lava.config.shipped import shipped
from brf_lava.data.dataset import DataSource
from brf_lava.errors import DataError
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.file import write_network
from brf_lava.run.result import Spikes, contents, measure, summarize, write_result
from brf_lava.run.stored import RunFile, read_run
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from brf_lava.train.model import Metrics, Network

STEPS = 10
NETWORK = random_network(np.random.default_rng(0), (4, 9, 6), exponent=9)


def board(**values: int) -> Loihi2Profile:
    """The single chip with other limits."""
    profile = load_profile("loihi2-oheogulch")
    assert isinstance(profile, Loihi2Profile)
    changed = {key: replace(getattr(profile.limits, key), value=v) for key, v in values.items()}
    return replace(profile, limits=replace(profile.limits, **changed))


class Run(NamedTuple):
    """A placed network, and its spikes: of the inputs, then of each layer."""

    placement: Placement
    means: tuple[float, ...]  # per sample
    peaks: tuple[float, ...]  # in a step

    def cost(self, steps: int = STEPS) -> Estimate:
        return estimate(self.placement, steps, self.means, self.peaks)


def tiny(**values: int) -> Run:
    """Three inputs, four recurrent neurons, two classes: 5 inputs and 8 spikes in 10 steps."""
    layers = (LayerShape("BRF", 4, 3, True, 8), LayerShape("LI", 2, 4, False, 8))
    placement = place(NetworkShape("tiny", layers), board(**values))
    return Run(placement, (5.0, 8.0, 0.0), (2.0, 3.0, 0.0))


# Ways on the chip


def test_numbers_of_cores_run_along_the_rows_and_back() -> None:
    cores = np.array([0, 3, 4, 31, 32, 35, 36, 63, 64, 119, 120])
    chip, column, row = e.places(cores, 120)
    assert chip.tolist() == [0] * 10 + [1]
    assert column.tolist() == [0, 0, 1, 7, 7, 7, 6, 0, 0, 2, 0]
    assert row.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 0]
    _, column, row = e.places(np.arange(0, 128, e.CORES_PER_ROUTER), 128)
    assert (np.abs(np.diff(column)) + np.abs(np.diff(row))).tolist() == [1] * 31  # neighbors
    assert len(set(zip(column.tolist(), row.tolist(), strict=True))) == 32


def test_traffic_by_hand() -> None:
    """Two parts with 2 and 3 spikes; targets: the same router, two columns on, and a next chip."""
    ways = e.traffic(np.array([2.0, 3.0]), np.array([0, 40]), np.array([1, 8, 120]), 120)
    # core 0: column 0, row 0; core 40: column 5, row 1; core 8: column 2, row 0
    messages, local, crossing, hops_x, hops_y = ways.tolist()
    assert (messages, local, crossing) == (15.0, 2.0, 5.0)
    assert (hops_x, hops_y) == (2 * 2 + 3 * (5 + 3), 3 * 2)


# Counts


def test_counts_on_one_core() -> None:
    run = tiny()
    assert run.placement.cores == 1
    counts = run.cost().counts
    assert counts[e.SYNOPS] == 5 * 4 + 8 * 4 + 8 * 2
    assert counts[e.UPDATES] == 6 * STEPS
    assert (counts[e.SPIKES], counts[e.INPUTS]) == (8.0, 5.0)
    assert counts[e.OUTPUTS] == 2 * STEPS  # every state of the readout, to the host
    assert (counts[e.PARTS], counts[e.LOCAL]) == (16.0, 16.0)
    assert counts[e.MESSAGES] == 16 + 5 + 2 * STEPS
    assert counts[e.HOPS_X] == counts[e.HOPS_Y] == counts[e.CROSSING] == 0.0


def test_counts_and_work_on_six_cores() -> None:
    """One neuron a core: every spike goes to four cores of its layer and two of the readout."""
    run = tiny(neurons_per_core=1)
    assert [split.parts for split in run.placement.splits] == [4, 2]
    counts = run.cost().counts
    assert counts[e.SYNOPS] == 5 * 4 + 8 * 4 + 8 * 2  # division adds none
    assert counts[e.INPUTS] == 5 * 4
    # the hidden layer fills router 0, the readout is on router 1, one column on
    assert (counts[e.PARTS], counts[e.LOCAL], counts[e.HOPS_X]) == (48.0, 32.0, 16.0)
    assert counts[e.HOPS_Y] == counts[e.CROSSING] == 0.0
    work = core_work(run.placement, [0.5, 0.8, 0.0])
    assert work[e.SYNOPS].tolist() == pytest.approx([1.3] * 4 + [0.8] * 2)
    assert work[e.UPDATES].tolist() == [1.0] * 6
    assert work[e.SPIKES].tolist() == pytest.approx([0.2] * 4 + [0] * 2)
    assert work[e.SENT].tolist() == pytest.approx([0.2 * 6] * 4 + [1] * 2)
    assert work[e.RECEIVED].tolist() == pytest.approx([1.3] * 4 + [0.8] * 2)


@settings(deadline=None, max_examples=25)
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
    means = [*(data.draw(st.floats(0, 50)) for _ in kinds), 0.0]
    placement = place(NetworkShape("x", layers), board(neurons_per_core=per_core))
    counts = estimate(placement, STEPS, means, means).counts
    work = core_work(placement, [value / STEPS for value in means])
    for kind in (e.SYNOPS, e.UPDATES, e.SPIKES):
        assert work[kind].sum() * STEPS == pytest.approx(counts[kind])
    assert work[e.RECEIVED].sum() * STEPS == pytest.approx(counts[e.PARTS] + counts[e.INPUTS])
    assert work[e.SENT].sum() * STEPS == pytest.approx(counts[e.PARTS] + counts[e.OUTPUTS])


# Energy and time


def test_energy_by_hand() -> None:
    davies, sanafe = tiny(neurons_per_core=1).cost().energies.values()
    assert davies[e.SYNOPS].low == pytest.approx(68 * 23.6e-12)
    assert davies[e.UPDATES] == pytest.approx((60 * 52e-12, 60 * 81e-12))
    messages = 48 + 20 + 2 * STEPS
    assert davies[e.MESSAGES].low == pytest.approx(messages * 1.7e-12)
    assert davies[e.HOPS_X].high == pytest.approx(16 * 3.0e-12)
    assert e.SPIKES not in davies
    assert sanafe[e.SPIKES].low == pytest.approx(8 * 69.3e-12)
    low = 68 * 33.6 + 60 * 51.2 + 8 * 69.3 + messages * 111 + 16 * 3
    high = 68 * 35.5 + 60 * 72.8 + 8 * 69.3 + messages * 111 + 16 * 3
    assert e.total(sanafe.values()) == pytest.approx((low * 1e-12, high * 1e-12))


def test_time_of_the_busiest_core_by_hand() -> None:
    found = tiny().cost()
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
    work = {e.SYNOPS: np.array([1000.0]), e.UPDATES: np.array([500.0])}
    sets = (e.LOIHI1, e.SCALED)
    times = [step_time(work, work, barrier(1, 1, name), name) for name in sets]
    assert times[0].mean.high == pytest.approx(3500 + 4200 + 465)
    assert times[1].mean.high == pytest.approx(max(700, 2100))
    assert times[1].bound == "neuron updates"


def test_barriers() -> None:
    for routers, ns in ((1, 600), (2, 1000), (3, 1400), (4, 1400), (5, 1800), (30, 1800)):
        assert barrier(routers, 1, e.FITTED) == (ns, ns)
    for chips, low, high in (
        (1, 113, 465),
        (2, 113, 14_300),
        (256, 14_300, 16_200),
        (768, 16_200, 16_200),
        (1152, 16_200, 16_200),
    ):
        assert barrier(8, chips, e.LOIHI1) == Range(low, high)


def test_several_chips_make_the_time_a_range() -> None:
    """Six cores on two chips: as on one, but for the barrier's upper end."""
    one = list(tiny(neurons_per_core=1).cost().times.values())
    two = list(tiny(neurons_per_core=1, cores_per_chip=4, chips=2).cost().times.values())
    for single, several in zip(one[:2], two[:2], strict=True):
        assert several.mean.high > several.mean.low
        assert several.peak.high - several.peak.low == several.mean.high - several.mean.low
        assert several.mean.low <= single.mean.low + 1e-9  # fewer routers on each chip
    assert (two[2].mean.low, two[2].bound) == (200.0, "neuron updates")
    assert two[2].mean.high == pytest.approx(4.2 + 14_300)


def test_every_constant_has_a_source_and_a_range() -> None:
    for constant in e.CONSTANTS:
        assert 0 < constant.low <= constant.high
        assert constant.source
        assert constant.certainty in ("published", "quoted", "derived", "derived, weak")
    assert all("Loihi 1" in name for name in e.ENERGIES)


# Stored runs


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three samples of a small task, in two parts; its network is next to it."""
    monkeypatch.setattr(meter, "REPEATS_SECONDS", 0.0)
    x = random_spikes(np.random.default_rng(1), 3, 40, 4, rate=0.3)
    task = str(write_task(tmp_path, x=x, y=np.arange(3 * 40).reshape(3, 40) % 6))
    dataset = find_task(task).load(None)
    network = replace(NETWORK, provenance={"task": task, "model": "123"})
    write_network(network, tmp_path / "net.h5")
    x = dataset.test.time_major()
    parts = [
        measure(network, x[:, part], engine.run(network, x[:, part]), 0.1)
        for part in (slice(0, 1), slice(1, 3))
    ]
    result = summarize(network, parts, dataset.test.y, None, backend="engine", checked=False)
    values = contents(result, dataset.source, network.provenance)
    write_result(values, tmp_path / "run.json")
    return tmp_path / "run.json"


def stored_cost(stored: RunFile) -> Estimate:
    layers = tuple(layer.shape for layer in stored.result.layers)
    spikes = [stored.result.inputs, *(layer.spikes for layer in stored.result.layers)]
    means, peaks = [each.mean for each in spikes], [float(each.peak) for each in spikes]
    return Run(place(NetworkShape("x", layers), board()), tuple(means), tuple(peaks)).cost(40)


def test_what_a_run_stores_is_read_back(stored: Path) -> None:
    x = random_spikes(np.random.default_rng(1), 3, 40, 4, rate=0.3).transpose(1, 0, 2)
    spikes = engine.run(NETWORK, np.ascontiguousarray(x)).spikes[0]
    found = read_run(stored)
    result = found.result
    assert (result.backend, result.steps, result.samples) == ("engine", 40, 3)
    assert (found.data.kind, found.network.model) == ("own", "123")
    assert tuple(layer.shape for layer in result.layers) == network_shape(NETWORK, "").layers
    assert result.inputs == Spikes(pytest.approx(x.sum() / 3), int(x.sum(axis=2).max()))
    assert spikes.sum() > 20
    hidden, readout = (layer.spikes for layer in result.layers)
    assert hidden == Spikes(pytest.approx(spikes.sum() / 3), int(spikes.sum(axis=2).max()))
    assert readout == Spikes(0, 0)
    # counted twice: weight by weight in the run, layer by layer in the estimate
    cost = json.loads(stored.read_text())["result"]["cost"]
    synops = sum(cost[name] for name in ("input_synops", "recurrent_synops", "output_synops"))
    assert stored_cost(found).counts[e.SYNOPS] == pytest.approx(synops)


def test_graded_inputs_count_as_one_each() -> None:
    """In two samples, one part each: 3 and 7 inputs that are not 0, at most 2 and 4 in a step."""
    network = random_network(np.random.default_rng(0), (4, 2, 2), input_range=(-3, 200))
    x = np.array([[[0, -3, 200, 0], [1, 1, 1, 1]], [[0, 0, 1, 0], [0, 5, 5, 5]]])  # [T, B, I]
    silent = Activity(np.zeros((2, 1, 2), np.int64), (np.zeros((2, 1, 2), np.int8),), 0)
    parts = [measure(network, x[:, b : b + 1], silent, 0.0) for b in (0, 1)]
    labels = np.zeros((2, 2), np.uint8)
    result = summarize(network, parts, labels, None, backend="engine", checked=False)
    assert result.inputs == Spikes(mean=5.0, peak=4)


def put(value: Any, *path: str | int) -> Callable[[Any], Any]:
    """A change of JSON contents; None as a value removes the key."""

    def change(contents: Any) -> Any:
        part = contents
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        if value is None:
            del part[path[-1]]
        return contents

    return change


SHAPE = ("result", "layers", 0, "shape")
DAMAGE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "old schema": (put(2, "schema"), "schema: 2; allowed is 3"),
    "list": (lambda _: [], "[]; allowed is a table with the keys format, schema"),
    "no result": (put(None, "result"), "result is missing"),
    "no layers": (put([], "result", "layers"), "hidden layers and a readout are needed"),
    "no readout": (put(None, "result", "layers", -1), "hidden layers and a readout are needed"),
    "apart": (put(5, *SHAPE, "neurons"), "as many inputs as the one before has neurons"),
    "own": (put({"N": {}}, "network", "neurons"), "network.neurons.neuron is missing"),
    "own list": (put([], "network", "neurons"), "network.neurons: []; allowed is a table of"),
    "text layer": (put("x", "result", "layers", 0), 'result.layers.1: "x"; allowed is a table'),
    "neuron": (put("BFR", *SHAPE, "neuron"), "neurons ['BFR', 'LI']; all must be known"),
    "neurons": (put(-4, *SHAPE, "neurons"), "layers.1.shape.neurons: -4; allowed is a whole"),
    "steps": (put(0, "result", "steps"), "result.steps: 0; allowed is a whole number, 1"),
    "spikes": (put(-1, "result", "layers", 0, "spikes", "mean"), "mean: -1; allowed is a number"),
    "nan": (put(float("nan"), "result", "inputs", "mean"), "inputs.mean: nan; allowed is a number"),
    "no data": (put(None, "data", "fingerprint"), "data.fingerprint is missing"),
}


def test_a_damaged_run_is_refused_in_one_line(stored: Path) -> None:
    contents = stored.read_text()
    damaged = {
        name: (json.dumps(c(json.loads(contents))), part) for name, (c, part) in DAMAGE.items()
    }
    twice = contents.replace('"steps": ', '"steps": 1, "steps": ', 1)
    damaged["twice"] = (twice, "not valid JSON (steps stands there twice)")
    damaged |= {"empty": ("", "not valid JSON"), "deep": ("[" * 100_000, "nested too deeply")}
    for name, (text, part) in damaged.items():
        stored.write_text(text)
        with pytest.raises(DataError) as error:
            read_run(stored)
        message = str(error.value)
        assert message.startswith(f"{stored}: "), name
        assert part in message, (name, message)
        assert "brf-lava run --out" in message, name
        assert "\n" not in message, name


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
    counter = rapl_meter(tmp_path)
    assert counter.problem == ""
    before = counter.read()
    assert before == pytest.approx([1e-4, 0.999])
    write_rapl(tmp_path, "intel-rapl:0", 600)
    write_rapl(tmp_path, "intel-rapl:1", 2_000)
    assert counter.spent(before, counter.read()) == pytest.approx(500e-6 + 3_000e-6)


def test_rapl_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "no RAPL counters" in rapl_meter(tmp_path).problem
    write_rapl(tmp_path, "intel-rapl:0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert "cannot be read (No such file" in rapl_meter(tmp_path).problem


def driver(cards: int = 1, counts: bool = True) -> Any:
    """NVML with some cards, which count 2500 mJ more at every reading."""
    handles = [f"GPU-{index}" for index in range(cards)]
    energy = iter(range(2500, 100_000, 2500))

    def fail(text: str) -> Any:
        raise RuntimeError(text)

    return SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: cards or fail("Driver Not Loaded"),
        nvmlDeviceGetCount=lambda: cards,
        nvmlDeviceGetHandleByIndex=handles.__getitem__,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid if uuid in handles else fail("Not Found"),
        nvmlDeviceGetTotalEnergyConsumption=lambda _: (
            next(energy) if counts else fail("Not Supported")
        ),
    )


def test_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    for library, uuid, problem in (
        (driver(), "0", ""),
        (driver(), None, ""),  # the only one, whatever it is called
        (driver(cards=2), "1", ""),
        (driver(cards=2), None, "which of the 2 cards is used"),
        (driver(), "3", "Not Found"),
        (driver(cards=0), "0", "Driver Not Loaded"),
        (driver(counts=False), "0", "Not Supported"),
    ):
        monkeypatch.setattr(meter, "pynvml", library)
        counter = nvml_meter(uuid)
        assert problem in counter.problem
        assert bool(problem) == bool(counter.problem)
        if not problem:
            assert counter.spent(counter.read(), counter.read()) == pytest.approx(2.5)


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
    found = measured("x", [call, call], 10, rapl_meter(tmp_path))
    assert len(calls) == 5
    assert (found.seconds, found.joules) == pytest.approx((0.25, 0.002 / 10))
    assert (found.batch, found.problem) == (10, "")
    blind = measured("x", [call], 10, rapl_meter(tmp_path / "absent"))
    assert blind.joules is None
    assert "no RAPL counters" in blind.problem


# The command


def command(*arguments: str | Path) -> Result:
    return brf_lava("estimate", *arguments)


def words(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_estimate_is_labeled_and_sourced(stored: Path, tmp_path: Path) -> None:
    verdict, *lines = command(stored).output.splitlines()
    low, high = (1e6 * each for each in stored_cost(read_run(stored)).dynamic)
    assert verdict.startswith(f"About {low:,.3g} to {high:,.3g} uJ dynamic")
    assert len(lines) < 10
    result = command(stored, "--all")
    assert_worked(result)
    text = words(result)
    for part in (
        "An estimate, not a measurement; nothing here was verified on hardware.",
        "23.6 pJ quoted Davies et al. 2018",
        "33.6 to 35.5 pJ published SANA-FE",
        "Left out: the host, the ways between it and the chip",
        f"synaptic operations {stored_cost(read_run(stored)).counts[e.SYNOPS]:,.1f}",
        f"neuron updates {15 * 40:,.1f}",
    ):
        assert part in text, part
    profile = (shipped("deploy") / "loihi2-oheogulch.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(profile.replace("input_axons = { value = 16000", "input_axons = { value = 5"))
    assert_failed(command(stored, "--profile", small), 6, "input axons: 13 needed, 5 allowed")
    data = command(stored, "--data", tmp_path)
    assert_failed(data, 2, "--data: goes with --measure or --float")


def test_the_same_samples_are_measured(stored: Path) -> None:
    result = command(stored, "--measure", stored.with_name("net.h5"))
    assert_worked(result)
    assert words(result).count("here integer engine, CPU") == 2  # one at a time, and all at once


def test_the_float_model_is_measured(stored: Path) -> None:
    contents = json.loads(stored.read_text())
    task = contents["network"]["task"]
    recipe = override(load_recipe("ecg-brf"), ("network.hidden=[9]", f'task="{task}"'))
    model = stored.with_name("model.pt")
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
            metrics=Metrics(1.5, 0.5, 10.0, 3, 40, "a processor"),
            activity=FloatActivity(np.zeros((3, 40), np.uint8), np.zeros(3, np.int64)),
            state_dict=Network(recipe, 4, 6, torch.Generator().manual_seed(0)).state_dict(),
            versions={"brf_lava": "0"},
        ),
        model,
    )
    change = put(load_checkpoint(model).fingerprint, "network", "model")
    stored.write_text(json.dumps(change(contents)))
    result = command(stored, "--float", model, "--device", "cpu")
    assert_worked(result)
    assert words(result).count("here float network, CPU") == 2  # one at a time, and all at once


def test_other_samples_or_networks_are_not_measured(stored: Path) -> None:
    """Nor another export: same model and sizes, other integers, which do something else."""
    path = stored.with_name("net.h5")
    hidden, *rest = NETWORK.layers
    quiet = replace(hidden, weights=replace(hidden.weights, exponent=5))
    constants = hidden.constants._replace(theta=hidden.constants.theta // 2)
    provenance = {"task": str(path.with_name("toys.toml")), "model": "123"}
    exports = [path]
    for layer in (quiet, replace(hidden, constants=constants)):
        exports.append(path.with_name(f"{len(exports)}.h5"))
        other = replace(NETWORK, layers=(layer, *rest), provenance=provenance)
        write_network(other, exports[-1])
    contents = stored.read_text()
    same = put("123", "network", "model")
    for change, export, part in (
        (put("other", "network", "model"), path, "is not the network of the run"),
        (put("other", "data", "fingerprint"), path, "not those of the run. Name them with --data."),
        (same, exports[1], "another export of the run's model"),
        (same, exports[2], "another export of the run's model"),
    ):
        stored.write_text(json.dumps(change(json.loads(contents))))
        result = command(stored, "--measure", export)
        assert_failed(result, 2, part)
        assert result.output.count("│") == 0  # before anything is printed
