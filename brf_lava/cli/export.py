"""brf-lava export and import"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH
from brf_lava.cli.target import DEFAULT_PROFILE, board_profile
from brf_lava.cli.train import recipe_for_task
from brf_lava.io.printable import on_one_line
from brf_lava.neurons.families import SPIKING


@click.command(cls=Command, more=True)
@click.argument("model", type=PATH)
@click.argument("network", type=PATH)
@options.data_option
@click.option(
    "--weight-bits",
    type=lambda text: options.numbers(text, int),
    default="8",
    metavar="BITS[,...]",
    help="Bits per weight, sign included (2-8): one number, or one for each matrix, the input and "
    "recurrent weights of every layer in order, such as 8,4,6.",
)
@click.option(
    "--lose",
    type=options.Number(0, 100),
    help="Take the fewest bits, --weight-bits at most, that lose no more points of accuracy (of "
    "equal predictions without labels) on training samples that the rounding has not seen.",
)
@options.rounding_option
@click.option("--parameter-bits", type=int, default=16, help="Fraction bits.")
@click.option("--state-bits", type=int, help="Fraction bits of all states; else from the data.")
def export(
    model: Path,
    network: Path,
    data: options.DataOptions,
    weight_bits: tuple[int, ...],
    lose: float | None,
    **how: Any,
) -> Result:
    """Quantize MODEL to integers and write them to NETWORK, a netx HDF5 file.

    --all shows the number format of every state.

    \b
    Examples:
      brf-lava export model.pt net.h5
      brf-lava export model.pt net.h5 --weight-bits 6
      brf-lava export model.pt net.h5 --lose 0.3
    """
    from brf_lava import report
    from brf_lava.analysis.activity import answers
    from brf_lava.analysis.scores import AGREES, fidelity_samples, measure_fidelity
    from brf_lava.export.adaptive import samples_used
    from brf_lava.io.files import check_writable
    from brf_lava.network.bounds import proof_lines
    from brf_lava.network.file import KIND
    from brf_lava.train import export as exports
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.distill import samples_taught

    check_writable(network, KIND)
    checkpoint = load_checkpoint(model)
    dataset = data.load_for({**checkpoint.provenance, "data": {}}, model)  # labels do not matter
    if dataset.source.fingerprint != checkpoint.data.fingerprint:
        measured, taken = checkpoint.data.description, dataset.source.description
        report.notice(f"the model was measured on {measured}; the ranges are taken from {taken}.")
    trained = checkpoint.model()
    real = trained.to_real()
    x, decision = exports.calibration_inputs(checkpoint, dataset), checkpoint.recipe.decision
    used = max(samples_used(real, x), samples_taught(x))
    samples, what = fidelity_samples(dataset.train, used, decision)
    steps = exports.rounding_steps(trained, how["rounding"], x)
    if lose is not None:
        from brf_lava.analysis import bits

        board = board_profile(DEFAULT_PROFILE)
        rounded = partial(exports.to_integers, trained, x, grams={}, **how)
        trial = bits.trials(real, rounded, samples, board, steps)
        best, tried = bits.fewest_weight_bits(real, trial, weight_bits, lose)
        weight_bits = best.weight_bits
    with report.step_progress("rounding", steps) as advance:
        exported, reports = exports.export_model(
            checkpoint, dataset, network, weight_bits=weight_bits, progress=advance, **how
        )
    with report.busy("comparing with the float network"):
        fidelity = measure_fidelity(answers(real, samples), exported, samples)
        proof = proof_lines(exported)
    both = fidelity.accuracies
    scores = "accuracy {:.2%} in float, {:.2%} in integers, ".format(*both) if both else ""
    how_rounded = exported.provenance["rounding"]
    lines = [
        f"Wrote {on_one_line(network)}: {report.network_line(exported)}, {how_rounded} rounding; "
        f"{scores}{fidelity.agreement:.2%} of predictions equal.",
        fidelity.table(what),
        *([bits.trial_table(what, tried, [best], "chosen")] if lose is not None else []),
        *report.stability_lines(reports),
        *proof,
        f"Next: {data.next_command('run', network)}",
    ]
    if fidelity.agreement < AGREES:
        lines.append(
            f"Warning: only {fidelity.agreement:.1%} of the integers' predictions are the float "
            "network's. Try --rounding distilled if it was not, more --weight-bits or "
            f"--state-bits, or train with --set weight_bits={min(weight_bits)}."
        )
    values = {"network": network, "model": model, "compared": fidelity, "on": what, "proof": proof}
    values |= {"layers": reports} | ({} if lose is None else {"trials": tried})
    return Result(values, lines, [report.format_table(reports)])


@click.command("import", cls=Command)
@click.argument("published", type=PATH)
@click.option("--task", required=True, help="What it was trained for, e.g. ecg.")
@click.option("--neuron", help=f"One of {', '.join(SPIKING)}; else the one that fits best.")
@click.option("--recipe", help="Take the neuron and its constants from this recipe.")
@click.option("-o", "--out", type=PATH, default=Path("model.pt"))
@click.option("--overwrite", is_flag=True, help="Replace a finished model in --out.")
@options.data_option
def import_command(
    published: Path,
    task: str,
    neuron: str | None,
    recipe: str | None,
    out: Path,
    overwrite: bool,
    data: options.DataOptions,
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
    dataset = data.load(task)
    if is_permuted(task) and dataset.permutation is None:
        raise CheckpointError(
            f"{published}: a network for {task} needs the order of steps it was trained with. Name "
            "the file that was published with it with --permutation; RF was published without one "
            f"and measured in the pixels' own order: --permutation {IDENTITY}."
        )
    with report.busy("measuring the network on the test data"):
        checkpoint = import_published(published, dataset, neuron, chosen)
    save_checkpoint(checkpoint, out)
    lines = [
        report.checkpoint_table(checkpoint),
        f"{checkpoint.origin[0].upper()}{checkpoint.origin[1:]}.",
        f"Wrote {on_one_line(out)}. Next: {data.next_command('export', out, 'net.h5')}",
    ]
    return Result({"model": out, **checkpoint.summary()}, lines)
