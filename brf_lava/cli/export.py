"""brf-lava export"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import (
    PATH,
    DataOptions,
    Number,
    data_option,
    load_data,
    numbers,
    rounding_option,
)
from brf_lava.io.printable import on_one_line


@click.command(cls=Command, more=True)
@click.argument("model", type=PATH)
@click.argument("network", type=PATH)
@data_option
@click.option(
    "--weight-bits",
    type=lambda text: numbers(text, int),
    default="8",
    show_default=True,
    metavar="BITS[,...]",
    help="Bits per weight, including the sign (2-8): one number, or one for each matrix: the input "
    "and the recurrent weights of every layer in order, such as 8,4,6.",
)
@click.option(
    "--lose",
    type=Number(0, 100),
    help="Take the fewest bits, --weight-bits at most, that lose no more points of accuracy than "
    "this on training samples that the rounding was not fitted to; without labels, of equal "
    "predictions.",
)
@rounding_option
@click.option("--parameter-bits", type=int, default=16, show_default=True, help="Fraction bits.")
@click.option("--state-bits", type=int, help="Fraction bits of all states; else from the data.")
def export(
    model: Path,
    network: Path,
    data: DataOptions,
    weight_bits: tuple[int, ...],
    lose: float | None,
    **options: Any,
) -> Result:
    """Quantize MODEL to integers and write them to NETWORK, a netx HDF5 file.

    --all shows the number format of every state and the error of every parameter.

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
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.distill import samples_taught
    from brf_lava.train.export import (
        calibration_inputs,
        export_model,
        rounding_steps,
        to_integers,
    )

    check_writable(network, KIND)
    checkpoint = load_checkpoint(model)
    dataset = load_data(checkpoint.recipe.task, data, model).ordered_as(checkpoint.permutation)
    if dataset.source.fingerprint != checkpoint.data.fingerprint:
        measured, taken = checkpoint.data.description, dataset.source.description
        report.notice(f"the model was measured on {measured}; the ranges are taken from {taken}.")
    trained = checkpoint.model()
    real = trained.to_real()
    x, decision = calibration_inputs(checkpoint, dataset), checkpoint.recipe.decision
    used = max(samples_used(real, x), samples_taught(x))
    samples, what = fidelity_samples(dataset.train, used, decision)
    steps = rounding_steps(trained, options["rounding"])
    if lose is not None:
        from brf_lava.analysis import bits

        board = board_profile(DEFAULT_PROFILE)
        rounded = partial(to_integers, trained, x, grams={}, **options)
        trial = bits.trials(real, rounded, samples, board, steps)
        best, tried = bits.fewest_weight_bits(real, trial, weight_bits, lose)
        weight_bits = best.weight_bits
    with report.step_progress("rounding", steps) as advance:
        exported, reports = export_model(
            checkpoint, dataset, network, weight_bits=weight_bits, progress=advance, **options
        )
    with report.busy("comparing with the float network"):
        fidelity = measure_fidelity(answers(real, samples), exported, samples)
        proof = proof_lines(exported)
    name = on_one_line(network)
    stable = ["No neuron had to be changed to stay stable."]
    lines = [
        f"Wrote {name}: {report.network_line(exported)}. Next: brf-lava run {name}",
        fidelity.table(what),
        *([bits.trial_table(what, tried, [best], "chosen")] if lose is not None else []),
        *(report.correction_lines(reports) or stable),
        *report.growth_lines(reports),
        *proof,
    ]
    if fidelity.agreement < AGREES:
        lines.insert(
            1,
            f"Warning: only {fidelity.agreement:.1%} of the integers' predictions are the float "
            "network's. Try --rounding distilled if it was not, more --weight-bits or "
            f"--state-bits, or train with --set weight_bits={min(weight_bits)}.",
        )
    trials = {"trials": tried} if lose is not None else {}
    values = {"network": network, "model": model, "compared": fidelity, "on": what, "proof": proof}
    return Result({**values, "layers": reports, **trials}, lines, [report.format_table(reports)])
