"""brf-lava estimate"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, device_option, network_data
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.board.energy import Estimate, Range
    from brf_lava.board.meter import Measurement
    from brf_lava.report import Rows

UJ, MS, NS_PER_US, NS_PER_MS = 1e-6, 1e-3, 1e3, 1e6


@click.command(cls=Command, more=True)
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
) -> Result:
    """What a measured run would cost on a Loihi 2 board, as ranges.

    RUN.json is what 'brf-lava run --out' wrote. Energies per operation of Loihi 2 are not public:
    two sets of Loihi 1 stand in; --all shows every constant with its source. --measure and --float
    run the same samples on this computer.

    \b
    Examples:
      brf-lava run net.h5 -o run.json && brf-lava estimate run.json
      brf-lava estimate run.json --measure net.h5 --float model.pt
    """
    from brf_lava import report
    from brf_lava.board import energy
    from brf_lava.board.describe import NetworkShape
    from brf_lava.board.fits import place
    from brf_lava.run.stored import read_run, same_samples, time_engine, time_float

    if data.folder is not None and network is None and model is None:
        raise ParameterError("--data: goes with --measure or --float. Leave it out.")
    stored, board = read_run(run), board_profile(profile)
    result = stored.result
    spikes = [result.inputs, *(layer.spikes for layer in result.layers)]
    shapes = tuple(layer.shape for layer in result.layers)
    placement = place(NetworkShape(stored.network.task or run.stem, shapes), board)
    placement.require_fit(str(run))
    means, peaks = [each.mean for each in spikes], [float(each.peak) for each in spikes]
    cost = energy.estimate(placement, result.steps, means, peaks)
    measurements: list[Measurement] = []
    if network is not None:
        from brf_lava.network.file import read_network

        fixed, _ = read_network(network)
        dataset = network_data(fixed.provenance, data, network)
        split = same_samples(stored, dataset, fixed.provenance.get("model"), network)
        with report.busy("measuring the engine"):
            measurements += time_engine(stored, fixed, split, network)
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint

        trained = load_checkpoint(model)
        known = {"task": trained.recipe.task, "permutation": trained.permutation}
        dataset = network_data(known, data, model)
        split = same_samples(stored, dataset, trained.fingerprint, model)
        with report.busy("measuring the float network"):
            measurements += time_float(trained.model(), split, device)
    lines = [
        f"About {_shown(cost.dynamic, UJ)} uJ dynamic, {_shown(cost.static, UJ)} uJ static and "
        f"{_shown(cost.seconds, MS)} ms per sample.",
        "An estimate, not a measurement; nothing here was verified on hardware.",
        f"run      {run}: {placement.network.name}, {result.samples:,} samples of "
        f"{result.steps:,} steps on backend {result.backend}",
        f"board    {board.board}: cores {placement.cores:,}, chips {placement.chips:,}",
        *(
            f"here     {each.what}, batch {each.batch:,}: {each.seconds / MS:,.3g} ms, "
            f"{_joules(each)} uJ per sample"
            for each in measurements
        ),
        *dict.fromkeys(
            f"Energy not measured, {m.what}: {m.problem}." for m in measurements if m.problem
        ),
        "Left out: the host, the ways between it and the chip, and traffic between chips.",
    ]
    if placement.chips > energy.MOST_CHIPS:
        lines.append(f"Notice: no barrier of more than {energy.MOST_CHIPS} chips is published.")
    more = [
        report.table(*_energy_rows(cost, result.steps)),
        report.table(*_time_rows(cost, result.steps)),
        report.table(*_measurement_rows(cost, measurements)),
        report.table(*_constant_rows()),
    ]
    values = {
        "run": run,
        "task": stored.network.task,
        "backend": result.backend,
        "samples": result.samples,
        "steps": result.steps,
        "board": board.board,
        "cores": placement.cores,
        "chips": placement.chips,
        "dynamic_joules": cost.dynamic,
        "static_joules": cost.static,
        "seconds": cost.seconds,
        "operations": {key.strip(): each for key, each in cost.counts.items()},
        "energies_joules": cost.energies,
        "step_times": {group: each._asdict() for group, each in cost.times.items()},
        "measurements": measurements,
        "constants": [each._asdict() for each in energy.CONSTANTS],
    }
    return Result(values, lines, more)


def _joules(each: Measurement) -> str:
    return "not measured" if each.joules is None else f"{each.joules / UJ:,.3g}"


def _shown(value: Range, unit: float = 1.0) -> str:
    low, high = f"{value.low / unit:,.3g}", f"{value.high / unit:,.3g}"
    return low if low == high else f"{low} - {high}"


def _energy_rows(cost: Estimate, steps: int) -> Rows:
    from brf_lava.board.energy import total

    groups = cost.energies.values()
    rows = []
    for name, value in cost.counts.items():
        energies = (_shown(parts[name], UJ) if name in parts else "" for parts in groups)
        rows.append((name, f"{value:,.1f}", f"{value / steps:,.2f}", *energies))
    together = ("together", "", "", *(_shown(total(parts.values()), UJ) for parts in groups))
    columns = ("", ">per sample", ">per step", *(f">uJ, {name}" for name in cost.energies))
    rows = [*rows, (), together]
    return "Operations, and dynamic energy per sample", columns, rows


def _time_rows(cost: Estimate, steps: int) -> Rows:
    rows = []
    for name, time in cost.times.items():
        per_step = (_shown(time.mean, NS_PER_US), _shown(time.peak, NS_PER_US))
        per_sample = _shown(time.mean.times(steps), NS_PER_MS)
        rows.append((name, *per_step, per_sample, str(time.core), time.bound))
    columns = ("", ">mean", ">all peaks at once", ">ms per sample", ">core", ">bound by")
    return "Time per step, us, of the busiest core", columns, rows


def _measurement_rows(cost: Estimate, measurements: list[Measurement]) -> Rows:
    low, high = cost.seconds
    times = (_shown(cost.seconds, MS), f"{1 / high:,.0f} - {1 / low:,.0f}")
    rows = [
        ("estimate (Loihi 1's constants): dynamic", "1", *times, _shown(cost.dynamic, UJ)),
        ("  static, chips in use", "", "", "", _shown(cost.static, UJ)),
    ]
    for each in measurements:
        times = (f"{each.seconds / MS:,.3g}", f"{each.batch / each.seconds:,.0f}")
        rows.append((each.what, f"{each.batch:,}", *times, _joules(each)))
    columns = ("", ">batch", ">latency, ms", ">samples/s", ">energy, uJ")
    return "Per sample; --measure and --float add this computer", columns, rows


def _constant_rows() -> Rows:
    from brf_lava.board.energy import CONSTANTS

    rows: list[tuple[str, ...]] = []
    for name, group in groupby(CONSTANTS, lambda each: each.group):
        rows += [(), (f"{name}:",)]
        for each in group:
            value = f"{each.low:g}" if each.low == each.high else f"{each.low:g} - {each.high:g}"
            rows.append((each.name, f"{value} {each.unit}", each.certainty, each.source))
    return "Constants", ("", ">value", "certainty", "source"), rows
