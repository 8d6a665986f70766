"""brf-lava loihi2"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Group, Result
from brf_lava.cli.options import PATH
from brf_lava.errors import ParameterError


@click.group(cls=Group)
def loihi2() -> None:
    """What a network becomes on Loihi 2."""


@loihi2.command()
@click.argument("network", type=PATH)
@click.option("--layer", type=int, help="Of this layer alone; the first hidden one is 1.")
def program(network: Path, layer: int | None) -> Result:
    """List the neuron programs of NETWORK: operations, their number, and what they need.

    \b
    Example:
      brf-lava loihi2 program net.h5 --layer 1
    """
    from brf_lava.backends.loihi2.machine import listing, need_lines
    from brf_lava.backends.loihi2.program import network_programs
    from brf_lava.network.file import read_network

    fixed, _ = read_network(network)
    programs = network_programs(fixed)
    numbers = range(1, len(programs) + 1)
    if layer is not None and layer not in numbers:
        raise ParameterError(
            f"--layer {layer}: {network} has layers 1 to {len(programs)}. Name one of them."
        )
    chosen = [layer] if layer else numbers
    listings = {str(number): listing(programs[number - 1]) for number in chosen}
    needs = need_lines([programs[number - 1] for number in chosen])
    lines: list[str] = []
    for number, text in listings.items():
        lines += [f"layer {number}: {fixed.layers[int(number) - 1].shape[0]} neurons", *text, ""]
    return Result({"layers": listings, "needs": needs}, [*lines, *needs])
