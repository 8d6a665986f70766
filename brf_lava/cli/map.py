"""brf-lava map"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH
from brf_lava.errors import ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.board.describe import NetworkShape
    from brf_lava.board.fits import Placement
    from brf_lava.config.profile import Loihi2Profile, Sourced
    from brf_lava.report import Rows

ROWS = 24  # of a table with one row per layer or kind of core
KB = 1000


@click.command("map")
@click.argument("network", type=PATH, required=False)
@click.option("--describe", type=PATH, help="A .toml or .json of layer sizes, instead of NETWORK.")
@click.option(
    "--profile",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="The board: loihi2-oheogulch, loihi2-kapohopoint, loihi2-halapoint, or a .toml file.",
)
@click.option("-o", "--out", type=PATH, help="Also draw the cores: .png, .svg or .pdf.")
@click.option("--all", "everything", is_flag=True, help=f"Tables of more than {ROWS} rows in full.")
def map_command(
    network: Path | None, describe: Path | None, profile: str, out: Path | None, everything: bool
) -> None:
    """Does NETWORK fit a Loihi 2 board? Exit code 0 if it does, 1 if not.

    Layers are divided over cores by public limits, each shown with its source and how certain it
    is. Nothing of it was verified on hardware.
    """
    from brf_lava import report
    from brf_lava.board.fits import RESOURCES, place

    source = network or describe
    if source is None or (network and describe):
        raise ParameterError(
            "map: name either a network file or, with --describe, a description of one."
        )
    if out is not None:
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out, source)
    board = board_profile(profile)
    shape, operations = _shape(network, source, board)
    placement = place(shape, board)
    hidden, rows = len(shape.layers) - 1, None if everything else ROWS
    click.echo(
        f"network  {source}: {shape.name}, {_number(shape.inputs, 'input')}, {shape.neurons:,} "
        f"neurons in {_number(hidden, 'hidden layer')} and a readout"
    )
    click.echo(f"board    {board.board}: {_number(board.chips, 'chip')}, {profile}")
    report.print_rows(*_layer_rows(placement, operations), rows)
    report.print_rows(*_total_rows(placement))
    report.print_rows(*_limit_rows(placement))
    report.print_rows(*_memory_rows(board))
    if placement.cores:
        report.print_rows(*_core_rows(placement), rows)
    click.echo(
        "Programs are counted, not checked: no limit of their length is public. Nothing here was "
        "verified on hardware."
    )
    for notice in placement.notices:
        click.echo(f"Notice: {notice}")
    for violation in placement.violations[:rows]:
        click.echo(f"Does not fit: {violation}.")
    if out is not None and placement.cores:
        _draw(placement, out)
        click.echo(f"Wrote {on_one_line(out)}.")
    placement.require_fit(str(source))
    fullest = RESOURCES[int(placement.utilization.mean(axis=0).argmax())].title
    click.echo(
        f"Fits: {placement.cores:,} of {board.chips * board.limits.cores_per_chip.value:,} cores; "
        f"fullest, on average: {fullest}."
    )


def _shape(
    network: Path | None, source: Path, board: Loihi2Profile
) -> tuple[NetworkShape, list[int | None]]:
    """The sizes, and the operations of each layer's neuron program where they are known.

    Raises: DoesNotFitError for integers that no core can hold, however many there are.
    """
    from brf_lava.board.describe import network_shape, read_description

    if network is None:
        shape = read_description(source)
        return shape, [None] * len(shape.layers)
    from brf_lava.backends.loihi2.program import has_program, network_programs
    from brf_lava.backends.loihi2.values import check_values
    from brf_lava.errors import DoesNotFitError
    from brf_lava.network.file import read_network

    fixed, _ = read_network(source)
    try:
        check_values(fixed)
        lacking = [each.neuron.name for each in fixed.layers if not has_program(each.neuron)]
        programs = () if lacking else network_programs(fixed)
    except ParameterError as error:
        raise DoesNotFitError(f"{source}: does not fit {board.board}: {error}") from error
    shape = network_shape(fixed, str(fixed.provenance.get("task", "no task")))
    if lacking:
        click.echo(
            f"Notice: neuron {', '.join(dict.fromkeys(lacking))} has no program for Loihi 2 yet: "
            "operations are not counted. Whether the network fits does not depend on them.",
            err=True,
        )
        return shape, [None] * len(shape.layers)
    return shape, [len(program.operations) for program in programs]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count > 1 else ''}"


def _layer_rows(placement: Placement, operations: list[int | None]) -> Rows:
    """How each layer is divided, and why not over fewer cores."""
    columns = ("layer", ">neurons", ">axons in", ">synapses", ">program", ">cores", ">per core")
    rows = [
        (
            f"{index} {split.layer.neuron}{' rec.' if split.layer.recurrent else ''}",
            f"{split.layer.neurons:,}",
            f"{split.layer.sources:,}",
            f"{split.layer.synapses:,}",
            "-" if length is None else f"{length} ops",
            f"{split.parts:,}" if split.parts else "none",
            f"{split.sizes[0]:,}" if split.parts else "-",
            split.reason,
        )
        for index, (split, length) in enumerate(
            zip(placement.splits, operations, strict=True), start=1
        )
    ]
    return "Layers", (*columns, "why not fewer cores"), rows


def _total_rows(placement: Placement) -> Rows:
    """Sums over the network."""
    from brf_lava.board.fits import neuron_words

    network, packing = placement.network, placement.profile.packing
    word = packing.word_bits.value / 8 / KB
    tight = sum(layer.synapses * layer.weight_bits for layer in network.layers) / 8 / KB
    states = sum(layer.neurons * neuron_words(layer, packing) for layer in network.layers)
    neurons, _, inputs, outputs, synapses, memory = placement.loads.sum(axis=0).tolist()
    rows = (
        ("neurons placed", f"{neurons:,} of {network.neurons:,}"),
        ("synapses, zeros included", f"{network.synapses:,}"),
        ("weights alone, the least that a dense layout can take", f"{tight:,.1f} KB"),
        ("synapse memory as assumed", f"{synapses:,} words, {synapses * word:,.1f} KB"),
        ("state and parameter memory", f"{states:,} words, {states * word:,.1f} KB"),
        ("memory in all", f"{memory:,} words, {memory * word:,.1f} KB"),
        ("axons in, axons out", f"{inputs:,}, {outputs:,}"),
        ("cores", f"{placement.cores:,}"),
        ("fewest cores that any division needs", f"{placement.bound.max():,}"),
        ("ratio to that bound", "-" if placement.ratio is None else f"{placement.ratio:.2f}"),
        ("chips", f"{placement.chips:,}"),
    )
    return "All cores", ("", ">value"), rows


def _limit_rows(placement: Placement) -> Rows:
    """Each limit, what comes nearest to it, and where it is from."""
    from brf_lava.board.fits import INPUTS, OUTPUTS, RESOURCES
    from brf_lava.neurons.fixed import STATE_WIDTH

    limits = placement.profile.limits
    rows: list[tuple[str, ...]] = []

    def add(name: str, value: int | None, limit: Sourced, bound: str = "") -> None:
        most, share = ("-", "-") if value is None else (f"{value:,}", f"{value / limit.value:.0%}")
        numbers = (most, f"{limit.value:,}", share, bound)
        rows.append((name, *numbers, limit.certainty, limit.source))

    peaks = placement.loads.max(axis=0, initial=0).tolist()
    for resource, peak, bound in zip(RESOURCES, peaks, placement.bound.tolist(), strict=True):
        add(resource.title, peak, getattr(limits, resource.limit), f"{bound:,}")
    layers = placement.network.layers
    add("bits of a weight", max(layer.weight_bits for layer in layers), limits.weight_bits)
    add("bits of a state", STATE_WIDTH, limits.state_bits)
    sums = [1 + x.input_sum.bit_length() for x in layers if x.input_sum is not None]  # with sign
    add("bits of summed weights, advised", max(sums, default=None), limits.input_bits)
    axons = [split.load[[INPUTS, OUTPUTS]].max() for split in placement.splits if split.parts]
    add("axons of a part, in or out, advised", max(axons, default=0), limits.advised_axons)
    used = min(placement.cores, limits.cores_per_chip.value)
    add("cores of a chip", used, limits.cores_per_chip)
    add("chips", placement.chips, limits.chips)
    columns = ("limit", ">most", ">of", ">share", ">cores >=", "certainty", "source")
    return "Limits of a core, of a number, and of the board", columns, rows


def _memory_rows(board: Loihi2Profile) -> Rows:
    """What things take of a core's memory, and where that is from."""
    assumed: dict[str, Sourced] = vars(board.packing)
    rows = [
        (name.replace("_", " "), str(each.value), each.certainty, each.source)
        for name, each in assumed.items()
    ]
    return "Memory, as assumed", ("what", ">value", "certainty", "source"), rows


def _core_rows(placement: Placement) -> Rows:
    """How full the cores are; cores in a row that hold the same share a line."""
    from brf_lava.board.fits import RESOURCES

    shares, rows = placement.utilization, []
    held = placement.core_parts()
    for parts, run in groupby(range(len(held)), key=held.__getitem__):
        first, *more = run
        rows.append(
            (
                f"{first:,}-{more[-1]:,}" if more else f"{first:,}",
                ", ".join(f"{size:,} of layer {layer}" for layer, size in parts),
                *(f"{share:.0%}" for share in shares[first]),
            )
        )
    titles = (f">{resource.title}" for resource in RESOURCES)
    return "Cores", ("core", "holds", *titles), rows


def _draw(placement: Placement, out: Path) -> None:
    import numpy as np

    from brf_lava.analysis.draw.cores import draw_cores
    from brf_lava.analysis.draw.style import picture
    from brf_lava.board.fits import RESOURCES
    from brf_lava.io.printable import printable

    first = np.array([parts[0][0] for parts in placement.core_parts()])
    title = (
        f"{placement.network.name} on {placement.profile.board}: "
        f"{_number(placement.cores, 'core')} (at least {placement.bound.max():,}), "
        f"{_number(placement.chips, 'chip')}"
    )
    with picture(out) as figure:
        draw_cores(
            figure,
            placement.utilization,
            [resource.title for resource in RESOURCES],
            first,
            placement.profile.limits.cores_per_chip.value,
            printable(title),  # a font has no surrogates, which JSON may have
        )
