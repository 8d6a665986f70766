"""The command line. Each command reads its arguments, calls the library and shows the result.

Heavy libraries are imported inside the commands, so that ``brf-lava --help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava import __version__
from brf_lava.errors import (
    BackendUnavailableError,
    BrfLavaError,
    CheckpointError,
    NetworkFileError,
    RecipeError,
)

if TYPE_CHECKING:
    from brf_lava.export.network import FixedNetwork, FloatActivity
    from brf_lava.recipes import Recipe
    from brf_lava.run.result import Reference
    from brf_lava.tasks.task import Dataset
    from brf_lava.train.trainer import Trainer

INTERRUPTED = 130  # exit code of a command that Ctrl-C ended, as shells have it

PATH = click.Path(path_type=Path)
data_option = click.option(
    "--data",
    type=PATH,
    help="Folder with the data, or one of its files. Else BRF_LAVA_DATA, else the cache folder, "
    "else synthetic data.",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)


class Failure(click.ClickException):
    """An error of ours, shown by click on one line."""

    def __init__(self, error: BrfLavaError) -> None:
        super().__init__(" ".join(str(error).split()))
        self.error = error

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click declares a class variable
        return self.error.exit_code


class Commands(click.Group):
    """A group that turns this package's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        # Idle OpenMP threads sleep instead of spinning: on a busy machine spinning costs a
        # multiple of the run time, on a quiet one nothing measurable is gained by it.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            return super().invoke(ctx)
        except BrfLavaError as error:
            raise Failure(error) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # a closed pipe is not an error; click ends quietly
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(BrfLavaError(f"{where}{error.strerror or error}.")) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="brf-lava")
def main() -> None:
    """Balanced Resonate-and-Fire networks from PyTorch to Lava and Loihi 2."""


@main.command()
@click.option("--task", help="What to learn, e.g. ecg; picks the shipped recipe for it.")
@click.option("--recipe", help="A recipe file, or the name of a shipped one, e.g. ecg-brf.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a recipe value.")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: 0.")
@click.option("--out", type=PATH, default=Path("model.pt"), show_default=True)
@data_option
@device_option
@click.option("--resume", is_flag=True, help="Go on with the run that was stopped before.")
@click.option("--restart", is_flag=True, help="Start anew although a stopped run lies there.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events beside the model.")
def train(
    task: str | None,
    recipe: str | None,
    changes: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    out: Path,
    data: Path | None,
    device: str,
    resume: bool,
    restart: bool,
    tensorboard: bool,
) -> None:
    """Train a network and write it to a model file."""
    from brf_lava.files import check_writable, only_writer
    from brf_lava.train.model import choose_device
    from brf_lava.train.trainer import Trainer, resume_path

    check_writable(out)
    target = choose_device(device)
    if resume:
        if task or recipe or changes or epochs or seed is not None or restart:
            raise RecipeError(
                "--resume goes on with the stored recipe and seed; --task, --recipe, --set, "
                "--epochs, --seed and --restart do not go with it."
            )
        stored = Trainer.stored_task(out)
        trainer = Trainer.resumed(_load_data(stored, data), target, out)
    else:
        if resume_path(out).exists() and not restart:
            raise CheckpointError(
                f"{resume_path(out)}: a stopped run lies there. Go on with it (--resume), give it "
                "up (--restart), or name another --out."
            )
        chosen = _choose_recipe(task, recipe, changes, epochs)
        dataset = _load_data(chosen.task, data)
        trainer = Trainer(chosen, dataset, seed or 0, target, out)
    with only_writer(out):
        _run_training(trainer, tensorboard)


def _choose_recipe(
    task: str | None, name: str | None, changes: tuple[str, ...], epochs: int | None
) -> Recipe:
    from brf_lava.recipes import load_recipe, override, recipe_for

    if name is None and task is None:
        raise RecipeError("train: name what to learn: --task ecg, or --recipe FILE.")
    recipe = recipe_for(task) if name is None and task is not None else load_recipe(name or "")
    if task is not None and recipe.task != task:
        raise RecipeError(f"--task {task}: recipe {recipe.name} is for task {recipe.task}.")
    if epochs is not None:
        changes = (*changes, f"training.epochs={epochs}")
    return override(recipe, changes)


def _run_training(trainer: Trainer, tensorboard: bool) -> None:
    from contextlib import ExitStack

    from brf_lava import report
    from brf_lava.train.tensorboard import events
    from brf_lava.train.trainer import metrics_path, resume_path

    recipe, source, out = trainer.recipe, trainer.dataset.source, trainer.out
    click.echo(f"recipe  {recipe.name}, seed {trainer.seed}", err=True)
    click.echo(f"data    {source.description}", err=True)
    click.echo(f"device  {trainer.device.type}, kernel {trainer.kernel}", err=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job scheduler's Ctrl-C
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(
                report.training_progress(trainer.epoch, recipe.training.epochs)
            )
            if tensorboard:
                progress = stack.enter_context(events(progress, out))
            trainer.run(progress)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows is short and must be whole
        click.echo(
            f"Stopped after epoch {trainer.epoch} of {recipe.training.epochs}; state saved in "
            f"{resume_path(out)}. Go on with: brf-lava train --resume --out {out}",
            err=True,
        )
        if trainer.epoch:
            trainer.finish()
            click.echo(f"The best model so far is in {out}.", err=True)
        raise
    report.print_table(report.checkpoint_table(trainer.finish()))
    click.echo(f"Wrote {out} and {metrics_path(out)}. Next: brf-lava export {out} net.h5")


@main.command("import")
@click.argument("published", type=PATH)
@click.option("--task", required=True, help="What it was trained for, e.g. ecg.")
@click.option("-o", "--out", type=PATH, default=Path("model.pt"), show_default=True)
@data_option
def import_command(published: Path, task: str, out: Path, data: Path | None) -> None:
    """Read a BRF checkpoint of the published reference code into a model file."""
    from brf_lava import report
    from brf_lava.files import check_writable
    from brf_lava.recipes import recipe_for
    from brf_lava.train.checkpoint import save_checkpoint
    from brf_lava.train.published import import_published

    check_writable(out, published)
    recipe = recipe_for(task)
    checkpoint = import_published(published, recipe, _load_data(task, data))
    save_checkpoint(checkpoint, out)
    report.print_table(report.checkpoint_table(checkpoint))
    click.echo("Taken as BRF: the file does not name its neuron, and one of RF looks the same.")
    click.echo(f"Wrote {out}. Next: brf-lava export {out} net.h5")


@main.command()
@click.argument("model", type=PATH)
@click.argument("network", type=PATH)
@data_option
@click.option("--weight-bits", type=int, default=8, show_default=True, help="Signed, with sign.")
@click.option("--parameter-bits", type=int, default=16, show_default=True, help="Fraction bits.")
@click.option("--state-bits", type=int, help="Fraction bits of all states; else from the data.")
def export(
    model: Path,
    network: Path,
    data: Path | None,
    weight_bits: int,
    parameter_bits: int,
    state_bits: int | None,
) -> None:
    """Quantize MODEL to integers and write them to NETWORK, a netx HDF5 file."""
    from brf_lava import report
    from brf_lava.files import check_writable
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.export import export_model

    check_writable(network, model)
    checkpoint = load_checkpoint(model)
    dataset = _load_data(checkpoint.recipe.task, data)
    if dataset.source.fingerprint != checkpoint.data.fingerprint:
        click.echo(
            f"Notice: the model was measured on {checkpoint.data.description}; the ranges are "
            f"taken from {dataset.source.description}.",
            err=True,
        )
    exported, reports = export_model(
        checkpoint,
        dataset,
        network,
        state_bits=state_bits,
        parameter_bits=parameter_bits,
        weight_bits=weight_bits,
    )
    report.print_table(report.format_table(reports))
    report.print_table(report.deviation_table(reports))
    lines = report.correction_lines(reports)
    click.echo("\n".join(lines) if lines else "No neuron had to be changed to stay stable.")
    click.echo(f"Wrote {network}: {report.network_line(exported)}. Next: brf-lava run {network}")


@main.command()
@click.argument("network", type=PATH, default=Path("net.h5"))
@click.option("--backend", type=click.Choice(["sim", "engine", "loihi2"]), default="sim")
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
@click.option("--profile", default="sim", show_default=True, help="Defaults of the target.")
@click.option("--reference", type=PATH, help="Measure this float model again beside the run.")
@device_option
@click.option("--out", type=PATH, help="Also write the result to this JSON file.")
def run(
    network: Path,
    backend: str,
    data: Path | None,
    batch: int | None,
    limit: int | None,
    check: bool | None,
    timeout: float | None,
    profile: str,
    reference: Path | None,
    device: str,
    out: Path | None,
) -> None:
    """Run NETWORK (default: net.h5) on the test data and compare it with the float reference."""
    import numpy as np

    from brf_lava import report
    from brf_lava.export.hdf5 import read_network
    from brf_lava.files import check_writable
    from brf_lava.profiles import SimProfile, load_profile
    from brf_lava.run.execute import execute, require_backend, work
    from brf_lava.run.lava_net import steps_needed
    from brf_lava.run.result import summarize, write_result

    require_backend(backend)
    settings = load_profile(profile)
    if not isinstance(settings, SimProfile):
        raise BackendUnavailableError(
            f"--profile {profile}: describes a Loihi 2 board; backend {backend} takes one of kind "
            "'sim'."
        )
    if out is not None:
        check_writable(out, network, *([reference] if reference else []))
    fixed, stored = read_network(network)
    missing = [key for key in ("task", "data", "metrics") if key not in fixed.provenance]
    if missing:
        raise NetworkFileError(
            f"{network}: its provenance has no {', '.join(missing)}, so neither data nor reference "
            "are known. Name a file written by 'brf-lava export'."
        )
    dataset = _load_data(fixed.provenance["task"], data)
    samples = len(dataset.test.x) if limit is None else min(limit, len(dataset.test.x))
    x = np.ascontiguousarray(dataset.test.x[:samples].transpose(1, 0, 2))
    labels = dataset.test.y[:samples]
    if check is None:
        check = backend == "sim" and work(fixed, x) <= settings.check_limit
    float_reference = _reference(fixed, dataset, samples, stored, reference, device)
    batch = batch or settings.batch or None
    total = steps_needed(fixed, len(x), samples, batch)
    with report.step_progress(f"{backend}, {samples} samples", total) as on_progress:
        activity, seconds = execute(
            fixed,
            x,
            backend=backend,
            batch=batch,
            timeout=timeout or settings.timeout_seconds,
            check=check,
            on_progress=on_progress,
        )
    result = summarize(
        fixed,
        x,
        labels,
        activity,
        float_reference,
        backend=backend,
        seconds=seconds,
        checked=check and backend == "sim",
    )
    click.echo(f"network  {report.network_line(fixed)}")
    click.echo(f"data     {dataset.source.description}")
    report.print_table(report.comparison_table(result))
    click.echo("SOP: a spike of a hidden neuron, as Higuchi et al. 2024 count them.")
    if result.checked:
        outputs = activity.outputs.size
        spikes = sum(layer.size for layer in activity.spikes)
        click.echo(f"Lava equals the engine in all {spikes:,} spike slots and {outputs:,} outputs.")
    if out is not None:
        write_result(result, dataset.source, fixed.provenance, out)
        click.echo(f"Wrote {out}.")


def _reference(
    fixed: FixedNetwork,
    dataset: Dataset,
    samples: int,
    stored: FloatActivity | None,
    model: Path | None,
    device: str,
) -> Reference | None:
    """The float network on the samples of the run: measured now from `model`, else as stored."""
    from brf_lava.run.result import reference_from

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
        return reference_from(measured, split.y, device_name(target))
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
    return reference_from(stored.first(samples), labels, fixed.provenance["metrics"]["device"])


def _load_data(task: str, data: Path | None) -> Dataset:
    """The task's data, with a visible notice when it is synthetic."""
    from brf_lava.tasks.ecg import SYNTHETIC_NOTICE
    from brf_lava.tasks.task import find_task

    dataset = find_task(task).load(data)
    if dataset.source.kind.startswith("synthetic"):
        click.secho(f"Notice: {SYNTHETIC_NOTICE}", fg="yellow", err=True)
    return dataset


if __name__ == "__main__":
    main(prog_name="brf-lava")
