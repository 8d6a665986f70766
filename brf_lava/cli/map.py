"""brf-lava map"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH
from brf_lava.errors import ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.board.describe import NetworkShape
    from brf_lava.board.place import Placement
    from brf_lava.config.profile import Loihi2Profile, Sourced

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
    from brf_lava.board.place import place

    source = _source(network, describe)
    if out is not None:
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out, source)
    board = board_profile(profile)
    shape, operations = _shape(network, source, board)
    placement = place(shape, board)
    click.echo(f"network  {source}: {shape.name}, {_sizes(shape)}")
    click.echo(f"board    {board.board}: {_number(board.chips, 'chip')}, {profile}")
    rows = None if everything else ROWS
    report.print_table(layer_table(placement, operations, rows))
    report.print_table(total_table(placement))
    report.print_table(limit_table(placement))
    report.print_table(packing_table(board))
    if placement.cores:
        report.print_table(core_table(placement, rows))
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
    click.echo(
        f"Fits: {placement.cores:,} of {board.chips * board.limits.cores_per_chip.value:,} cores; "
        f"fullest, on average: {placement.bottleneck}."
    )


def _source(network: Path | None, describe: Path | None) -> Path:
    if network is not None and describe is None:
        return network
    if describe is not None and network is None:
        return describe
    raise ParameterError(
        "map: name either a network file or, with --describe, a description of one."
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
    from brf_lava.board.place import DoesNotFitError
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


def _sizes(shape: NetworkShape) -> str:
    hidden = len(shape.layers) - 1
    layers = _number(hidden, "hidden layer")
    inputs = _number(shape.inputs, "input")
    return f"{inputs}, {shape.neurons:,} neurons in {layers} and a readout"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count > 1 else ''}"


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first `left` columns are words, the others numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right")
    return table


def _cut(table: Table, total: int, shown: int | None) -> Table:
    if shown is not None and total > shown:
        table.caption = f"and {total - shown:,} more rows, see --all"
        table.caption_justify = "left"
    return table


def layer_table(
    placement: Placement, operations: list[int | None], rows: int | None = None
) -> Table:
    """How each layer is divided, and why not over fewer cores."""
    table = _table(
        "Layers",
        *("layer", "neurons", "axons in", "synapses", "program", "cores", "per core"),
    )
    table.add_column("why not fewer cores")
    shown = list(enumerate(zip(placement.splits, operations, strict=True), start=1))[:rows]
    for index, (split, length) in shown:
        layer, load = split.layer, split.load
        table.add_row(
            f"{index} {layer.neuron}{' rec.' if layer.recurrent else ''}",
            f"{layer.neurons:,}",
            f"{layer.sources:,}",
            f"{layer.synapses:,}",
            "-" if length is None else f"{length} ops",
            f"{split.parts:,}" if split.parts else "none",
            f"{load.neurons:,}" if split.parts else "-",
            split.reason,
        )
    return _cut(table, len(placement.splits), rows)


def total_table(placement: Placement) -> Table:
    """Sums over the network."""
    from brf_lava.board.limits import neuron_words

    network, packing = placement.network, placement.profile.packing
    word = packing.word_bits.value / 8 / KB
    tight = sum(layer.synapses * layer.weight_bits for layer in network.layers) / 8 / KB
    sums = placement.loads.sum(axis=0).tolist() or [0] * 6
    states = sum(layer.neurons * neuron_words(layer, packing) for layer in network.layers)
    table = _table("All cores", "", "value")
    for name, value in (
        ("neurons placed", f"{sums[0]:,} of {network.neurons:,}"),
        ("synapses, zeros included", f"{network.synapses:,}"),
        ("weights alone, the least that a dense layout can take", f"{tight:,.1f} KB"),
        ("synapse memory as assumed", f"{sums[4]:,} words, {sums[4] * word:,.1f} KB"),
        ("state and parameter memory", f"{states:,} words, {states * word:,.1f} KB"),
        ("memory in all", f"{sums[5]:,} words, {sums[5] * word:,.1f} KB"),
        ("axons in, axons out", f"{sums[2]:,}, {sums[3]:,}"),
        ("cores", f"{placement.cores:,}"),
        ("fewest cores that any division needs", f"{max(placement.bound):,}"),
        ("ratio to that bound", "-" if placement.ratio is None else f"{placement.ratio:.2f}"),
        ("chips", f"{placement.chips:,}"),
    ):
        table.add_row(name, value)
    return table


def limit_table(placement: Placement) -> Table:
    """Each limit, what comes nearest to it, and where it is from."""
    from brf_lava.board.limits import RESOURCES
    from brf_lava.neurons.fixed import STATE_WIDTH

    limits = placement.profile.limits
    table = _table(
        "Limits of a core, of a number, and of the board",
        *("limit", "most", "of", "share", "cores >=", "certainty"),
    )
    table.columns[-1].justify = "left"
    table.add_column("source")
    peaks = placement.loads.max(axis=0).tolist() if placement.cores else [0] * len(RESOURCES)

    def row(name: str, value: int | None, limit: Sourced, bound: str = "") -> None:
        most, share = ("-", "-") if value is None else (f"{value:,}", f"{value / limit.value:.0%}")
        table.add_row(
            *(name, most, f"{limit.value:,}", share, bound), *(limit.certainty, limit.source)
        )

    for resource, peak, bound in zip(RESOURCES, peaks, placement.bound, strict=True):
        row(resource.title, peak, getattr(limits, resource.limit), f"{bound:,}")
    row(
        "bits of a weight", max(x.weight_bits for x in placement.network.layers), limits.weight_bits
    )
    row("bits of a state", STATE_WIDTH, limits.state_bits)
    sums = [layer.input_sum for layer in placement.network.layers]
    known = [1 + each.bit_length() for each in sums if each is not None]  # with the sign
    row("bits of summed weights, advised", max(known, default=None), limits.input_bits)
    axons = [split.load for split in placement.splits if split.parts]
    widest = max((max(each.input_axons, each.output_axons) for each in axons), default=0)
    row("axons of a part, in or out, advised", widest, limits.advised_axons)
    used = min(placement.cores, limits.cores_per_chip.value)
    row("cores of a chip", used, limits.cores_per_chip)
    row("chips", placement.chips, limits.chips)
    return table


def packing_table(board: Loihi2Profile) -> Table:
    """What things take of a core's memory, and where that is from."""
    from dataclasses import fields

    table = _table("Memory, as assumed", "what", "value")
    table.add_column("certainty")
    table.add_column("source")
    for field in fields(board.packing):
        number: Sourced = getattr(board.packing, field.name)
        name = field.name.replace("_", " ")
        table.add_row(name, str(number.value), number.certainty, number.source)
    return table


def core_table(placement: Placement, rows: int | None = None) -> Table:
    """How full the cores are; cores in a row that hold the same share a line."""
    from brf_lava.board.limits import RESOURCES

    table = _table("Cores", "core", "holds", *(each.title for each in RESOURCES), left=2)
    runs = list(placement.alike())
    shares = placement.utilization
    for first, last, parts in runs[:rows]:
        table.add_row(
            f"{first:,}" if first == last else f"{first:,}-{last:,}",
            ", ".join(f"{size:,} of layer {layer}" for layer, size in parts),
            *(f"{share:.0%}" for share in shares[first]),
        )
    return _cut(table, len(runs), rows)


def _draw(placement: Placement, out: Path) -> None:
    import numpy as np

    from brf_lava.analysis.draw.cores import draw_cores
    from brf_lava.analysis.draw.style import picture
    from brf_lava.board.limits import RESOURCES
    from brf_lava.io.printable import printable

    first = np.array([parts[0][0] for parts in placement.core_parts()])
    title = (
        f"{placement.network.name} on {placement.profile.board}: "
        f"{_number(placement.cores, 'core')} (at least {max(placement.bound):,}), "
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
