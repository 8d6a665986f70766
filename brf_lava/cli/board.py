"""brf-lava map and estimate"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH
from brf_lava.cli.target import board_profile, profile_option
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.io.printable import printable

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.board.energy import Estimate
    from brf_lava.board.fits import Placement
    from brf_lava.board.meter import Measurement

UJ, MS, NS_PER_US, NS_PER_MS = 1e-6, 1e-3, 1e3, 1e6


@click.command("map", cls=Command, more=True)
@click.argument("network", type=PATH, required=False)
@click.option("--describe", type=PATH, help="A .toml file of layer sizes, instead of NETWORK.")
@profile_option
@options.picture_options()
def map_command(
    network: Path | None, describe: Path | None, profile: str, look: options.PictureOptions
) -> Result:
    """Does NETWORK fit a Loihi 2 board? Exit code 0 if it does, 6 if not.

    Layers are divided over cores by public limits; --all shows each with its source and how certain
    it is. Nothing of it was verified on hardware.

    \b
    Examples:
      brf-lava map net.h5
      brf-lava map net.h5 --all -o cores.png
      brf-lava map --describe sizes.toml --profile loihi2-kapohopoint
    """
    from brf_lava.backends.loihi2.program import check_values, has_program, program_lengths
    from brf_lava.board.describe import network_shape, read_description
    from brf_lava.board.fits import TITLES, place
    from brf_lava.network.file import read_network

    source = network or describe
    if source is None or (network and describe):
        raise ParameterError("map: name either a network file, or a description with --describe.")
    board = board_profile(profile)
    if network is None:
        shape = read_description(source)
        lengths = ["-"] * len(shape.layers)
    else:
        fixed, _ = read_network(network)
        shape = network_shape(fixed, str(fixed.provenance.get("task", "no task")))
        try:
            check_values(fixed)
            lengths = program_lengths(fixed)
        except ParameterError as error:
            raise DoesNotFitError(f"{source}: does not fit {board.board}: {error}") from error
    placement = place(shape, board)
    inputs, hidden, chips = shape.layers[0].inputs, len(shape.layers) - 1, board.chips
    available = chips * board.limits.cores_per_chip.value
    if look.out is not None and placement.cores:
        from brf_lava.analysis.draw.cores import draw_cores

        title = printable(f"{shape.name} on {board.board}: {_number(placement.cores, 'core')}")
        with look.picture() as figure:
            draw_cores(figure, placement, title)
    checks, broken = list(placement.checks()), placement.violations
    of_core = checks[: len(TITLES)]
    used = sorted((each.most / each.limit.value, each.title) for each in of_core if each.most)
    most = ", ".join(f"{title} {share:.0%}" for share, title in used[:-4:-1])
    fullest = TITLES[int(placement.utilization.mean(axis=0).argmax())] if placement.cores else "-"
    fits = f"{placement.cores:,} of {available:,} cores; fullest, on average: {fullest}"
    lines = [
        f"Does not fit: {_number(len(broken), 'limit')} exceeded." if broken else f"Fits: {fits}.",
        f"network  {source}: {shape.name}, {_number(inputs, 'input')}, {shape.neurons:,} neurons "
        f"in {_number(hidden, 'hidden layer')} and a readout",
        f"board    {board.board}: {_number(chips, 'chip')}, {profile}",
        f"a core   at most {most}",
        "Nothing was verified on hardware.",
        *(
            f"Notice: {own.name} has no program for Loihi 2 yet; it is not counted."
            for own in dict.fromkeys(layer.record for layer in shape.layers)
            if not has_program(own)
        ),
    ]
    more = [
        *_placement_tables(placement, lengths),
        "Programs are counted, not checked: no limit of their length is public. Spikes between "
        "chips are slower than on one, which is not modeled.",
    ]
    values = {
        "fits": not broken,
        "violations": broken,
        "network": {"file": source, "name": shape.name, "inputs": inputs, "neurons": shape.neurons},
        "board": {"name": board.board, "profile": profile, "chips": chips, "cores": available},
        "cores": placement.cores,
        "fewest_cores": max(placement.bound),
        "chips": placement.chips,
        "layers": [
            {**vars(split.layer), "program": length, "cores": split.parts, "reason": split.reason}
            for split, length in zip(placement.splits, lengths, strict=True)
        ],
        "limits": [check._asdict() for check in checks],
    }
    return Result(values, lines, more, placement.misfit(str(source)))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count > 1 else ''}"


def _placement_tables(placement: Placement, lengths: Sequence[str]) -> Iterator[Table]:
    """The layers, and the limits."""
    from brf_lava import report
    from brf_lava.board.fits import LAYER_COLUMNS, layer_rows

    sizes = (f">{each}" for each in LAYER_COLUMNS[1:-1])
    columns = ("layer", *sizes, ">program", LAYER_COLUMNS[-1])
    layers = zip(layer_rows(placement), lengths, strict=True)
    yield report.table("Layers", columns, ((*row[:-1], length, row[-1]) for row, length in layers))
    rows: list[tuple[str, ...]] = []
    for check in placement.checks():
        limit, most, share = check.limit, "-", "-"
        if check.most is not None:
            most, share = f"{check.most:,}", f"{check.most / limit.value:.0%}"
        bound = "" if check.bound is None else f"{check.bound:,}"
        numbers = (most, f"{limit.value:,}", share, bound)
        rows.append((check.title, *numbers, limit.certainty, limit.source))
    rows.append(())
    for name, number in vars(placement.profile.packing).items():
        title = f"memory: {name.replace('_', ' ')}"
        rows.append((title, "", f"{number.value}", "", "", number.certainty, number.source))
    columns = ("limit", ">most", ">of", ">share", ">cores >=", "certainty", "source")
    yield report.table("Limits, and what is assumed of a core's memory", columns, rows)


@click.command(cls=Command, more=True)
@click.argument("run", type=PATH, metavar="RUN.json")
@profile_option
@click.option("--measure", "network", type=PATH, help="Also measure this network on the engine.")
@click.option("--float", "model", type=PATH, help="Also measure this float model on --device.")
@options.data_option
@options.device_option
def estimate(
    run: Path,
    profile: str,
    network: Path | None,
    model: Path | None,
    data: options.DataOptions,
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
        dataset = data.load_for(fixed.provenance, network)
        split = same_samples(stored, dataset, fixed.provenance.get("model"), network)
        with report.busy("measuring the engine"):
            measurements += time_engine(stored, fixed, split, network)
    if model is not None:
        trained, dataset = data.load_model(model)
        split = same_samples(stored, dataset, trained.fingerprint, model)
        with report.busy("measuring the float network"):
            measurements += time_float(trained.model(), split, device)
    lines = [
        f"About {cost.dynamic.shown(UJ)} uJ dynamic, {cost.static.shown(UJ)} uJ static and "
        f"{cost.seconds.shown(MS)} ms per sample.",
        "An estimate, not a measurement; nothing here was verified on hardware.",
        f"run      {run}: {placement.network.name}, {result.samples:,} samples of "
        f"{result.steps:,} steps on backend {result.backend}",
        f"board    {board.board}: cores {placement.cores:,}, chips {placement.chips:,}",
        *(
            f"here     {each.what}, {each.seconds / MS:,.3g} ms for a batch of {each.batch:,}"
            + ("" if each.joules is None else f", {each.joules / UJ:,.3g} uJ per sample")
            for each in measurements
        ),
        *dict.fromkeys(
            f"Energy not measured, {m.what}: {m.problem}." for m in measurements if m.problem
        ),
        "Left out: the host, the ways between it and the chip, and traffic between chips.",
    ]
    if placement.chips > energy.MOST_CHIPS:
        lines.append(f"Notice: no barrier of more than {energy.MOST_CHIPS} chips is published.")
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
    return Result(values, lines, list(_estimate_tables(cost, result.steps)))


def _estimate_tables(cost: Estimate, steps: int) -> Iterator[Table]:
    """Operations with their energies, times of a step, and constants."""
    from brf_lava import report
    from brf_lava.board import energy

    columns = ("", ">per sample", ">per step", *(f">uJ, {name}" for name in cost.energies))
    *operations, together = energy.rows(cost, steps)
    title = "Operations, and dynamic energy per sample"
    yield report.table(title, columns, (*operations, (), together))
    rows: list[tuple[str, ...]] = []
    for name, time in cost.times.items():
        per_step = (time.mean.shown(NS_PER_US), time.peak.shown(NS_PER_US))
        per_sample = time.mean.times(steps).shown(NS_PER_MS)
        rows.append((name, *per_step, per_sample, str(time.core), time.bound))
    columns = ("", ">mean", ">all peaks at once", ">ms per sample", ">core", ">bound by")
    yield report.table("Time per step, us, of the busiest core", columns, rows)
    rows = []
    for name, group in groupby(energy.CONSTANTS, lambda each: each.group):
        rows += [(), (f"{name}:",)]
        for constant in group:
            value = energy.Range(constant.low, constant.high).shown(form="g")
            rows.append(
                (constant.name, f"{value} {constant.unit}", constant.certainty, constant.source)
            )
    yield report.table("Constants", ("", ">value", "certainty", "source"), rows)
