"""brf-lava estimate"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, device_option, network_data
from brf_lava.errors import DataError, ParameterError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from brf_lava.board.energy import Estimate, Range
    from brf_lava.board.meter import Measurement
    from brf_lava.data.dataset import Split
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.report import Rows
    from brf_lava.run.stored import StoredRun

SINGLES = 10  # samples that are measured one by one
UJ, MS = 1e-6, 1e-3
NS_PER_US, NS_PER_MS = 1e3, 1e6
ENGINE, FLOAT_CPU, FLOAT_GPU = "integer engine, CPU", "float network, CPU", "float network, GPU"
HEADLINE = "An estimate, not a measurement; nothing here was verified on hardware."


@click.command()
@click.argument("run", type=PATH, metavar="RUN.json")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board.")
@click.option("--measure", "network", type=PATH, help="Also measure this network on the engine.")
@click.option("--float", "model", type=PATH, help="Also measure this float model on --device.")
@data_option
@device_option
def estimate(
    run: Path,
    profile: str,
    network: Path | None,
    model: Path | None,
    data: DataOptions,
    device: str,
) -> None:
    """What a measured run would cost on a Loihi 2 board, as ranges.

    RUN.json is what 'brf-lava run --out' wrote. Energies per operation of Loihi 2 are not public:
    two sets of Loihi 1 stand in. --measure and --float run the same samples on this computer.
    """
    from brf_lava import report
    from brf_lava.board import energy
    from brf_lava.board.fits import place
    from brf_lava.run.stored import read_run

    if data.folder is not None and network is None and model is None:
        raise ParameterError(
            "--data: goes with --measure or --float, which run the samples again. Leave it out."
        )
    stored = read_run(run)
    board = board_profile(profile)
    placement = place(stored.run.network, board)
    placement.require_fit(str(run))
    cost = energy.estimate(stored.run, placement)
    measurements = list(_measurements(stored, network, model, data, device))
    click.echo(
        f"run      {run}: {stored.run.network.name}, {stored.run.samples:,} samples of "
        f"{stored.run.steps:,} steps on backend {stored.backend}"
    )
    click.echo(f"board    {board.board}: cores {placement.cores:,}, chips {placement.chips:,}")
    click.echo(HEADLINE)
    report.print_rows(*_count_rows(cost.counts, stored.run.steps))
    report.print_rows(*_energy_rows(cost))
    report.print_rows(*_time_rows(cost, stored.run.steps))
    report.print_rows(*_measurement_rows(cost, measurements))
    for problem in dict.fromkeys(f"{m.what}: {m.problem}" for m in measurements if m.problem):
        click.echo(f"Energy not measured, {problem}.")
    report.print_rows(*_constant_rows())
    for reference in energy.REFERENCES:
        click.echo(reference)
    published = "Measured on Loihi 2 by others, other networks"
    report.print_rows(published, ("", "values", "certainty"), energy.PUBLISHED)
    click.echo("Left out: the host, the ways between it and the chip, and traffic between chips.")
    known = energy.CHIP_BARRIERS[-1][0]
    if placement.chips > known:
        click.echo(
            f"Notice: no barrier of more than {known} chips is published; that of {known} is taken."
        )
    for notice in placement.notices:
        click.echo(f"Notice: {notice}")


def _measurements(
    stored: StoredRun, network: Path | None, model: Path | None, data: DataOptions, device: str
) -> Iterator[Measurement]:
    """What --measure and --float ask for, each with one sample at a time and with all at once."""
    from brf_lava.board.meter import NvmlMeter, RaplMeter, measured

    if network is not None:
        from brf_lava.backends import engine
        from brf_lava.network.file import read_network

        fixed, _ = read_network(network)
        _check_same(network, fixed.provenance.get("model"), stored)
        x = _samples(fixed.provenance, data, stored, network).x.transpose(1, 0, 2)
        _check_spikes(network, fixed, x.copy(), stored)
        for batch, starts in _batches(stored.run.samples):
            runs = [partial(engine.run, fixed, x[:, s : s + batch].copy()) for s in starts]
            yield measured(ENGINE, runs, batch, RaplMeter())
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint
        from brf_lava.train.model import choose_device, device_name, evaluate

        checkpoint = load_checkpoint(model)
        _check_same(model, checkpoint.fingerprint, stored)
        known = {"task": checkpoint.recipe.task, "permutation": checkpoint.permutation}
        split = _samples(known, data, stored, model)
        devices = [choose_device(device)]
        if device == "auto" and devices[0].type == "cuda":
            devices.insert(0, choose_device("cpu"))
        for target in devices:
            ready = checkpoint.model().to(target)
            card = target.type == "cuda"
            what = f"{FLOAT_GPU if card else FLOAT_CPU} ({device_name(target)})"
            for batch, starts in _batches(stored.run.samples):
                chosen = [slice(start, start + batch) for start in starts]
                parts = [replace(split, x=split.x[each], y=split.y[each]) for each in chosen]
                calls = [partial(evaluate, ready, part, target) for part in parts]
                meter = NvmlMeter(_uuid(target)) if card else RaplMeter()
                yield measured(what, calls, batch, meter)


def _batches(samples: int) -> Iterator[tuple[int, range]]:
    """One by one, the first few; then all at once."""
    yield 1, range(min(SINGLES, samples))
    if samples > 1:
        yield samples, range(1)


def _uuid(card: torch.device) -> str | None:
    """By which the driver knows a card; None before torch 2.4."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(card), "uuid", None)
    return None if uuid is None else str(uuid)


def _check_same(path: Path, model: str | None, stored: StoredRun) -> None:
    if model != stored.model:
        raise DataError(
            f"{path}: is not the network of the run (model {str(model)[:8]}, not "
            f"{str(stored.model)[:8]}). Name that one, or run this one with --out."
        )


def _check_spikes(path: Path, network: FixedNetwork, x: NDArray[Any], stored: StoredRun) -> None:
    """Another export of the model has other integers: its sizes or its spikes are not the run's.

    x: [T, B, I], all samples of the run. Raises: DataError.
    """
    from brf_lava.backends import engine
    from brf_lava.board.describe import network_shape
    from brf_lava.run.sop import SpikeCounts

    run = stored.run
    shapes = network_shape(network, run.network.name).layers, run.network.layers
    sizes = [[replace(layer, input_sum=None) for layer in layers] for layers in shapes]
    same = sizes[0] == sizes[1]
    if same:
        spikes = SpikeCounts.of(engine.run(network, x).spikes).spikes()
        same = all(
            each.peak == peak and isclose(each.mean, mean, rel_tol=1e-9)  # means of parts, rounded
            for each, mean, peak in zip(spikes, run.spikes[:-1], run.peaks[:-1], strict=True)
        )
    if not same:
        raise DataError(
            f"{path}: is another export of the run's model: its integers give other spikes. Name "
            "the file that was run, or run this one with --out."
        )


def _samples(provenance: dict[str, Any], data: DataOptions, stored: StoredRun, path: Path) -> Split:
    """The samples of the run. Raises: DataError for others."""
    dataset = network_data(provenance, data, path)
    if dataset.source.fingerprint != stored.data or len(dataset.test.x) < stored.run.samples:
        raise DataError(
            f"{path}: the data here, {dataset.source.description}, are not those of the run. Name "
            "them with --data."
        )
    return dataset.test.first(stored.run.samples)


def _shown(value: Range, unit: float = 1.0, digits: str = ",.3g") -> str:
    low, high = f"{value.low / unit:{digits}}", f"{value.high / unit:{digits}}"
    return low if low == high else f"{low} - {high}"


def _count_rows(counts: dict[str, float], steps: int) -> Rows:
    """Operations per sample and per step."""
    rows = [(name, f"{value:,.1f}", f"{value / steps:,.2f}") for name, value in counts.items()]
    return "Counts, from the measured spikes", ("", ">per sample", ">per step"), rows


def _energy_rows(cost: Estimate) -> Rows:
    """uJ per sample by operation, one column per set of constants."""
    from brf_lava.board.energy import total

    sets = cost.energies.values()
    rows = [
        (name, *(_shown(parts[name], UJ) if name in parts else "-" for parts in sets))
        for name in dict.fromkeys(name for parts in sets for name in parts)
    ]
    together = ("together", *(_shown(total(parts.values()), UJ) for parts in sets))
    columns = ("", *(f">{name}" for name in cost.energies))
    return "Dynamic energy, uJ per sample", columns, [*rows, (), together]


def _time_rows(cost: Estimate, steps: int) -> Rows:
    """The time of a step, by its busiest core."""
    rows = [
        (
            name,
            _shown(each.mean, NS_PER_US),
            _shown(each.peak, NS_PER_US),
            _shown(each.mean.times(steps), NS_PER_MS),
            str(each.core),
            each.bound,
        )
        for name, each in cost.times.items()
    ]
    columns = ("", ">mean", ">all peaks at once", ">ms per sample", ">core", ">bound by")
    return "Time per step, us, of the busiest core", columns, rows


def _measurement_rows(cost: Estimate, measurements: list[Measurement]) -> Rows:
    """The estimate, and what was measured on this computer."""
    low, high = cost.seconds
    rows = [
        (
            "estimate (Loihi 1's constants): dynamic",
            "1",
            _shown(cost.seconds, MS),
            f"{1 / high:,.0f} - {1 / low:,.0f}",
            _shown(cost.dynamic, UJ),
        ),
        ("  static, chips in use", "", "", "", _shown(cost.static, UJ)),
    ]
    rows += [
        (
            each.what,
            f"{each.batch:,}",
            f"{each.seconds / MS:,.3g}",
            f"{each.batch / each.seconds:,.0f}",
            "not measured" if each.joules is None else f"{each.joules / UJ:,.3g}",
        )
        for each in measurements
    ]
    rows += [
        (what, "", f"needs {needed}", "", "not measured")
        for what, needed in (
            (ENGINE, "--measure"),
            (FLOAT_CPU, "--float"),
            (FLOAT_GPU, "--float, GPU"),
        )
        if not any(each.what.startswith(what) for each in measurements)
    ]
    columns = ("", ">batch", ">latency, ms", ">samples/s", ">energy, uJ")
    return "Per sample; all but the estimate measured on this computer", columns, rows


def _constant_rows() -> Rows:
    """Every constant of the estimate, with its source."""
    from brf_lava.board import energy

    rows: list[tuple[str, ...]] = []
    for group in energy.CONSTANTS:
        for each in group:
            value = f"{_shown(each.range, digits='g')} {each.unit}"
            rows.append((each.name, value, each.certainty, each.source))
        rows.append(())
    return "Constants", ("", ">value", "certainty", "source"), rows[:-1]
