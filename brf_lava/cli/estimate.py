"""brf-lava estimate"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, device_option, network_data
from brf_lava.errors import DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.table import Table

    from brf_lava.board.costs import Constant
    from brf_lava.board.estimate import Counts, Estimate, Range
    from brf_lava.board.meter import Measurement
    from brf_lava.data.dataset import Split
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.stored import StoredRun

SINGLES = 10  # samples that are measured one by one
UJ, MS = 1e-6, 1e-3
NS_PER_US, NS_PER_MS = 1e3, 1e6
ENGINE, FLOAT_CPU, FLOAT_GPU = "integer engine, CPU", "float network, CPU", "float network, GPU"
HEADLINE = "An estimate, not a measurement; nothing here was verified on hardware."


@click.command()
@click.argument("run", type=PATH, metavar="RUN.json")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board.")
@click.option("--measure", "network", type=PATH, help="Measure this network on the engine, beside.")
@click.option("--float", "model", type=PATH, help="Measure this float model on --device, beside.")
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
    from brf_lava.board import costs
    from brf_lava.board.estimate import estimate as estimate_run
    from brf_lava.board.place import place
    from brf_lava.run.stored import read_run

    if data.folder is not None and network is None and model is None:
        raise ParameterError(
            "--data: goes with --measure or --float, which run the samples again. Leave it out."
        )
    stored = read_run(run)
    board = board_profile(profile)
    placement = place(stored.run.network, board)
    placement.require_fit(str(run))
    found = estimate_run(stored.run, placement)
    beside = list(_measurements(stored, network, model, data, device))
    click.echo(
        f"run      {run}: {stored.run.network.name}, {stored.run.samples:,} samples of "
        f"{stored.run.steps:,} steps on backend {stored.backend}"
    )
    click.echo(f"board    {board.board}: cores {placement.cores:,}, chips {placement.chips:,}")
    click.echo(HEADLINE)
    report.print_table(count_table(found.counts))
    report.print_table(energy_table(found))
    report.print_table(time_table(found, stored.run.steps))
    report.print_table(beside_table(found, beside))
    for problem in dict.fromkeys(f"{each.what}: {each.problem}" for each in beside if each.problem):
        click.echo(f"Energy not measured, {problem}.")
    report.print_table(source_table())
    for reference in costs.REFERENCES:
        click.echo(reference)
    report.print_table(published_table())
    click.echo(
        "Left out: the host, the ways between it and the chip, and traffic between chips"
        + (
            f", {found.counts.traffic.crossing:,.0f} messages a sample."
            if placement.chips > 1
            else "."
        )
    )
    known = costs.CHIP_BARRIERS[-1][0]
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
        x = _samples(fixed.provenance, data, stored, str(network)).x.transpose(1, 0, 2)
        _check_spikes(network, fixed, x.copy(), stored)
        for batch, starts in _batches(stored.run.samples):
            calls = [_call(engine.run, fixed, x[:, s : s + batch].copy()) for s in starts]
            yield measured(ENGINE, calls, batch, RaplMeter())
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint
        from brf_lava.train.model import choose_device, device_name, evaluate

        checkpoint = load_checkpoint(model)
        _check_same(model, checkpoint.fingerprint, stored)
        known = {"task": checkpoint.recipe.task, "permutation": checkpoint.permutation}
        split = _samples(known, data, stored, str(model))
        devices = [choose_device(device)]
        if device == "auto" and devices[0].type == "cuda":
            devices.insert(0, choose_device("cpu"))
        for target in devices:
            ready = checkpoint.model().to(target)
            card = target.type == "cuda"
            what = f"{FLOAT_GPU if card else FLOAT_CPU} ({device_name(target)})"
            for batch, starts in _batches(stored.run.samples):
                calls = [_call(evaluate, ready, _part(split, s, batch), target) for s in starts]
                meter = NvmlMeter(target.index or 0) if card else RaplMeter()
                yield measured(what, calls, batch, meter)


def _batches(samples: int) -> Iterator[tuple[int, range]]:
    """One by one, the first few; then all at once."""
    yield 1, range(min(SINGLES, samples))
    if samples > 1:
        yield samples, range(1)


def _call(function: Callable[..., object], *arguments: object) -> Callable[[], None]:
    def call() -> None:
        function(*arguments)

    return call


def _part(split: Split, start: int, size: int) -> Split:
    from dataclasses import replace

    index = slice(start, start + size)
    return replace(split, x=split.x[index], y=split.y[index])


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
    from dataclasses import replace
    from math import isclose

    from brf_lava.backends import engine
    from brf_lava.board.describe import network_shape
    from brf_lava.run.sop import layer_spikes

    run = stored.run
    shapes = network_shape(network, run.network.name).layers, run.network.layers
    sizes = [[replace(layer, input_sum=None) for layer in layers] for layers in shapes]
    same = sizes[0] == sizes[1]
    if same:
        found = [each.spikes for each in layer_spikes(network, engine.run(network, x))]
        same = all(
            each.peak == peak and isclose(each.mean, mean, rel_tol=1e-9)  # means of parts, rounded
            for each, mean, peak in zip(found, run.spikes, run.peaks, strict=True)
        )
    if not same:
        raise DataError(
            f"{path}: is another export of the run's model: its integers give other spikes. Name "
            "the file that was run, or run this one with --out."
        )


def _samples(provenance: dict[str, Any], data: DataOptions, stored: StoredRun, where: str) -> Split:
    """The samples of the run. Raises: DataError for others."""
    if "task" not in provenance:
        raise DataError(f"{where}: names no task, so that its data are not known.")
    dataset = network_data(provenance, data, Path(where))
    if dataset.source.fingerprint != stored.data or len(dataset.test.x) < stored.run.samples:
        raise DataError(
            f"{where}: the data here, {dataset.source.description}, are not those of the run. Name "
            "them with --data."
        )
    return dataset.test.first(stored.run.samples)


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is words, the others numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _shown(value: Range, unit: float) -> str:
    low, high = f"{value.low / unit:,.3g}", f"{value.high / unit:,.3g}"
    return low if low == high else f"{low} - {high}"


def count_table(counts: Counts) -> Table:
    """Operations per sample and per step."""
    table = _table("Counts, from the measured spikes", "", "per sample", "per step")
    way = counts.traffic
    for name, value in (
        ("synaptic operations", counts.synops),
        ("neuron updates", counts.updates),
        ("hidden spikes", counts.spikes),
        ("spike messages, one per part of a layer", way.messages),
        ("  of them within one router", way.local),
        ("hops along rows of routers", way.hops_x),
        ("hops along columns", way.hops_y),
        ("messages of input spikes", counts.inputs),
        ("messages of the readout to the host, at most", counts.outputs),
    ):
        table.add_row(name, f"{value:,.1f}", f"{value / counts.steps:,.2f}")
    return table


def energy_table(found: Estimate) -> Table:
    """uJ per sample by operation, one column per set of constants."""
    table = _table("Dynamic energy, uJ per sample", "", *(each.name for each in found.energies))
    names = dict.fromkeys(name for each in found.energies for name in each.parts)
    for name in names:
        table.add_row(
            name,
            *(_shown(e.parts[name], UJ) if name in e.parts else "-" for e in found.energies),
        )
    table.add_section()
    table.add_row("together", *(_shown(each.total, UJ) for each in found.energies))
    return table


def time_table(found: Estimate, steps: int) -> Table:
    """The time of a step, by its busiest core."""
    table = _table(
        "Time per step, us, of the busiest core",
        *("", "mean", "all peaks at once", "ms per sample", "core", "bound by"),
    )
    for each in found.times:
        table.add_row(
            each.name,
            _shown(each.mean, NS_PER_US),
            _shown(each.peak, NS_PER_US),
            _shown(each.mean.times(steps), NS_PER_MS),
            str(each.core),
            each.bound,
        )
    return table


def beside_table(found: Estimate, measurements: list[Measurement]) -> Table:
    """The estimate, and what was measured on this computer."""
    table = _table(
        "Per sample; all but the estimate measured on this computer",
        "",
        "batch",
        "latency, ms",
        "samples/s",
        "energy, uJ",
    )
    seconds = found.seconds
    rate = f"{1 / seconds.high:,.0f} - {1 / seconds.low:,.0f}"
    latency = _shown(seconds, MS)
    table.add_row(
        "estimate (Loihi 1's constants): dynamic", "1", latency, rate, _shown(found.dynamic, UJ)
    )
    table.add_row("  static, chips in use", "", "", "", _shown(found.static, UJ))
    for each in measurements:
        table.add_row(
            each.what,
            f"{each.batch:,}",
            f"{each.seconds / MS:,.3g}",
            f"{each.batch / each.seconds:,.0f}",
            "not measured" if each.joules is None else f"{each.joules / UJ:,.3g}",
        )
    for what, needed in (
        (ENGINE, "needs --measure"),
        (FLOAT_CPU, "needs --float"),
        (FLOAT_GPU, "needs --float, GPU"),
    ):
        if not any(each.what.startswith(what) for each in measurements):
            table.add_row(what, "", needed, "", "not measured")
    return table


def source_table() -> Table:
    """Every constant of the estimate."""
    from brf_lava.board import costs

    table = _table("Constants", "", "value")
    table.add_column("certainty")
    table.add_column("source")

    def row(constant: Constant) -> None:
        low, high = f"{constant.low:g}", f"{constant.high:g}"
        value = low if low == high else f"{low} - {high}"
        table.add_row(
            constant.name, f"{value} {constant.unit}", constant.certainty, constant.source
        )

    for each in (*costs.ENERGY_SETS, *costs.TIME_SETS):
        for constant in each.constants:
            row(constant)
        table.add_section()
    for _, barrier in costs.CHIP_BARRIERS:
        row(barrier)
    table.add_section()
    row(costs.STATIC_CHIP)
    row(costs.BOARD)
    return table


def published_table() -> Table:
    """Measurements of others, on Loihi 2."""
    from brf_lava.board import costs

    table = _table("Measured on Loihi 2 by others, other networks", "")
    table.add_column("values")
    table.add_column("certainty")
    for each in costs.PUBLISHED:
        table.add_row(each.work, each.value, each.certainty)
    return table
