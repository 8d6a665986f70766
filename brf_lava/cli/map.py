"""brf-lava map"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.io.printable import on_one_line, printable

if TYPE_CHECKING:
    from brf_lava.board.fits import Placement
    from brf_lava.report import Rows


@click.command("map", cls=Command, more=True)
@click.argument("network", type=PATH, required=False)
@click.option("--describe", type=PATH, help="A .toml file of layer sizes, instead of NETWORK.")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board.")
@click.option("-o", "--out", type=PATH, help="Also draw the cores: .png, .svg or .pdf.")
def map_command(
    network: Path | None, describe: Path | None, profile: str, out: Path | None
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
    from brf_lava import report
    from brf_lava.backends.loihi2.program import check_values, has_program, program_lengths
    from brf_lava.board.describe import network_shape, read_description
    from brf_lava.board.fits import TITLES, place
    from brf_lava.network.file import read_network

    source = network or describe
    if source is None or (network and describe):
        raise ParameterError("map: name either a network file, or a description with --describe.")
    if out is not None:
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out)
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
    drawn = out if placement.cores else None
    if drawn is not None:
        from brf_lava.analysis.draw.cores import draw_cores
        from brf_lava.analysis.draw.style import picture

        title = printable(f"{shape.name} on {board.board}: {_number(placement.cores, 'core')}")
        with picture(drawn) as figure:
            draw_cores(figure, placement, title)
    inputs, hidden, chips = shape.layers[0].inputs, len(shape.layers) - 1, board.chips
    available = chips * board.limits.cores_per_chip.value
    checks, broken = list(placement.checks()), placement.violations
    used = [
        (each.most / each.limit.value, each.title) for each in checks[: len(TITLES)] if each.most
    ]
    most = ", ".join(f"{title} {share:.0%}" for share, title in sorted(used)[:-4:-1])
    fullest = TITLES[int(placement.utilization.mean(axis=0).argmax())] if placement.cores else "-"
    fits = f"{placement.cores:,} of {available:,} cores; fullest, on average: {fullest}"
    lines = [
        f"Does not fit: {_number(len(broken), 'limit')} exceeded." if broken else f"Fits: {fits}.",
        f"network  {source}: {shape.name}, {_number(inputs, 'input')}, {shape.neurons:,} neurons "
        f"in {_number(hidden, 'hidden layer')} and a readout",
        f"board    {board.board}: {_number(chips, 'chip')}, {profile}",
        f"a core   at most {most}",
        "Nothing was verified on hardware.",
    ]
    lines += [
        f"Notice: {own.name} has no program for Loihi 2 yet; it is not counted."
        for own in dict.fromkeys(layer.record for layer in shape.layers)
        if not has_program(own)
    ]
    if drawn is not None:
        lines.append(f"Wrote {on_one_line(drawn)}.")
    more = [
        report.table(*_layer_rows(placement, lengths)),
        report.table(*_total_rows(placement)),
        report.table(*_limit_rows(placement)),
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


def _layer_rows(placement: Placement, lengths: Sequence[str]) -> Rows:
    columns = ("layer", ">neurons", ">axons in", ">synapses", ">program", ">cores", ">per core")
    rows = []
    for number, (split, length) in enumerate(zip(placement.splits, lengths, strict=True), start=1):
        layer = split.layer
        sizes = (layer.neurons, layer.sources, layer.synapses)
        parts = (f"{split.parts:,}", f"{split.sizes[0]:,}") if split.parts else ("none", "-")
        name = f"{number} {layer.neuron}{' rec.' if layer.recurrent else ''}"
        rows.append((name, *(f"{size:,}" for size in sizes), length, *parts, split.reason))
    return "Layers", (*columns, "why not fewer cores"), rows


def _total_rows(placement: Placement) -> Rows:
    *_, synapses, memory = placement.loads.sum(axis=0).tolist()
    rows = [
        ("synapses, zeros included", f"{placement.network.synapses:,}"),
        ("synapse memory, words of 64 bits", f"{synapses:,}"),
        ("memory in all, words of 64 bits", f"{memory:,}"),
        ("cores", f"{placement.cores:,}"),
        ("fewest cores that any division needs", f"{max(placement.bound):,}"),
        ("chips", f"{placement.chips:,}"),
    ]
    return "All cores", ("", ">value"), rows


def _limit_rows(placement: Placement) -> Rows:
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
    return "Limits, and what is assumed of a core's memory", columns, rows
