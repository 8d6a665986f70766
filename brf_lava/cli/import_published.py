"""brf-lava import"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, load_data, next_command
from brf_lava.cli.train import recipe_for_task
from brf_lava.io.printable import on_one_line
from brf_lava.neurons.families import SPIKING


@click.command("import", cls=Command)
@click.argument("published", type=PATH)
@click.option("--task", required=True, help="What it was trained for, e.g. ecg.")
@click.option("--neuron", help=f"One of {', '.join(SPIKING)}; else the one that fits best.")
@click.option("--recipe", help="Take the neuron and its constants from this recipe.")
@click.option("-o", "--out", type=PATH, default=Path("model.pt"), show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace a finished model in --out.")
@data_option
def import_command(
    published: Path,
    task: str,
    neuron: str | None,
    recipe: str | None,
    out: Path,
    overwrite: bool,
    data: DataOptions,
) -> Result:
    """Read a checkpoint of the published reference code into a model file.

    \b
    Examples:
      brf-lava import ecg_brf.pt --task ecg -o model.pt
      brf-lava import psmnist_brf.pt --task psmnist --permutation order.npy
    """
    from brf_lava import report
    from brf_lava.data.permutation import IDENTITY
    from brf_lava.errors import CheckpointError
    from brf_lava.tasks.registry import is_permuted
    from brf_lava.train.checkpoint import check_new, save_checkpoint
    from brf_lava.train.published import import_published

    check_new(out, overwrite)
    needs_recipe = recipe is not None or task.endswith(".toml")
    chosen = recipe_for_task(recipe, task, (), data) if needs_recipe else None
    dataset = load_data(task, data)
    if is_permuted(task) and dataset.permutation is None:
        raise CheckpointError(
            f"{published}: a network for {task} needs the order of steps it was trained with. Name "
            "the file that was published with it with --permutation; RF was published without one "
            f"and measured in the pixels' own order: --permutation {IDENTITY}."
        )
    with report.busy("measuring the network on the test data"):
        checkpoint = import_published(published, dataset, neuron, chosen)
    save_checkpoint(checkpoint, out)
    following = next_command("export", out, "net.h5", data=data)
    lines = [
        report.checkpoint_table(checkpoint),
        f"{checkpoint.origin[0].upper()}{checkpoint.origin[1:]}.",
        f"Wrote {on_one_line(out)}. Next: {on_one_line(following)}",
    ]
    return Result({"model": out, **checkpoint.summary()}, lines)
