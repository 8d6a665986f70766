"""brf-lava run"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli.loihi2_options import Loihi2Settings, loihi2_options
from brf_lava.cli.options import (
    PATH,
    DataOptions,
    data_option,
    device_option,
    network_data,
    numbers,
)
from brf_lava.cli.probe_options import ProbeOptions, probe_options
from brf_lava.cli.target_options import TargetOptions, target_options
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.backends.base import Backend
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.report import Rows
    from brf_lava.run.early import Early
    from brf_lava.run.on_test_data import TestRun


@click.command()
@click.argument("network", type=PATH, default=Path("net.h5"))
@target_options(BACKENDS)
@data_option
@click.option("--batch", type=click.IntRange(min=1), help="Samples in one Lava run; else all.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test samples.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Compare every spike and output with the integer engine; on by default up to the size "
    "in the profile.",
)
@click.option("--reference", type=PATH, help="Measure this float model again, to compare with.")
@device_option
@click.option("--out", type=PATH, help="Also write the result to this JSON file.")
@click.option(
    "--early",
    type=numbers,
    metavar="0.5,1,...",
    help="For one class per sample: also show how early the lead of the best class, in units of "
    "the readout, reaches each margin, and what accuracy it would cost to decide then.",
)
@probe_options
@loihi2_options
def run(
    network: Path,
    target: TargetOptions,
    data: DataOptions,
    batch: int | None,
    limit: int | None,
    check: bool | None,
    reference: Path | None,
    device: str,
    out: Path | None,
    early: tuple[float, ...] | None,
    probe: ProbeOptions,
    loihi2: Loihi2Settings,
) -> None:
    """Run NETWORK (default: net.h5) on the test data and compare it with the float reference.

    For a record without labels see 'brf-lava classify', for one step at a time 'brf-lava stream'.
    """
    from brf_lava import report
    from brf_lava.io.files import check_writable
    from brf_lava.network.file import read_network
    from brf_lava.run.early import check_early
    from brf_lava.run.on_test_data import check_provenance, float_reference, run_test_data
    from brf_lava.run.result import write_result

    chosen = target.target(loihi2)
    probe.check(chosen.backend, network, reference, out)
    if out is not None:
        check_writable(out, network, *([reference] if reference else []))
    fixed, stored = read_network(network)
    if early is not None:
        check_early(fixed, early, "--early")
    check_provenance(fixed, network)
    dataset = network_data(fixed.provenance, data, network)
    split = dataset.test if limit is None else dataset.test.first(limit)
    samples = len(split.x)
    recording = probe.recording(fixed, split)
    floats = float_reference(fixed, dataset, samples, stored, reference, device)
    with report.step_progress(f"{target.backend}, {samples} samples", samples) as on_samples:
        done = run_test_data(
            fixed,
            split,
            chosen,
            batch=batch,
            check=check,
            reference=floats,
            margins=early or (),
            recording=recording,
            on_samples=on_samples,
        )
    _show(fixed, dataset, done, chosen.backend)
    if recording is not None:
        probe.write(recording, fixed, dataset, target.backend)
    if out is not None:
        write_result(done.result, dataset.source, fixed.provenance, out)
        click.echo(f"Wrote {on_one_line(out)}.")


def _show(network: FixedNetwork, dataset: Dataset, done: TestRun, backend: Backend) -> None:
    from brf_lava import report

    click.echo(f"network  {report.network_line(network)}")
    click.echo(f"data     {dataset.source.description}")
    report.print_rows(*report.comparison_rows(done.result))
    click.echo("SOP: a spike of a hidden neuron, as Higuchi et al. 2024 count them.")
    if done.early is not None:
        report.print_rows(*early_rows(done.early))
    if done.result.checked:
        click.echo(
            f"{backend.title} equals the engine in all {done.spike_slots:,} spike slots and "
            f"{done.outputs:,} outputs."
        )


def early_rows(early: Early) -> Rows:
    """How early each margin decides, and what it costs, next to the whole sequence."""
    columns = (">margin", ">mean latency, steps", ">decided", ">accuracy", ">cost", ">SOPs")
    rows = [
        (
            f"{row.margin:g}",
            f"{row.latency:.1f}",
            f"{row.decided:.2%}",
            f"{row.accuracy:.2%}",
            f"{100 * row.cost:.2f} points",
            f"{row.sops:.1f}",
        )
        for row in early.rows
    ]
    whole = ("none", str(early.steps), "", f"{early.accuracy:.2%}", "", f"{early.sops:.1f}")
    return "Early decision", columns, [*rows, (), whole]
