"""brf-lava import"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.options import PATH, data_option, load_data


@click.command("import")
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
    checkpoint = import_published(published, recipe, load_data(task, data))
    save_checkpoint(checkpoint, out)
    report.print_table(report.checkpoint_table(checkpoint))
    click.echo("Taken as BRF: the file does not name its neuron, and one of RF looks the same.")
    click.echo(f"Wrote {out}. Next: brf-lava export {out} net.h5")
