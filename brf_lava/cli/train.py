"""brf-lava train"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.errors import BrfLavaError, CheckpointError, RecipeError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.config.recipe import Recipe
    from brf_lava.train.checkpoint import Checkpoint
    from brf_lava.train.trainer import Trainer


MOST_SEEDS = 100
say = partial(click.echo, err=True)


def seed_numbers(text: str) -> list[int]:
    """Read numbers and ranges with commas between, such as 0-7, as the type of an option."""
    parts = [re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part) for part in text.split(",")]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    if len(ranges) < len(parts) or not all(ranges) or sum(map(len, ranges)) > MOST_SEEDS:
        needed = f"numbers and ranges, such as 0-7,9, of at most {MOST_SEEDS} seeds, are needed."
        raise click.BadParameter(f"{text!r}; {needed}")
    return list(dict.fromkeys(chain(*ranges)))


@click.command(cls=Command)
@click.option("--task", help="What to learn: a task, such as ecg, or a .toml with --recipe.")
@click.option("--recipe", help="A recipe file, or the name of a shipped one, e.g. ecg-brf.")
@click.option(
    "--from",
    "source",
    type=options.PATH,
    help="Start from a model, or the integers of an export, with its recipe and seed by default.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a recipe value.")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: 0, or that of --from.")
@click.option(
    "--seeds",
    type=seed_numbers,
    metavar="LIST",
    help="Several runs, such as 0-7 or 0,2, to model-seed-0.pt and so on, each as with that --seed "
    "alone; on a GPU at once (not run on a card yet).",
)
@click.option("-o", "--out", type=options.PATH, default=Path("model.pt"))
@options.data_option
@options.device_option
@click.option(
    "--memory",
    type=options.size,
    metavar="SIZE",
    help="Take about so much on the CPU, e.g. 1.5GB; slower. Default: all that is free.",
)
@click.option(
    "--nproc", type=click.IntRange(1), help="Processes that share each batch. Or use torchrun."
)
@click.option("--resume", is_flag=True, help="Continue the interrupted run in --out.")
@click.option("--restart", is_flag=True, help="Discard the interrupted run in --out; start over.")
@click.option("--overwrite", is_flag=True, help="Replace the finished model in --out.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events, next to --out.")
def train(
    task: str | None,
    recipe: str | None,
    source: Path | None,
    changes: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    seeds: list[int] | None,
    out: Path,
    data: options.DataOptions,
    device: str,
    memory: int | None,
    nproc: int | None,
    resume: bool,
    restart: bool,
    overwrite: bool,
    tensorboard: bool,
) -> Result | None:
    """Train a network and write it to a model file.

    \b
    Examples:
      brf-lava train --task ecg
      brf-lava train --recipe ecg-bhrf --set epochs=100 --seed 1 -o bhrf.pt
      brf-lava train --task smnist --seeds 0-7
      brf-lava train --resume
    """
    from brf_lava import report
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable, only_writer
    from brf_lava.io.world import shared
    from brf_lava.train import trainer as training
    from brf_lava.train.checkpoint import KIND, read_start
    from brf_lava.train.metrics import events_path, metrics_path, resume_path
    from brf_lava.train.model import choose_device
    from brf_lava.train.trainer import Trainer, check_outputs

    if tensorboard:
        require_extra("tensorboard", "tensorboard")
    check_writable(out, KIND)  # first: a folder has no name to make the others' of
    if seeds and (tensorboard or seed is not None):
        raise RecipeError("--seeds does not go with --seed and --tensorboard. Leave them out.")
    start = read_start(source) if source and not resume else None
    if not resume:
        changes += () if epochs is None else (f"training.epochs={epochs}",)
        stored = start.recipe if start else None
        chosen = recipe_for_task(recipe, task, changes, data, source, stored)
    outs = {each: out.with_name(f"{out.stem}-seed-{each}{out.suffix}") for each in seeds or ()}
    paths = list(outs.values()) or [out]
    for path in paths:
        check_outputs(path, tensorboard, overwrite, resume)
    target = choose_device(device)
    world = click.get_current_context().with_resource(shared(nproc, target.type))
    if world.size > 1 and (seeds or tensorboard):
        raise RecipeError("--nproc does not go with --seeds and --tensorboard. Leave them out.")
    if tensorboard:
        events = on_one_line(shlex.quote(str(events_path(out))))
        say(f"events  look at them with: tensorboard --logdir {events}")
    if resume:
        if any((task, recipe, source, changes, epochs, restart, overwrite)) or seed is not None:
            raise RecipeError(
                "--resume continues with the stored recipe and seed. Leave out --task, --recipe, "
                "--from, --set, --epochs, --seed, --restart and --overwrite."
            )
        stopped = [path for path in paths if resume_path(path).exists()] or paths
        loaded = data.load(training.stored_task(stopped[0]), stopped[0])
        trainers = [Trainer.resumed(loaded, target, path, memory, world) for path in stopped]
    else:
        for path in paths:
            if resume_path(path).exists() and not restart:
                raise CheckpointError(
                    f"{resume_path(path)}: an interrupted run. Continue it (--resume), discard it "
                    "(--restart), or name another --out."
                )
        seed = start.seed if start and seed is None else seed
        loaded = data.load(chosen.task)
        pairs = outs.items() if seeds else [(seed or 0, out)]
        trainers = [
            Trainer(chosen, loaded, each, target, path, start, memory, world)
            for each, path in pairs
        ]
    given = ("--seeds", ",".join(map(str, seeds))) if seeds else ()
    again = data.next_command("train", "--resume", "--out", out, *given)
    with ExitStack() as stack:
        for trainer in () if world.rank else trainers:
            stack.enter_context(only_writer(trainer.out))
            check_outputs(trainer.out, tensorboard, overwrite, resume)  # others may have ended
        errors: list[BrfLavaError] = []

        def models_of(group: Sequence[Trainer]) -> list[tuple[Path, Checkpoint]]:
            """A seed that fails leaves the others be."""
            try:
                return _run(group, again, tensorboard)
            except BrfLavaError as error:
                if len(trainers) == 1:
                    raise
                if len(group) == 1:
                    errors.append(error)
                    say(f"Failed: {error}")
                    return []
            say("A seed failed; from the last epoch on, each trains alone.")
            alone = (Trainer.resumed(loaded, target, each.out, memory) for each in group)
            return [model for each in alone for model in models_of([each])]

        models = [model for group in training.together(trainers) for model in models_of(group)]
    if world.rank:
        return None
    lines: list[Any] = []
    for path, model in models:
        written = f"Wrote {on_one_line(path)} and {on_one_line(metrics_path(path))}."
        following = data.next_command("export", path, "net.h5")
        lines += [report.checkpoint_table(model), f"{written} Next: {following}"]
        if not model.metrics.sops_per_sample:
            lines.append("Warning: no hidden neuron spikes. Train longer, or raise learning_rate.")
    summaries = [{"model": path, **model.summary()} for path, model in models]
    return Result({"models": summaries}, lines, error=next(iter(errors), None))


def recipe_for_task(
    name: str | None,
    task: str | None,
    changes: Sequence[str],
    data: options.DataOptions,
    source: Path | None = None,
    stored: Recipe | None = None,
) -> Recipe:
    """Return the recipe of that name, else the one `stored` in file `source`, else for that task.

    A task of the user's own is the path at which it was found. Raises: RecipeError, DataError.
    """
    from brf_lava.config.recipe import load_recipe, override, recipe_for
    from brf_lava.config.toml import to_toml

    own = task is not None and task.endswith(".toml")
    if name is None and stored is None and (own or task is None):
        what = f"--task {data.locate(str(task))}" if own else "train"
        raise RecipeError(
            f"{what}: name a shipped --task, such as ecg, or a --recipe that suits your data; "
            "docs/tutorials/own-data.md has one to begin with."
        )
    base = load_recipe(name) if name else stored or recipe_for(task or "")
    renamed = task is not None and (own or base is stored)
    recipe = override(base, [f"task={to_toml(task)}", *changes] if renamed else changes)
    if task not in (None, recipe.task):
        raise RecipeError(f"--task {task}: {recipe.name} is for task {recipe.task}. Name another.")
    found = data.locate(recipe.task, Path(name) if name else source)
    same = Path(found) == Path(recipe.task)
    return recipe if same else override(recipe, [f"task={to_toml(found)}"])


def _run(
    trainers: Sequence[Trainer], again: str, tensorboard: bool
) -> list[tuple[Path, Checkpoint]]:
    """Run a group of `together`, and return its models. again: the command that goes on."""
    from brf_lava import report
    from brf_lava.train.metrics import events, resume_path
    from brf_lava.train.trainer import run_together

    trainer = trainers[0]
    if trainer.world.rank:  # the first one writes and says what there is to say
        run_together(trainers)
        return []
    recipe, out, epochs = trainer.recipe, trainer.out, trainer.recipe.training.epochs
    names = ", ".join(str(each.seed) for each in trainers)
    say(f"recipe  {recipe.name}, seed {names}")
    if trainer.origin != "trained":
        say(f"start   {on_one_line(trainer.origin)}")
    say(f"data    {trainer.dataset.source.description}")
    several = f", {trainer.world.size} processes" if trainer.world.size > 1 else ""
    say(f"device  {trainer.device.type}, kernel {trainer.kernel}{several}")
    try:
        with (
            report.training_progress(trainer.epoch, epochs) as shown,
            events(shown, out, trainer.epoch) if tensorboard else nullcontext(shown) as progress,
        ):
            run_together(trainers, progress)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # what follows is short and must be whole
            signal.signal(number, signal.SIG_IGN)
        say(
            f"Stopped after epoch {trainer.epoch} of {epochs}; state saved in {resume_path(out)}. "
            f"Go on with: {again}"
        )
        for each in trainers:
            if each.epoch:
                each.finish()
                say(f"The best model so far is in {each.out}.")
        raise
    for each in trainers:
        if each.epoch < epochs:
            say(
                f"Stopped early, after epoch {each.epoch}: no better validation loss since epoch "
                f"{each.best_epoch} (training.patience = {recipe.training.patience})."
            )
    with report.busy("measuring on the test data"):
        return [(each.out, each.finish()) for each in trainers]
