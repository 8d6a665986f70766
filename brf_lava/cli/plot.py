"""brf-lava plot"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli import options
from brf_lava.cli.command import Group
from brf_lava.cli.options import PATH, Number
from brf_lava.errors import CheckpointError, ParameterError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from brf_lava.analysis.activity import AnyNetwork
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.decision import Decision


@click.group(cls=Group)
def plot() -> None:
    """Draw a picture: .png, .svg or .pdf, by the name given with -o."""


def draws(draw: Callable[..., None]) -> click.Command:
    """Make a command of what draws into a figure, with the options that all pictures have."""
    name = draw.__name__.replace("_", "-")

    @wraps(draw)
    def command(look: options.PictureOptions, **arguments: Any) -> None:
        with look.picture() as figure:
            draw(figure, **arguments)

    out = {"default": Path(f"{name}.png"), "help": "Picture to write: .png, .svg or .pdf."}
    return plot.command(name, result=False)(options.picture_options(out=out)(command))


def sweep_options(points: int, repeats: int) -> Callable[[Any], Any]:
    """Give a command models and the options of a sweep, with these defaults."""

    def decorate(command: Any) -> Any:
        for name, least, default, text in (
            ("--seed", 0, 0, "Of the random draws."),
            ("--limit", 1, 150, "Only the first so many test samples."),
            ("--repeats", 1, repeats, "Random draws per level."),
            ("--points", 2, points, "Levels, none included."),
        ):
            kind = click.IntRange(least)
            command = click.option(name, type=kind, default=default, help=text)(command)
        models = click.argument("models", type=PATH, nargs=-1, required=True, metavar="MODEL...")
        return models(options.data_option(command))

    return decorate


@draws
@click.argument("model", type=PATH, required=False)
@click.option("--dt", type=Number(1e-9, 1e3), help="Step, s. Default: the model's, else 0.01.")
def boundary(figure: Figure, model: Path | None, dt: float | None) -> None:
    """Stability over omega, with the neurons of MODEL if one is named.

    \b
    Example:
      brf-lava plot boundary model.pt
    """
    from brf_lava.analysis.resonators import draw_boundary, resonators

    title, layers = "Divergence boundary of one step", []
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint

        if dt is not None:
            raise ParameterError(f"--dt {dt:g}: {model} has a step of its own. Leave it out.")
        layers = resonators(load_checkpoint(model).model(), str(model))
        title += f", and the {sum(len(each.omega) for each in layers)} neurons of {model.name}"
    draw_boundary(figure, layers, dt or 0.01, title)


@draws
@click.option("--dt", type=Number(1e-4, 1.0), default=0.01, help="Step, s.")
@click.option(
    "--omega", type=Number(1e-6, 1e4), multiple=True, default=(5, 10, 20, 40), help="rad/s."
)
@click.option("--b-offset", type=Number(0, 1e6), default=0.1, help="1/s.")
def frequency_response(
    figure: Figure, dt: float, omega: tuple[float, ...], b_offset: float
) -> None:
    """How strongly BRF and BHRF neurons answer to spike trains near their omega.

    The peak comes to omega as dt * omega shrinks. With a dt of 0.01 s it is within 2 % up to
    20 rad/s; at 40 rad/s BRF has it at 1.03 and BHRF at 1.09 of omega, with 0.001 s both at 1.00.

    \b
    Example:
      brf-lava plot frequency-response --omega 5 --omega 20
    """
    from brf_lava.analysis import single_neuron as neurons

    neurons.draw_responses(figure, omega, dt, neurons.RELATIVE, b_offset)


@draws
@click.option("--omega", type=Number(1e-6, 1e5), default=10.0, help="rad/s.")
@click.option("--b-offset", type=Number(0, 1e6), default=1.0, help="1/s.")
@click.option("--dt", type=Number(3e-5, 4.0), default=0.01, help="Step, s.")
@click.option("--gamma", type=Number(0, 1, max_open=True), default=0.9, help="Per step.")
@click.option("--weight", type=Number(-1e6, 1e6), default=100.0, help="Of input spikes.")
def single_neuron(figure: Figure, **drive: float) -> None:
    """One neuron with and without refractory period and smooth reset.

    \b
    Example:
      brf-lava plot single-neuron --omega 20 -o neuron.svg
    """
    from brf_lava.analysis.single_neuron import draw_single_neuron

    draw_single_neuron(figure, **drive)


def labeled(text: str) -> tuple[str, Path]:
    """``LABEL=FILE``, or a file whose name is its label."""
    label, equals, name = text.partition("=")
    if not equals or Path(text).exists():
        return Path(text).stem, Path(text)
    if not label or not name:
        raise ParameterError(f"{text}: not of the form LABEL=FILE. Write both, or the file alone.")
    return label, Path(name)


@draws
@click.argument(
    "metrics", nargs=-1, required=True, metavar="[LABEL=]METRICS.jsonl...", type=labeled
)
def learning_curves(figure: Figure, metrics: Sequence[tuple[str, Path]]) -> None:
    """Loss, accuracy and SOPs over epochs; files of one LABEL are seeds of one experiment.

    \b
    Example:
      brf-lava plot learning-curves BRF=model.jsonl
    """
    from brf_lava.analysis import learning

    learning.draw_learning_curves(figure, learning.learning_curves(metrics))


@draws
@click.argument("model", type=PATH)
@options.data_option
def parameters(figure: Figure, model: Path, data: options.DataOptions) -> None:
    """omega and b_offset of MODEL before and after training.

    The data are those of the training: their size is part of what the seed means.

    \b
    Example:
      brf-lava plot parameters model.pt
    """
    from brf_lava.analysis.resonators import draw_parameters, training
    from brf_lava.train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    trained = checkpoint.seed is not None
    dataset = data.load_for(checkpoint.provenance, model) if trained else None
    seconds = None if dataset is None else dataset.step_seconds
    draw_parameters(figure, training(checkpoint, dataset, str(model)), model.name, seconds)


@draws
@click.argument("model", type=PATH, metavar="MODEL.pt|NET.h5")
@options.data_option
@click.option("--sample", type=click.IntRange(0), default=0, help="Its number, from 0.")
@click.option("--input", "record", type=PATH, help="For ecg: a WFDB record instead of test data.")
def raster(
    figure: Figure, model: Path, data: options.DataOptions, sample: int, record: Path | None
) -> None:
    """One test sample: inputs, hidden spikes, readout, and its labels.

    A model is run in real numbers, a network file in integers. Of an ECG the signal is shown, with
    its waves in color: that of --input, whose windows are numbered by --sample, or one that is
    rebuilt from the level crossings of the test data.

    \b
    Examples:
      brf-lava plot raster net.h5 --sample 3
      brf-lava plot raster net.h5 --input records/sel100 -o ecg.png
    """
    from brf_lava.analysis import raster as rasters
    from brf_lava.network.layers import FixedNetwork

    network, dataset, decision = _load(model, data)
    kind = "integers" if isinstance(network, FixedNetwork) else "real numbers"
    found = rasters.raster(network, dataset, decision, sample, record)
    what = f"{dataset.task} test sample {sample}"
    if record is not None:
        what = f"record {record.name} from {sample * found.seconds:g} s"
    rasters.draw_raster(figure, found, f"{model.name} in {kind}, {what}")


@draws
@sweep_options(points=11, repeats=5)
@click.option("--retrain", type=click.IntRange(0), default=0, help="Epochs after the cut.")
def pruning(figure: Figure, retrain: int, **chosen: Any) -> None:
    """Accuracy and SOPs of MODELs over the share of their recurrent weights that are cut.

    \b
    Examples:
      brf-lava plot pruning model.pt
      brf-lava plot pruning model.pt --retrain 10 --points 6 --repeats 1
      brf-lava plot pruning brf.pt bhrf.pt -o both.svg
    """
    from brf_lava.analysis import sweeps

    draw = partial(sweeps.draw_pruning, epochs=retrain)
    _draw_swept(figure, sweeps.PRUNING, draw, retrain=retrain, **chosen)


@draws
@sweep_options(points=6, repeats=3)
def robustness(figure: Figure, **chosen: Any) -> None:
    """Accuracy of MODELs under noise, lost spikes and inexact weights.

    \b
    Examples:
      brf-lava plot robustness model.pt
      brf-lava plot robustness brf.pt bhrf.pt -o both.svg
    """
    from brf_lava.analysis import sweeps

    _draw_swept(figure, sweeps.ROBUSTNESS, sweeps.draw_robustness, **chosen)


def _load(path: Path, data: options.DataOptions) -> tuple[AnyNetwork, Dataset, Decision]:
    """A model in real numbers or a network file, its data, and how it answers."""
    import h5py

    from brf_lava.network.file import read_network
    from brf_lava.run.result import decision_of

    network: AnyNetwork
    if path.is_file() and h5py.is_hdf5(path):
        network, _ = read_network(path)
        dataset, decision = data.load_for(network.provenance, path), decision_of(network)
    else:
        model, dataset = data.load_model(path)
        network, decision = model.model().to_real(), model.recipe.decision
    dataset.require_sizes(network.layers, str(path))
    return network, dataset, decision


def _draw_swept(
    figure: Figure,
    names: Sequence[str],
    draw: Callable[..., None],
    models: Sequence[Path],
    data: options.DataOptions,
    limit: int,
    retrain: int = 0,
    **how: Any,
) -> None:
    """Disturb each model in real numbers on the first test samples of its data, and draw it."""
    from brf_lava.analysis.activity import Samples
    from brf_lava.analysis.sweeps import pruned_and_retrained, sweeps
    from brf_lava.network.layers import RealNetwork
    from brf_lava.train.checkpoint import load_checkpoint

    found: dict[str, Any] = {}
    for path in models:
        network, dataset, decision = _load(path, data)
        if not isinstance(network, RealNetwork):
            raise CheckpointError(
                f"{path}: a network in integers. Name the model it was exported from, a .pt file."
            )
        test = dataset.test.first(limit)
        samples = Samples(test.time_major(), test.y, decision)
        if retrain:
            how["pruned"] = pruned_and_retrained(load_checkpoint(path), dataset, retrain)
        found[str(path) if len(models) > 1 else path.name] = sweeps(names, network, samples, **how)
    what = f"{', '.join(found)}, {dataset.task}"
    draw(figure, found, f"{what}: the first {len(test.y)} test samples of {dataset.source.kind}")
