"""brf-lava run"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS, Backend, Loihi2
from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    board_profile,
    loihi2_options,
    loihi2_settings,
    refuse_loihi2_options,
)
from brf_lava.cli.options import (
    PATH,
    data_arguments,
    data_option,
    device_option,
    network_data,
)
from brf_lava.cli.probe_options import chosen_probe, probe_options
from brf_lava.cli.stream import early_table, stream_input
from brf_lava.cli.stream_options import chosen_stream, stream_options
from brf_lava.errors import DataError, NetworkFileError, ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.activity import FloatActivity
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.result import Reference


@click.command()
@click.argument("network", type=PATH, default=Path("net.h5"))
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="sim")
@data_option
@click.option("--batch", type=click.IntRange(min=1), help="Samples in one Lava run; else all.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test samples.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Compare every spike and output with the integer engine; on by default up to the size "
    "in the profile.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for Lava.")
@click.option("--profile", help=f"Defaults of the target: sim, or for loihi2 {DEFAULT_PROFILE}.")
@click.option("--reference", type=PATH, help="Measure this float model again beside the run.")
@device_option
@click.option("--out", type=PATH, help="Also write the result to this JSON file.")
@click.option("--input", "record", type=PATH, help="Classify this WFDB record instead (ecg).")
@click.option(
    "--leads",
    metavar="A,B",
    help="With --input: two signals by name or number; else the first two.",
)
@click.option("--csv", type=PATH, help="With --input: one line per sample with its wave.")
@click.option("--annotations-out", type=PATH, help="With --input: a WFDB annotation file.")
@stream_options
@probe_options
@loihi2_options
def run(
    network: Path,
    backend: str,
    data: Path | None,
    batch: int | None,
    limit: int | None,
    check: bool | None,
    timeout: float | None,
    profile: str | None,
    reference: Path | None,
    device: str,
    out: Path | None,
    record: Path | None,
    leads: str | None,
    csv: Path | None,
    annotations_out: Path | None,
) -> None:
    """Run NETWORK (default: net.h5) on the test data and compare it with the float reference."""
    import numpy as np

    from brf_lava import report
    from brf_lava.io.files import check_writable
    from brf_lava.network.file import read_network
    from brf_lava.run.execute import execute, samples_per_part, work
    from brf_lava.run.result import measure, summarize, write_result

    beside = (limit, reference, out, leads, csv, annotations_out, batch, check)
    asked = chosen_stream(
        record=record is not None,
        compared=bool(data_arguments(data)) or any(one is not None for one in beside),
    )
    if record is None and (csv or annotations_out or leads):
        raise DataError(
            "--csv and --annotations-out say where the waves of an --input go, --leads which of "
            "its signals are used; name it."
        )
    if record is not None and (
        limit or check is not None or reference or out or data_arguments(data)
    ):
        raise DataError(
            "--input: an unlabeled record is classified, and nothing compared; --data, --limit, "
            "--check, --reference, --unlabeled, --permutation and --out do not go with it. Leave "
            "them out."
        )
    target = _target(backend, profile, timeout)
    target.backend.require()
    probe = chosen_probe(
        target.backend,
        network,
        reference,
        out,
        beside=record is not None or asked.source is not None,
    )
    if out is not None:
        check_writable(out, network, *([reference] if reference else []))
    fixed, stored = read_network(network)
    if asked.source is not None:
        stream_input(fixed, asked.source, asked, backend=backend, timeout=target.timeout)
        return
    meter = asked.meter(fixed)
    missing = [key for key in ("task", "data", "metrics") if key not in fixed.provenance]
    if missing:
        raise NetworkFileError(
            f"{network}: its provenance has no {', '.join(missing)}, so neither data nor reference "
            "are known. Name a file written by 'brf-lava export'."
        )
    if record is not None:
        from brf_lava.cli.classify import classify_input

        classify_input(
            fixed,
            record,
            lambda x: execute(fixed, x, backend=target.backend, timeout=target.timeout)[0],
            batch=batch,
            csv=csv,
            annotations_out=annotations_out,
            leads=leads,
        )
        return
    dataset = network_data(fixed.provenance, data, network)
    samples = len(dataset.test.x) if limit is None else min(limit, len(dataset.test.x))
    split = dataset.test.first(samples)
    steps = split.x.shape[1]
    if check is None:
        check = work(fixed, steps, samples) <= target.check_limit
    check = check and not target.backend.is_reference
    recording = None if probe is None else probe.recording(fixed, steps, samples)
    float_reference = _reference(fixed, dataset, samples, stored, reference, device)
    batch = batch or target.batch
    size = samples_per_part(fixed, steps, batch)
    parts = []
    with report.step_progress(f"{backend}, {samples} samples", samples) as on_samples:
        for first in range(0, samples, size):
            x = np.ascontiguousarray(split.x[first : first + size].transpose(1, 0, 2))
            activity, seconds = execute(
                fixed,
                x,
                backend=target.backend,
                batch=batch,
                timeout=target.timeout,
                check=check,
                recording=None
                if recording is None
                else recording.samples(first, first + x.shape[1]),
                on_progress=_sample_progress(on_samples, first, x.shape[1]),
            )
            parts.append(measure(fixed, x, activity, seconds))
            if meter is not None:
                meter.add(activity)
            on_samples(first + x.shape[1])
    result = summarize(fixed, parts, split.y, float_reference, backend=backend, checked=check)
    click.echo(f"network  {report.network_line(fixed)}")
    click.echo(f"data     {dataset.source.description}")
    report.print_table(report.comparison_table(result))
    click.echo("SOP: a spike of a hidden neuron, as Higuchi et al. 2024 count them.")
    if meter is not None:
        report.print_table(early_table(meter.result(split.y)))
    if check:
        spikes, outputs = (sum(p.spike_slots for p in parts), sum(p.outputs for p in parts))
        click.echo(
            f"{target.backend.title} equals the engine in all {spikes:,} spike slots and "
            f"{outputs:,} outputs."
        )
    if probe is not None and recording is not None:
        probe.write(recording, fixed, backend, dataset)
    if out is not None:
        write_result(result, dataset.source, fixed.provenance, out)
        click.echo(f"Wrote {on_one_line(out)}.")


@dataclass(frozen=True)
class _Target:
    """A backend, and what its profile says of a run on it."""

    backend: Backend
    timeout: float | None
    check_limit: float
    batch: int | None


def _target(backend: str, profile: str | None, timeout: float | None) -> _Target:
    """Raises: ParameterError for options that do not go together, and for the profile of another
    kind of target; RecipeError."""
    from brf_lava.config.profile import SimProfile, load_profile

    chosen = BACKENDS[backend]
    if chosen.on_board:
        if timeout is not None:
            raise ParameterError(
                "--timeout: a run on Loihi 2 cannot be ended from here. Name a --partition with a "
                "time limit instead."
            )
        board = board_profile(profile or DEFAULT_PROFILE)
        return _Target(Loihi2(loihi2_settings(board), _shown_once()), None, math.inf, None)
    refuse_loihi2_options(backend)
    settings = load_profile(profile or "sim")
    if not isinstance(settings, SimProfile):
        raise ParameterError(
            f"--profile {profile}: describes a Loihi 2 board; backend {backend} takes one of kind "
            "'sim', such as sim. Name that, or use --backend loihi2."
        )
    return _Target(
        chosen, timeout or settings.timeout_seconds, settings.check_limit, settings.batch or None
    )


def _shown_once() -> Callable[[Sequence[str]], None]:
    """Prints each line once: the parts of a run are placed alike."""
    told: set[str] = set()

    def show(lines: Sequence[str]) -> None:
        new = [line for line in lines if line not in told]
        told.update(new)
        if new:
            click.echo("\n".join(new))

    return show


def _sample_progress(
    on_samples: Callable[[int], None], first: int, samples: int
) -> Callable[[float], None]:
    """From the share done of one part of a run to samples done of all."""
    return lambda share: on_samples(first + int(samples * share))


def _reference(
    fixed: FixedNetwork,
    dataset: Dataset,
    samples: int,
    stored: FloatActivity | None,
    model: Path | None,
    device: str,
) -> Reference | None:
    """The float network on the samples of the run: measured now from `model`, else as stored."""
    from brf_lava.run.result import decision_of, reference_from

    decision = decision_of(fixed)
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint
        from brf_lava.train.model import choose_device, device_name, evaluate

        checkpoint = load_checkpoint(model)
        if checkpoint.fingerprint != fixed.provenance.get("model"):
            click.echo(
                f"Notice: {model} is not the model that the network was exported from.", err=True
            )
        target = choose_device(device)
        split = dataset.test.first(samples)
        _, measured = evaluate(checkpoint.model().to(target), split, target)
        return reference_from(measured, split.y, device_name(target), decision)
    if fixed.provenance["data"]["fingerprint"] != dataset.source.fingerprint:
        click.echo(
            f"Notice: the float network was measured on {fixed.provenance['data']['description']}, "
            "not on the data of this run, so that nothing is compared with it; name the model with "
            "--reference to measure it here.",
            err=True,
        )
        return None
    if stored is None:
        return None
    labels = dataset.test.y[:samples]
    device_used = fixed.provenance["metrics"]["device"]
    return reference_from(stored.first(samples), labels, device_used, decision)
