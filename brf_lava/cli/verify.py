"""brf-lava verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS, Backend
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, Loihi2Settings, loihi2_options
from brf_lava.cli.options import PATH
from brf_lava.cli.target_options import board_backend
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.network.layers import FixedNetwork


@click.command()
@click.argument("network", type=PATH)
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="sim")
@click.option("--samples", type=click.IntRange(1, 10_000), help="Vectors to draw; else 4.")
@click.option("--steps", type=click.IntRange(1, 100_000), help="Of each; else 200.")
@click.option(
    "--stored/--no-stored",
    default=None,
    help="Then also those in the file; by default where neither --samples nor --steps is given.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--profile", help=f"loihi2: the board; else {DEFAULT_PROFILE}.")
@loihi2_options
def verify(
    network: Path,
    backend: str,
    samples: int | None,
    steps: int | None,
    stored: bool | None,
    seed: int,
    profile: str | None,
    loihi2: Loihi2Settings,
) -> None:
    """Run test vectors through NETWORK and compare every spike and output.

    First vectors drawn from the seed, with the engine as it is now; then those in the file, with
    what the engine answered when it was exported. The engine itself is compared with its equations,
    evaluated by NumPy. No data set is needed. Exit code 1 at the first difference.
    """
    from brf_lava import report
    from brf_lava.network.file import read_network
    from brf_lava.run.verify import vectors, verify_backend

    chosen = BACKENDS[backend]
    if chosen.on_board:
        chosen = board_backend(profile, loihi2)
    else:
        loihi2.refuse(backend)
        if profile is not None:
            raise ParameterError(
                f"--profile {profile}: only for --backend loihi2, not {backend}. Leave it out."
            )
    chosen.require()
    fixed, _ = read_network(network)
    x = vectors(fixed, samples or 4, steps or 200, seed)
    click.echo(f"network  {report.network_line(fixed)}")
    verified = verify_backend(fixed, x, chosen)
    right = "its equations in NumPy" if chosen.is_reference else "the integer engine"
    click.echo(f"{backend} against {right}, seed {seed}: {verified.line()}.")
    if not verified.spikes:
        click.echo(
            "Notice: no hidden neuron spiked, so that little was tested. Use more --steps.",
            err=True,
        )
    if stored or (stored is None and samples is None and steps is None):
        _verify_stored(network, fixed, chosen, asked=bool(stored))
    if chosen.on_board:
        click.echo("Saturations are counted by the engine alone: states do not leave the chip.")


def _verify_stored(network: Path, fixed: FixedNetwork, backend: Backend, *, asked: bool) -> None:
    """Compare with the answers in the file. asked: raise NetworkFileError if there are none."""
    from brf_lava.errors import NetworkFileError
    from brf_lava.network.file import read_vectors
    from brf_lava.run.verify import verify_backend

    stored = read_vectors(network)
    if stored is None and asked:
        raise NetworkFileError(
            f"{network}: --stored, but no vectors are stored in it. Export it again, or leave "
            "--stored out."
        )
    if stored is None:
        click.echo("No vectors are stored in the file: it was exported without.")
        return
    verified = verify_backend(fixed, stored.inputs, backend, stored.activity)
    click.echo(f"{backend.name} against the file: {verified.line()}.")
