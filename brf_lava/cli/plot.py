"""brf-lava plot"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.command import Group
from brf_lava.cli.options import PATH, DataOptions, Number, data_option, grouped, network_data
from brf_lava.errors import CheckpointError, DataError, ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from brf_lava.analysis.activity import AnyNetwork
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.decision import Decision

Decorator = Callable[[Any], Any]


def option(*names: str, kind: Any, default: Any, help: str, **more: Any) -> Decorator:
    """An option whose help shows its default."""
    return click.option(*names, type=kind, default=default, show_default=True, help=help, **more)


def _drawable(ctx: click.Context, parameter: click.Parameter, out: Path) -> Path:
    require_extra("plot", "matplotlib")  # before the modules of a picture import it
    return out


models_argument = click.argument("models", type=PATH, nargs=-1, required=True, metavar="MODEL...")


@dataclass(frozen=True)
class LookOptions:
    """As of `brf_lava.analysis.draw.style.picture`."""

    out: Path
    width: float | None
    height: float | None
    title: bool
    style: str | None
    csv: Path | None


def look_options(default: str) -> Decorator:
    """Give a command the options that all pictures have."""
    text, inches = "Picture to write: .png, .svg or .pdf.", Number(0.5, 100)
    out, where = Path(default), "Also write the data behind the picture here."
    return grouped(
        "look",
        LookOptions,
        "The picture",
        option("-o", "--out", kind=PATH, default=out, help=text, callback=_drawable),
        click.option("--width", type=inches, help="Inches. Default: by what is shown."),
        click.option("--height", type=inches, help="Inches. Default: by what is shown."),
        click.option("--title/--no-title", default=True, help="Above the picture."),
        click.option("--style", help="Style of Matplotlib, by name or as a .mplstyle file."),
        click.option("--csv", type=PATH, help=where),
    )


def sweep_options(points: int, repeats: int) -> Decorator:
    """Give a command the options of a sweep, with these defaults."""

    def decorate(command: Any) -> Any:
        for name, least, default, text in (
            ("--seed", 0, 0, "Of the random draws."),
            ("--limit", 1, 150, "Only the first so many test samples."),
            ("--repeats", 1, repeats, "Random draws per level."),
            ("--points", 2, points, "Levels, none included."),
        ):
            command = option(name, kind=click.IntRange(least), default=default, help=text)(command)
        return command

    return decorate


@contextmanager
def _picture(look: LookOptions) -> Iterator[Figure]:
    """A figure that is written in the end, and said to be; see `style.picture`."""
    from brf_lava.analysis.draw.style import picture

    with picture(**vars(look)) as figure:
        yield figure
    for path in filter(None, (look.out, look.csv)):
        click.echo(f"Wrote {on_one_line(path)}.", err=True)


@click.group(cls=Group)
def plot() -> None:
    """Draw a picture: .png, .svg or .pdf, by the name given with -o."""


@plot.command(result=False)
@click.argument("model", type=PATH, required=False)
@look_options("boundary.png")
@click.option("--dt", type=Number(1e-9, 1e3), help="Step, s. Default: the model's, else 0.01.")
def boundary(model: Path | None, look: LookOptions, dt: float | None) -> None:
    """Stability over omega, with the neurons of MODEL if one is named.

    \b
    Example:
      brf-lava plot boundary model.pt
    """
    from brf_lava.analysis.resonators import draw_boundary, resonators

    title, layers = "Divergence boundary of one step", []
    with _picture(look) as figure:
        if model is not None:
            from brf_lava.train.checkpoint import load_checkpoint

            if dt is not None:
                raise ParameterError(f"--dt {dt:g}: {model} has a step of its own. Leave it out.")
            layers = resonators(load_checkpoint(model).model(), str(model))
            title += f", and the {sum(len(each.omega) for each in layers)} neurons of {model.name}"
        draw_boundary(figure, layers, dt or 0.01, title)


@plot.command("frequency-response", result=False)
@look_options("frequency-response.png")
@option("--dt", kind=Number(1e-4, 1.0), default=0.01, help="Step, s.")
@option("--omega", kind=Number(1e-6, 1e4), default=(5, 10, 20, 40), help="rad/s.", multiple=True)
@option("--b-offset", kind=Number(0, 1e6), default=0.1, help="1/s.")
@option("--bin", kind=Number(0.002, 0.5), default=0.01, help="Step of the frequencies, of omega.")
@option("--upto", kind=Number(1, 20), default=2.0, help="The largest frequency, of omega.")
def frequency_response(
    look: LookOptions, dt: float, omega: tuple[float, ...], b_offset: float, bin: float, upto: float
) -> None:
    """How strongly BRF and BHRF neurons answer to spike trains near their omega.

    The peak comes to omega as dt * omega shrinks. With a dt of 0.01 s it is within 2 % up to
    20 rad/s; at 40 rad/s BRF has it at 1.03 and BHRF at 1.09 of omega, with 0.001 s both at 1.00.

    \b
    Example:
      brf-lava plot frequency-response --omega 5 --omega 20
    """
    from brf_lava.analysis import single_neuron as neurons

    with _picture(look) as figure:
        relative = neurons.relative_frequencies(bin, upto)
        neurons.draw_responses(figure, omega, dt, relative, b_offset)


@plot.command("single-neuron", result=False)
@look_options("single-neuron.png")
@option("--omega", kind=Number(1e-6, 1e5), default=10.0, help="rad/s.")
@option("--b-offset", kind=Number(0, 1e6), default=1.0, help="1/s.")
@option("--dt", kind=Number(3e-5, 4.0), default=0.01, help="Step, s.")
@option("--gamma", kind=Number(0, 1, max_open=True), default=0.9, help="Per step.")
@option("--weight", kind=Number(-1e6, 1e6), default=100.0, help="Of input spikes.")
def single_neuron(look: LookOptions, **drive: float) -> None:
    """One neuron with and without refractory period and smooth reset.

    \b
    Example:
      brf-lava plot single-neuron --omega 20 -o neuron.svg
    """
    from brf_lava.analysis.single_neuron import draw_single_neuron

    with _picture(look) as figure:
        draw_single_neuron(figure, **drive)


@plot.command("learning-curves", result=False)
@click.argument("metrics", nargs=-1, required=True, metavar="[LABEL=]METRICS.jsonl...")
@look_options("learning-curves.png")
def learning_curves(metrics: tuple[str, ...], look: LookOptions) -> None:
    """Loss, accuracy and SOPs over epochs; files of one LABEL are seeds of one experiment.

    \b
    Example:
      brf-lava plot learning-curves BRF=model.jsonl
    """
    from brf_lava.analysis import learning

    files = [_labeled(text) for text in metrics]
    with _picture(look) as figure:
        learning.draw_learning_curves(figure, learning.learning_curves(files))


@plot.command(result=False)
@click.argument("model", type=PATH)
@look_options("parameters.png")
@data_option
def parameters(model: Path, look: LookOptions, data: DataOptions) -> None:
    """omega and b_offset of MODEL before and after training.

    The data are those of the training: their size is part of what the seed means.

    \b
    Example:
      brf-lava plot parameters model.pt
    """
    from brf_lava.analysis.resonators import draw_parameters, training
    from brf_lava.train.checkpoint import load_checkpoint

    with _picture(look) as figure:
        checkpoint = load_checkpoint(model)
        trained = checkpoint.seed is not None
        dataset = network_data(checkpoint.provenance, data, model) if trained else None
        seconds = None if dataset is None else dataset.step_seconds
        draw_parameters(figure, training(checkpoint, dataset, str(model)), model.name, seconds)


@plot.command(result=False)
@click.argument("model", type=PATH, metavar="MODEL.pt|NET.h5")
@look_options("raster.png")
@data_option
@option("--sample", kind=click.IntRange(0), default=0, help="Its number, from 0.")
@click.option("--input", "record", type=PATH, help="For ecg: a WFDB record instead of test data.")
def raster(
    model: Path, look: LookOptions, data: DataOptions, sample: int, record: Path | None
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

    with _picture(look) as figure:
        network, dataset, decision = _load(model, data)
        kind = "integers" if isinstance(network, FixedNetwork) else "real numbers"
        found = rasters.raster(network, dataset, decision, sample, record)
        what = f"{dataset.task} test sample {sample}"
        if record is not None:
            what = f"record {record.name} from {sample * found.seconds:g} s"
        rasters.draw_raster(figure, found, f"{model.name} in {kind}, {what}")


@plot.command(result=False)
@models_argument
@look_options("pruning.png")
@data_option
@sweep_options(points=11, repeats=5)
def pruning(**chosen: Any) -> None:
    """Accuracy and SOPs of MODELs over the share of their recurrent weights that are cut.

    Nothing is trained again after the cut.

    \b
    Examples:
      brf-lava plot pruning model.pt
      brf-lava plot pruning brf.pt bhrf.pt -o both.svg
    """
    from brf_lava.analysis import sweeps

    _draw_swept(sweeps.PRUNING, sweeps.draw_pruning, **chosen)


@plot.command(result=False)
@models_argument
@look_options("robustness.png")
@data_option
@sweep_options(points=6, repeats=3)
def robustness(**chosen: Any) -> None:
    """Accuracy of MODELs under noise, lost spikes and inexact weights.

    \b
    Examples:
      brf-lava plot robustness model.pt
      brf-lava plot robustness brf.pt bhrf.pt -o both.svg
    """
    from brf_lava.analysis import sweeps

    _draw_swept(sweeps.ROBUSTNESS, sweeps.draw_robustness, **chosen)


def _labeled(text: str) -> tuple[str, Path]:
    """``LABEL=FILE``, or a file whose name is its label."""
    label, equals, name = text.partition("=")
    if not equals or Path(text).exists():
        return Path(text).stem, Path(text)
    if not label or not name:
        raise ParameterError(f"{text}: not of the form LABEL=FILE. Write both, or the file alone.")
    return label, Path(name)


def _load(path: Path, data: DataOptions) -> tuple[AnyNetwork, Dataset, Decision]:
    """A model in real numbers or a network file, its data, and how it answers."""
    import h5py

    from brf_lava.network.file import read_network
    from brf_lava.run.result import decision_of
    from brf_lava.train.checkpoint import load_checkpoint

    network: AnyNetwork
    if path.is_file() and h5py.is_hdf5(path):
        network, _ = read_network(path)
        known, decision = network.provenance, decision_of(network)
        sizes = network.inputs, network.classes
    else:
        checkpoint = load_checkpoint(path)
        network = checkpoint.model().to_real()
        known, decision = checkpoint.provenance, checkpoint.recipe.decision
        sizes = checkpoint.inputs, len(checkpoint.classes)
    dataset = network_data(known, data, path)
    found = dataset.train.x.shape[2], len(dataset.classes)
    if found != sizes:
        raise DataError(
            f"task {dataset.task}: {found[0]} inputs and {found[1]} classes, the network in {path} "
            f"has {sizes[0]} and {sizes[1]}. Name its own data with --data."
        )
    return network, dataset, decision


def _draw_swept(
    names: Sequence[str], draw: Callable[..., None], models: Sequence[Path],
    look: LookOptions, data: DataOptions, limit: int, **how: int,
) -> None:  # fmt: skip
    """Disturb each model in real numbers on the first test samples of its data, and draw it."""
    from brf_lava.analysis.activity import Samples
    from brf_lava.analysis.sweeps import sweeps
    from brf_lava.network.layers import RealNetwork

    found: dict[str, Any] = {}
    with _picture(look) as figure:
        for path in models:
            network, dataset, decision = _load(path, data)
            if not isinstance(network, RealNetwork):
                raise CheckpointError(
                    f"{path}: a network in integers. Name the model it was exported from, a .pt "
                    "file."
                )
            test, kind = dataset.test.first(limit), dataset.source.kind
            samples = Samples(test.time_major(), test.y, decision)
            found[str(path) if len(models) > 1 else path.name] = sweeps(
                names, network, samples, **how
            )
        what = f"{', '.join(found)}, {dataset.task}"
        draw(figure, found, f"{what}: the first {len(test.y)} test samples of {kind}")
