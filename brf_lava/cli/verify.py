"""brf-lava verify"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import Loihi2Settings, loihi2_options
from brf_lava.cli.options import PATH
from brf_lava.cli.target_options import TargetOptions, target_options
from brf_lava.errors import NetworkFileError


@click.command(cls=Command)
@click.argument("network", type=PATH)
@target_options(BACKENDS)
@click.option("--samples", type=click.IntRange(1, 10_000), help="Vectors to draw; else 4.")
@click.option("--steps", type=click.IntRange(1, 100_000), help="Of each; else 200.")
@click.option(
    "--stored/--no-stored",
    default=None,
    help="Then also those in the file; by default where neither --samples nor --steps is given.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@loihi2_options
def verify(
    network: Path,
    target: TargetOptions,
    samples: int | None,
    steps: int | None,
    stored: bool | None,
    seed: int,
    loihi2: Loihi2Settings,
) -> Result:
    """Run test vectors through NETWORK and compare every spike and output.

    First vectors drawn from the seed, with the engine as it is now; then those in the file, with
    what the engine answered when it was exported. The engine itself is compared with its equations,
    evaluated by NumPy. No data set is needed. Exit code 5 at the first difference. Before that, a
    proof of range: whether any input at all could make an integer overflow or a state saturate.

    \b
    Examples:
      brf-lava verify net.h5
      brf-lava verify net.h5 --backend engine --samples 10 --steps 1000 --seed 1
    """
    from brf_lava import report
    from brf_lava.network.bounds import proof_lines
    from brf_lava.network.file import read_network, read_vectors
    from brf_lava.run.execute import compared_line, vectors, verify_backend

    chosen = target.target(loihi2)
    backend, timeout = chosen.backend, chosen.timeout
    fixed, _ = read_network(network)
    x = vectors(fixed, samples or 4, steps or 200, seed)
    with report.busy(f"{backend.name}, drawn vectors"):
        expected = verify_backend(fixed, x, backend, timeout=timeout)
    right = "its equations in NumPy" if backend.is_reference else "the integer engine"
    compared = [f"{backend.name} against {right}, seed {seed}: {compared_line(expected)}."]
    if not expected.hidden_spikes.any():
        report.notice("no hidden neuron spiked, so that little was tested. Use more --steps.")
    if stored or (stored is None and samples is None and steps is None):
        held = read_vectors(network)
        if held is not None:
            with report.busy(f"{backend.name}, stored vectors"):
                verify_backend(fixed, held.inputs, backend, timeout=timeout, stored=held.activity)
            compared.append(f"{backend.name} against the file: {compared_line(held.activity)}.")
        elif stored:
            raise NetworkFileError(
                f"{network}: --stored, but no vectors are stored in it. Export it again, or leave "
                "--stored out."
            )
        else:
            compared.append("No vectors are stored in the file: it was exported without.")
    if backend.on_board:
        compared.append(
            "Saturations are counted by the engine alone: states do not leave the chip."
        )
    proof = proof_lines(fixed)
    values = {"equal": True, "backend": backend.name, "seed": seed, "compared": compared}
    about = f"network  {report.network_line(fixed)}"
    return Result({**values, "proof": proof}, [*compared, about, *proof])
