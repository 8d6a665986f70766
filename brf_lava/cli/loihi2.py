"""brf-lava loihi2, doctor and install-lava"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Group, Result
from brf_lava.cli.options import PATH
from brf_lava.cli.target import BoardOptions, board_options, profile_option
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


@click.command(cls=Command, more=True)
@profile_option
@board_options
def doctor(profile: str, board: BoardOptions) -> Result:
    """List what a run on Loihi 2 needs, what of it is here, and what to do about the rest.

    Exit code 0 whatever is missing. Whether a network runs, 'brf-lava verify' says.

    \b
    Examples:
      brf-lava doctor
      brf-lava doctor --all --profile loihi2-kapohopoint
    """
    from brf_lava.backends.loihi2.hosts import examine, missing

    findings, _ = examine(board.on(profile))
    lacking = missing(findings)
    verdict = "Nothing is missing for loihi2. Next: brf-lava verify NET.h5 --backend loihi2"
    names = [f"{'+' if each.found else '-'} {each.name}" for each in findings]
    return Result(
        {"loihi2": not lacking, "findings": findings},
        [f"Missing for loihi2: {lacking}." if lacking else verdict, *names],
        ["", *(each.line() for each in findings)],
    )


@click.command("install-lava", cls=Command, result=False)
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def install_lava(dry_run: bool) -> None:
    """Install Lava (lava-nc 0.10.0, lava-dl 0.6.0) into the environment of this command.

    The unmodified wheels of its last releases are installed, hashes checked, with current versions
    of what they need: their own metadata allow Python 3.10 and torch 2.3 only.

    \b
    Examples:
      brf-lava install-lava --dry-run
      brf-lava install-lava
    """
    from brf_lava import lava_install

    lava_install.install_lava(click.echo, dry_run=dry_run)
