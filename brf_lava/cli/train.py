"""brf-lava train"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import (
    PATH,
    DataOptions,
    data_option,
    device_option,
    load_data,
    located,
    next_command,
    recipe_for_task,
)
from brf_lava.errors import CheckpointError, RecipeError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.config.recipe import Recipe
    from brf_lava.data.dataset import Dataset
    from brf_lava.train.trainer import Trainer


@click.command()
@click.option(
    "--task",
    help="What to learn, e.g. ecg; picks the shipped recipe for it. Or a .toml that describes a "
    "task of your own, with --recipe.",
)
@click.option("--recipe", help="A recipe file, or the name of a shipped one, e.g. ecg-brf.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a recipe value.")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: 0.")
@click.option(
    "--init",
    type=click.Choice(["recipe", "spectrum"]),
    default="recipe",
    show_default=True,
    help="Where omega starts: in the recipe's range, or in one chosen from the data's spectrum.",
)
@click.option("--out", type=PATH, default=Path("model.pt"), show_default=True)
@data_option
@device_option
@click.option("--resume", is_flag=True, help="Go on with the run that was stopped before.")
@click.option("--restart", is_flag=True, help="Start anew although a stopped run lies there.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events.")
def train(
    task: str | None,
    recipe: str | None,
    changes: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    init: str,
    out: Path,
    data: DataOptions,
    device: str,
    resume: bool,
    restart: bool,
    tensorboard: bool,
) -> None:
    """Train a network and write it to a model file."""
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable, only_writer
    from brf_lava.train.model import choose_device
    from brf_lava.train.trainer import Trainer, resume_path

    if tensorboard:
        require_extra("tensorboard", "tensorboard")
    check_writable(out)
    target = choose_device(device)
    if resume:
        fresh = (task, recipe, changes, epochs, restart)
        if any(fresh) or seed is not None or init != "recipe":
            raise RecipeError(
                "--resume goes on with the stored recipe and seed; --task, --recipe, --set, "
                "--epochs, --seed, --init and --restart do not go with it."
            )
        stored = Trainer.stored_task(out)
        trainer = Trainer.resumed(load_data(stored, data, out), target, out)
    else:
        if resume_path(out).exists() and not restart:
            raise CheckpointError(
                f"{resume_path(out)}: a stopped run lies there. Go on with it (--resume), give it "
                "up (--restart), or name another --out."
            )
        chosen = _with_task_found(_choose_recipe(task, recipe, changes, epochs), recipe, data)
        dataset = load_data(chosen.task, data)
        if init == "spectrum":
            chosen, dataset = _choose_omega(chosen, dataset, seed or 0, changes)
        trainer = Trainer(chosen, dataset, seed or 0, target, out)
    with only_writer(out):
        _run_training(trainer, tensorboard, data)


def _choose_recipe(
    task: str | None, name: str | None, changes: tuple[str, ...], epochs: int | None
) -> Recipe:
    from brf_lava.config.recipe import override, recipe_for

    if name is None and task is None:
        raise RecipeError("train: name what to learn: --task ecg, or --recipe FILE.")
    if name is None and task is not None and task.endswith(".toml"):
        raise RecipeError(
            f"--task {task}: no recipe is shipped for a task of your own. Name one to start from: "
            "--recipe ecg-brf where every step has a label, smnist-brf where every sample has one, "
            "and with it --set validation=N."
        )
    recipe = recipe_for(task or "") if name is None else recipe_for_task(name, task)
    if epochs is not None:
        changes = (*changes, f"training.epochs={epochs}")
    changed = override(recipe, changes)
    if task is not None and changed.task != recipe.task:
        raise RecipeError(f"--set task={changed.task}: --task names {task}. Leave one of them out.")
    return changed


def _with_task_found(recipe: Recipe, name: str | None, data: DataOptions) -> Recipe:
    """The recipe with the path of a task of one's own as it was found, for what is made of it."""
    from brf_lava.config.recipe import override
    from brf_lava.config.toml import to_toml

    found = located(recipe.task, data, Path(name) if name else None)
    if Path(found) == Path(recipe.task):
        return recipe
    return override(recipe, [f"task={to_toml(found)}"])


def _choose_omega(
    recipe: Recipe, dataset: Dataset, seed: int, changes: tuple[str, ...]
) -> tuple[Recipe, Dataset]:
    """The recipe with omega from the spectrum, and the data with its steps in the seed's order."""
    from brf_lava.train.spectrum import with_spectrum
    from brf_lava.train.trainer import in_order

    if any(change.partition("=")[0].strip().endswith("omega") for change in changes):
        raise RecipeError("--init spectrum chooses omega; --set omega does not go with it.")
    dataset = in_order(dataset, recipe, seed)
    chosen, ranges = with_spectrum(recipe, dataset)
    for key, (low, high) in ranges.items():
        layer = "" if key == "neuron.omega" else f": {key}"
        click.echo(
            f"omega   {low:g} to {high:g} rad/s, from the spectrum of the data{layer}", err=True
        )
    return chosen, dataset


def _run_training(trainer: Trainer, tensorboard: bool, data: DataOptions) -> None:
    from contextlib import ExitStack

    from brf_lava import report
    from brf_lava.train.tensorboard import events
    from brf_lava.train.trainer import metrics_path, resume_path

    recipe, source, out = trainer.recipe, trainer.dataset.source, trainer.out
    click.echo(f"recipe  {recipe.name}, seed {trainer.seed}", err=True)
    click.echo(f"data    {source.description}", err=True)
    click.echo(f"device  {trainer.device.type}, kernel {trainer.kernel}", err=True)
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(
                report.training_progress(trainer.epoch, recipe.training.epochs)
            )
            if tensorboard:
                progress = stack.enter_context(events(progress, out))
            trainer.run(progress)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # what follows is short and must be whole
            signal.signal(number, signal.SIG_IGN)
        click.echo(
            f"Stopped after epoch {trainer.epoch} of {recipe.training.epochs}; state saved in "
            f"{resume_path(out)}. Go on with: "
            f"{next_command('train', '--resume', '--out', out, data=data)}",
            err=True,
        )
        if trainer.epoch:
            trainer.finish()
            click.echo(f"The best model so far is in {out}.", err=True)
        raise
    if trainer.epoch < recipe.training.epochs:
        click.echo(
            f"Stopped early, after epoch {trainer.epoch}: since epoch {trainer.best_epoch} the "
            "validation loss got no better (training.patience = "
            f"{recipe.training.patience}).",
            err=True,
        )
    report.print_rows(*report.checkpoint_rows(trainer.finish()))
    click.echo(
        f"Wrote {on_one_line(out)} and {on_one_line(metrics_path(out))}. "
        f"Next: {on_one_line(next_command('export', out, 'net.h5', data=data))}"
    )
