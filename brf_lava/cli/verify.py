"""brf-lava verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    board_profile,
    loihi2_options,
    loihi2_settings,
    refuse_loihi2_options,
)
from brf_lava.cli.options import PATH
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from brf_lava.network.activity import Activity
    from brf_lava.network.layers import FixedNetwork

TIMEOUT = 600.0  # s, for Lava's simulation


@click.command()
@click.argument("network", type=PATH)
@click.option("--backend", type=click.Choice(["sim", "engine", "loihi2"]), default="sim")
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
) -> None:
    """Run test vectors through NETWORK and compare every spike and output.

    First vectors drawn from the seed, with the engine as it is now; then those in the file, with
    what the engine answered when it was exported. The engine itself is compared with its equations,
    evaluated by NumPy. No data set is needed. Exit code 1 at the first difference.
    """
    from brf_lava import report
    from brf_lava.network.file import read_network
    from brf_lava.run.check import DEFECT, ON_CHIP
    from brf_lava.run.execute import BACKEND_NAMES, execute, require_backend
    from brf_lava.run.verify import plain_run, vectors
    from brf_lava.run.verify import verify as verify_backend

    options = None
    if backend == "loihi2":
        options = loihi2_settings(board_profile(profile or DEFAULT_PROFILE))
    else:
        refuse_loihi2_options(backend)
        if profile is not None:
            raise ParameterError(
                f"--profile {profile}: only for --backend loihi2, not {backend}. Leave it out."
            )
    require_backend(backend, options)
    fixed, _ = read_network(network)
    x = vectors(fixed, samples or 4, steps or 200, seed)
    click.echo(f"network  {report.network_line(fixed)}")

    def run(x: NDArray[Any]) -> Activity:
        return execute(
            fixed,
            x,
            backend=backend,
            timeout=TIMEOUT if backend == "sim" else None,
            loihi2=options,
            on_placement=lambda lines: click.echo("\n".join(lines)),
        )[0]

    verified = verify_backend(
        fixed,
        x,
        run,
        BACKEND_NAMES[backend],
        reference=(lambda x: plain_run(fixed, x)) if backend == "engine" else None,
        reference_name="NumPy" if backend == "engine" else "the engine",
        advice=ON_CHIP if backend == "loihi2" else DEFECT,
    )
    beside = "its equations in NumPy" if backend == "engine" else "the integer engine"
    click.echo(f"{backend} against {beside}, seed {seed}: {verified.line()}.")
    if not verified.spikes:
        click.echo(
            "Notice: no hidden neuron spiked, so that little was tested. Use more --steps.",
            err=True,
        )
    if stored or (stored is None and samples is None and steps is None):
        _verify_stored(network, fixed, run, backend, named=bool(stored))
    if backend == "loihi2":
        click.echo("Saturations are counted by the engine alone: states do not leave the chip.")


def _verify_stored(
    network: Path,
    fixed: FixedNetwork,
    run: Callable[[NDArray[Any]], Activity],
    backend: str,
    *,
    named: bool,
) -> None:
    """What a backend makes of the file's own vectors, beside what the file says.

    named: they were asked for. Raises: NetworkFileError if there are none then.
    """
    from brf_lava.errors import NetworkFileError
    from brf_lava.network.file import read_vectors
    from brf_lava.run.check import DEFECT, ON_CHIP
    from brf_lava.run.execute import BACKEND_NAMES
    from brf_lava.run.verify import verify as verify_backend

    stored = read_vectors(network)
    if stored is None and named:
        raise NetworkFileError(
            f"{network}: --stored, but no vectors are stored in it. Export it again, or leave "
            "--stored out."
        )
    if stored is None:
        click.echo("No vectors are stored in the file: it was exported without.")
        return
    verified = verify_backend(
        fixed,
        stored.inputs,
        run,
        BACKEND_NAMES[backend],
        reference=lambda _: stored.activity,
        reference_name="the file",
        advice=ON_CHIP if backend == "loihi2" else DEFECT,
    )
    click.echo(f"{backend} against the file: {verified.line()}.")
