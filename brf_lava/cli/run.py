"""brf-lava run and verify"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, option
from brf_lava.cli.target import BoardOptions, TargetOptions, board_options, target_options
from brf_lava.errors import NetworkFileError, ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.backends.states import Recording
    from brf_lava.data.dataset import Dataset, Split
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.early import EarlyRow


@dataclass(frozen=True)
class ProbeOptions:
    """What states to record, and the file that they go to."""

    probe: str | None = option(
        metavar="u,v,...", help="Record these states of a layer's neurons; z are its spikes."
    )
    probe_layer: str | None = option(
        metavar="LAYER", help="hidden1 (the default), hidden2, ... or readout."
    )
    probe_neurons: str | None = option(metavar="0-7,12", help="Only these, counted from 0.")
    probe_out: Path | None = option(
        type=PATH, metavar="FILE", help="The HDF5 file (.h5) that the states go to."
    )

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        from brf_lava.backends.states import KIND
        from brf_lava.io.files import check_writable

        if self.probe is not None and self.probe_out is not None:
            check_writable(self.probe_out, KIND)
        elif given := options.given(self):
            missing = "--probe" if self.probe is None else "--probe-out"
            raise ParameterError(
                f"{', '.join(given)}: not without {missing}. Name the states with --probe and "
                "their file with --probe-out."
            )

    def recording(self, network: FixedNetwork, split: Split) -> Recording | None:
        """Room for the states, or None without --probe. Raises: ParameterError."""
        from brf_lava.backends.states import new_recording, parse_numbers

        if self.probe is None:
            return None
        samples, steps, _ = split.x.shape
        states = [name.strip() for name in self.probe.split(",")]
        layer = self.probe_layer or "hidden1"
        neurons = None if self.probe_neurons is None else parse_numbers(self.probe_neurons)
        return new_recording(network, steps, samples, states, layer, neurons)

    def write(self, recording: Recording | None, dataset: Dataset, backend: str) -> list[str]:
        """Write the states if there are any, and return a line that says so."""
        from brf_lava.backends.states import write_recording

        if recording is None or self.probe_out is None:
            return []
        out, seconds = self.probe_out, dataset.step_seconds
        write_recording(recording, out, backend=backend, data=dataset.source, step_seconds=seconds)
        states, shape = ", ".join(recording.values), next(iter(recording.values.values())).shape
        return [
            f"Wrote {on_one_line(out)}: {states} of {shape[2]} neurons of {recording.layer}, "
            f"{shape[0]} steps of {shape[1]} samples."
        ]


@click.command(cls=Command)
@click.argument("network", type=PATH, default=Path("net.h5"))
@target_options(BACKENDS)
@options.data_option
@click.option("--batch", type=click.IntRange(min=1), help="Samples in one Lava run; else all.")
@click.option("--nproc", type=click.IntRange(1), help="Processes that share the samples here.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test samples.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Compare every spike and output with the integer engine; by default up to the size in the "
    "profile.",
)
@click.option("--reference", type=PATH, help="Also measure this float model again.")
@options.device_option
@click.option("-o", "--out", type=PATH, help="Also write the result to this JSON file.")
@click.option(
    "--early",
    type=options.numbers,
    metavar="0.5,1,...",
    help="For one class per sample: how early the best class leads by each margin, in units of the "
    "readout, and the accuracy it costs to decide then.",
)
@options.grouped("probe", ProbeOptions, "Options to record states")
@board_options
def run(
    network: Path,
    target: TargetOptions,
    data: options.DataOptions,
    batch: int | None,
    nproc: int | None,
    limit: int | None,
    check: bool | None,
    reference: Path | None,
    device: str,
    out: Path | None,
    early: tuple[float, ...] | None,
    probe: ProbeOptions,
    board: BoardOptions,
) -> Result | None:
    """Run NETWORK (default: net.h5) on the test data and compare it with the float reference.

    For a record without labels see 'brf-lava classify', for one step at a time 'brf-lava stream'.

    \b
    Examples:
      brf-lava run net.h5
      brf-lava run net.h5 --backend engine --limit 20
      brf-lava run net.h5 -o run.json
      brf-lava run net.h5 --probe u,v,q,z --probe-neurons 0-7 --probe-out states.h5
    """
    from brf_lava import report
    from brf_lava.io.files import check_writable
    from brf_lava.io.world import shared
    from brf_lava.network.file import read_network
    from brf_lava.run.early import check_early
    from brf_lava.run.evaluate import check_provenance, float_reference, run_test_data
    from brf_lava.run.execute import work
    from brf_lava.run.result import KIND, contents, write_result

    chosen = target.target(board)
    backend = chosen.backend
    probe.check()
    if out is not None:
        check_writable(out, KIND, probe.probe_out)
    fixed, stored = read_network(network)
    if early is not None:
        check_early(fixed, early, "--early")
    check_provenance(fixed, network)
    dataset = data.load_for(fixed.provenance, network)
    split = dataset.test if limit is None else dataset.test.first(limit)
    samples, steps, _ = split.x.shape
    recording = probe.recording(fixed, split)
    world = click.get_current_context().with_resource(shared(nproc, "cpu"))
    with report.busy("the float network"):  # in all processes at the same time
        floats = float_reference(fixed, dataset, samples, stored, reference, device)
    if check is None:
        check = work(fixed, steps, samples) <= chosen.check_limit
    with report.step_progress(f"{backend.name}, {samples} samples", samples) as on_samples:
        result, early_rows = run_test_data(
            fixed,
            split,
            backend,
            batch=batch or chosen.batch,
            timeout=chosen.timeout,
            check=check,
            reference=floats,
            margins=early or (),
            recording=recording,
            on_samples=lambda done: on_samples(done * world.size),
            world=world,
        )
    if world.rank:  # the first process says and writes
        return None
    written = probe.write(recording, dataset, backend.name)
    values = contents(result, dataset.source, fixed.provenance)
    if out is not None:
        write_result(values, out)
        written.append(f"Wrote {on_one_line(out)}.")
    verdict = f"Accuracy {result.accuracy:.2%} in integers"
    if floats is not None and result.agreement is not None:
        verdict += f", {floats.accuracy:.2%} in float; {result.agreement:.2%} of predictions equal"
    counts = f"{result.spike_slots:,} spike slots and {result.outputs:,} outputs"
    lines = [
        f"{verdict}.",
        *([f"{backend.title} equals the engine in all {counts}."] if result.checked else []),
        f"network  {report.network_line(fixed)}",
        f"data     {dataset.source.description}",
        report.comparison_table(result),
        "SOP: a spike of a hidden neuron, as Higuchi et al. 2024 count them.",
        *([early_table(early_rows)] if early_rows else []),
        *written,
    ]
    return Result({**values, "early": early_rows}, lines)


@click.command(cls=Command)
@click.argument("network", type=PATH)
@target_options(BACKENDS)
@click.option("--samples", type=click.IntRange(1, 10_000), help="Vectors to draw; else 4.")
@click.option("--steps", type=click.IntRange(1, 100_000), help="Of each; else 200.")
@click.option(
    "--stored/--no-stored",
    default=None,
    help="Then also those in the file; by default if neither --samples nor --steps is given.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0)
@board_options
def verify(
    network: Path,
    target: TargetOptions,
    samples: int | None,
    steps: int | None,
    stored: bool | None,
    seed: int,
    board: BoardOptions,
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

    chosen = target.target(board)
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


def early_table(early: Sequence[EarlyRow]) -> Table:
    """How early each margin decides, and what that costs; the last row is the whole sequence."""
    from brf_lava import report

    *rows, end = early
    cells: list[tuple[str, ...]] = []
    for row in rows:
        shares = (f"{row.decided:.2%}", f"{row.accuracy:.2%}")
        cost = f"{100 * (end.accuracy - row.accuracy):.2f} points"
        cells.append((f"{row.margin:g}", f"{row.latency:.1f}", *shares, cost, f"{row.sops:.1f}"))
    whole = ("none", f"{end.latency:.0f}", "", f"{end.accuracy:.2%}", "", f"{end.sops:.1f}")
    columns = (">margin", ">mean latency, steps", ">decided", ">accuracy", ">cost", ">SOPs")
    return report.table("Early decision", columns, [*cells, (), whole])
