"""brf-lava run"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli.command import Command, Result
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
    from rich.table import Table

    from brf_lava.run.early import EarlyRow


@click.command(cls=Command)
@click.argument("network", type=PATH, default=Path("net.h5"))
@target_options(BACKENDS)
@data_option
@click.option("--batch", type=click.IntRange(min=1), help="Samples in one Lava run; else all.")
@click.option(
    "--nproc", type=click.IntRange(1), help="Share the samples between so many processes here."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test samples.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Compare every spike and output with the integer engine; on by default up to the size "
    "in the profile.",
)
@click.option("--reference", type=PATH, help="Also measure this float model again.")
@device_option
@click.option("-o", "--out", type=PATH, help="Also write the result to this JSON file.")
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
    nproc: int | None,
    limit: int | None,
    check: bool | None,
    reference: Path | None,
    device: str,
    out: Path | None,
    early: tuple[float, ...] | None,
    probe: ProbeOptions,
    loihi2: Loihi2Settings,
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

    chosen = target.target(loihi2)
    backend = chosen.backend
    probe.check()
    if out is not None:
        check_writable(out, KIND, probe.probe_out)
    fixed, stored = read_network(network)
    if early is not None:
        check_early(fixed, early, "--early")
    check_provenance(fixed, network)
    dataset = network_data(fixed.provenance, data, network)
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
    written = [] if recording is None else probe.write(recording, dataset, backend.name)
    values = contents(result, dataset.source, fixed.provenance)
    if out is not None:
        write_result(values, out)
        written.append(f"Wrote {on_one_line(out)}.")
    verdict = f"Accuracy {result.accuracy:.2%} in integers"
    if floats is not None and result.agreement is not None:
        verdict += f", {floats.accuracy:.2%} in float; {result.agreement:.2%} of predictions equal"
    equal = (
        f"{backend.title} equals the engine in all {result.spike_slots:,} spike slots and "
        f"{result.outputs:,} outputs."
    )
    lines = [
        f"{verdict}.",
        *([equal] if result.checked else []),
        f"network  {report.network_line(fixed)}",
        f"data     {dataset.source.description}",
        report.comparison_table(result),
        "SOP: a spike of a hidden neuron, as Higuchi et al. 2024 count them.",
        *([early_table(early_rows)] if early_rows else []),
        *written,
    ]
    return Result({**values, "early": early_rows}, lines)


def early_table(early: Sequence[EarlyRow]) -> Table:
    """How early each margin decides, and what that costs; the last row is the whole sequence."""
    from brf_lava import report

    *rows, end = early
    cells: list[tuple[str, ...]] = [
        (
            f"{row.margin:g}",
            f"{row.latency:.1f}",
            f"{row.decided:.2%}",
            f"{row.accuracy:.2%}",
            f"{100 * (end.accuracy - row.accuracy):.2f} points",
            f"{row.sops:.1f}",
        )
        for row in rows
    ]
    whole = ("none", f"{end.latency:.0f}", "", f"{end.accuracy:.2%}", "", f"{end.sops:.1f}")
    columns = (">margin", ">mean latency, steps", ">decided", ">accuracy", ">cost", ">SOPs")
    return report.table("Early decision", columns, [*cells, (), whole])
