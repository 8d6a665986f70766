"""brf-lava plot"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.options import PATH, Command, DataOptions, data_option, grouped, network_data
from brf_lava.errors import CheckpointError, DataError, ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from brf_lava.analysis.activity import Samples
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.layers import FixedNetwork, RealNetwork
    from brf_lava.train.checkpoint import Checkpoint

HDF5_MAGIC = b"\x89HDF"
CALIBRATION = 256  # training samples from which the bit widths take the ranges of the states


@click.group()
def plot() -> None:
    """Draw a picture: .png, .svg or .pdf, by the name given with -o."""


def out_option(default: str) -> Callable[[Command], Command]:
    return click.option(
        "-o",
        "--out",
        type=PATH,
        default=Path(default),
        show_default=True,
        help="Picture to write: .png, .svg or .pdf.",
    )


@dataclass(frozen=True)
class SweepOptions:
    """How finely and how often a disturbance is tried."""

    points: int
    repeats: int
    limit: int
    seed: int

    def runs(self) -> dict[str, int]:
        """Return the options that decide which runs there are."""
        return {"points": self.points, "repeats": self.repeats, "seed": self.seed}


def sweep_options(points: int, repeats: int) -> Callable[[Any], Any]:
    """Give a command the argument `sweep`, with these defaults."""

    def number(name: str, least: int, default: int, text: str | None = None) -> Any:
        kind = click.IntRange(min=least)
        return click.option(name, type=kind, default=default, show_default=True, help=text)

    return grouped(
        "sweep",
        SweepOptions,
        number("--points", 2, points, "Levels, none included."),
        number("--repeats", 1, repeats, "Random draws per level."),
        number("--limit", 1, 150, "Only the first so many test samples."),
        number("--seed", 0, 0),
    )


@contextmanager
def _picture(out: Path, *inputs: Path, table: Path | None = None) -> Iterator[Figure]:
    """A figure that is written to `out` in the end, and said to be; see `style.picture`.

    table: a file that is written, too.
    """
    from brf_lava.analysis.draw.style import picture

    with picture(out, *inputs) as figure:
        yield figure
    files = [out] if table is None else [out, table]
    click.echo(f"Wrote {' and '.join(map(on_one_line, files))}.")


@plot.command()
@click.argument("model", type=PATH, required=False)
@out_option("boundary.png")
@click.option("--dt", type=float, help="Step, s. Default: the model's, else 0.01.")
def boundary(model: Path | None, out: Path, dt: float | None) -> None:
    """Stability over omega, with the neurons of MODEL if one is named."""
    from brf_lava.analysis.draw.neurons import draw_boundary
    from brf_lava.analysis.stability import PLANES, stability_map

    title = "Divergence boundary of one step"
    with _picture(out, *([model] if model else [])) as figure:
        if model is None:
            maps = [stability_map(plane, 0.01 if dt is None else dt) for plane in PLANES]
            draw_boundary(figure, maps, (), title)
            return
        from brf_lava.analysis.parameters import maps_around, resonators

        layers = resonators(_checkpoint(model).model(), str(model))
        for layer in layers:
            if dt is not None and dt != layer.dt:
                raise ParameterError(
                    f"--dt {dt:g}: {model} has dt = {layer.dt:g} s, and its neurons belong to no "
                    "other. Leave --dt out."
                )
        count = sum(len(layer.omega) for layer in layers)
        title = f"{title}, and the {count} neurons of {model.name}"
        draw_boundary(figure, maps_around(layers), layers, title)


@plot.command("frequency-response")
@out_option("frequency-response.png")
@click.option("--dt", type=float, default=0.01, show_default=True, help="Step, s.")
@click.option("--omega", type=float, multiple=True, help="rad/s. Default: 5, 10, 20 and 40.")
@click.option("--b-offset", type=float, default=0.1, show_default=True, help="1/s.")
@click.option(
    "--bin",
    "width",
    type=click.FloatRange(0.002, 0.5),
    default=0.01,
    show_default=True,
    help="Distance of the tried frequencies, of omega.",
)
@click.option(
    "--upto",
    type=click.FloatRange(1.0, 20.0),
    default=2.0,
    show_default=True,
    help="The largest tried frequency, of omega.",
)
def frequency_response(
    out: Path, dt: float, omega: tuple[float, ...], b_offset: float, width: float, upto: float
) -> None:
    """How strongly BRF and BHRF neurons answer to spike trains near their omega.

    The peak comes to omega as dt * omega shrinks. With a dt of 0.01 s it is within 2 % up to
    20 rad/s; at 40 rad/s BRF has it at 1.03 and BHRF at 1.09 of omega, with 0.001 s both at 1.00.
    """
    from brf_lava.analysis.draw.neurons import draw_responses
    from brf_lava.analysis.resonance import DURATION, frequency_responses, relative_frequencies

    drive = f"Unit spikes for {DURATION:g} s, no threshold"
    with _picture(out) as figure:
        responses = frequency_responses(
            omega or (5.0, 10.0, 20.0, 40.0), dt, relative_frequencies(width, upto), b_offset
        )
        title = rf"{drive}, $b_\mathrm{{off}}$ = {b_offset:g} per s"
        draw_responses(figure, responses, dt, title)


@plot.command("single-neuron")
@out_option("single-neuron.png")
@click.option("--omega", type=float, default=10.0, show_default=True, help="rad/s.")
@click.option("--b-offset", type=float, default=1.0, show_default=True, help="1/s.")
@click.option("--dt", type=float, default=0.01, show_default=True, help="Step, s.")
@click.option("--gamma", type=float, default=0.9, show_default=True, help="Per step.")
@click.option("--weight", type=float, default=100.0, show_default=True, help="Of input spikes.")
def single_neuron(
    out: Path, omega: float, b_offset: float, dt: float, gamma: float, weight: float
) -> None:
    """One neuron with and without refractory period and smooth reset."""
    from brf_lava.analysis.draw.neurons import draw_single_neuron
    from brf_lava.analysis.single_neuron import Drive
    from brf_lava.analysis.single_neuron import single_neuron as run_variants

    with _picture(out) as figure:
        drive = Drive(omega=omega, b_offset=b_offset, dt=dt, gamma=gamma, weight=weight)
        draw_single_neuron(figure, run_variants(drive))


@plot.command("learning-curves")
@click.argument("metrics", nargs=-1, required=True, metavar="[LABEL=]METRICS.jsonl...")
@out_option("learning-curves.png")
def learning_curves(metrics: tuple[str, ...], out: Path) -> None:
    """Loss, accuracy and SOPs over epochs; files of one LABEL are seeds of one experiment."""
    from brf_lava.analysis.draw.training import draw_learning_curves
    from brf_lava.analysis.learning import learning_curves as read_files

    files = [_labeled(text) for text in metrics]
    with _picture(out, *(path for _, path in files)) as figure:
        draw_learning_curves(figure, read_files(files))


@plot.command()
@click.argument("model", type=PATH)
@out_option("parameters.png")
@data_option
def parameters(model: Path, out: Path, data: DataOptions) -> None:
    """omega and b_offset of MODEL before and after training.

    The data are those of the training: their size is part of what the seed means.
    """
    from brf_lava.analysis.draw.training import draw_parameters
    from brf_lava.analysis.parameters import resonators, training

    with _picture(out, model) as figure:
        checkpoint = _checkpoint(model)
        resonators(checkpoint.model(), str(model))  # before data are read for nothing
        dataset = _model_data(checkpoint, data, model) if checkpoint.seed is not None else None
        draw_parameters(figure, training(checkpoint, dataset, str(model)), model.name)


@plot.command()
@click.argument("model", type=PATH, metavar="MODEL.pt|NET.h5")
@out_option("raster.png")
@data_option
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True)
def raster(model: Path, out: Path, data: DataOptions, sample: int) -> None:
    """One test sample: inputs, hidden spikes, readout, and its labels.

    A model is run in real numbers, a network file in integers.
    """
    from brf_lava.analysis.draw.network import draw_raster
    from brf_lava.analysis.raster import raster as run_raster
    from brf_lava.run.result import decision_of

    network: RealNetwork | FixedNetwork
    with _picture(out, model) as figure:
        if _is_hdf5(model):
            network, dataset = _exported(model, data)
            kind, decision = "integers", decision_of(network)
        else:
            checkpoint = _checkpoint(model)
            network, dataset = checkpoint.model().to_real(), _model_data(checkpoint, data, model)
            kind, decision = "real numbers", checkpoint.recipe.decision
        found = run_raster(network, dataset, decision, sample)
        draw_raster(figure, found, f"{model.name} in {kind}, {dataset.task} test sample {sample}")


@plot.command()
@click.argument("model", type=PATH)
@out_option("pruning.png")
@data_option
@sweep_options(points=11, repeats=5)
def pruning(model: Path, out: Path, data: DataOptions, sweep: SweepOptions) -> None:
    """Accuracy and SOPs of MODEL over the share of its recurrent weights that are cut."""
    from brf_lava import report
    from brf_lava.analysis import sweeps
    from brf_lava.analysis.draw.network import draw_pruning

    with _picture(out, model) as figure:
        network, _, samples, title = _first_samples(model, data, sweep.limit)
        runs = sweeps.runs(sweep.points, sweep.repeats)
        with report.step_progress("pruning", runs) as on_progress:
            found = sweeps.pruning(network, samples, **sweep.runs(), on_progress=on_progress)
        draw_pruning(figure, found, title)


@plot.command()
@click.argument("model", type=PATH)
@out_option("robustness.png")
@data_option
@sweep_options(points=6, repeats=3)
def robustness(model: Path, out: Path, data: DataOptions, sweep: SweepOptions) -> None:
    """Accuracy of MODEL under noise, lost spikes, inexact weights and few weight bits.

    The numbers are written next to the picture, with the suffix .csv.
    """
    from brf_lava import report
    from brf_lava.analysis import sweeps
    from brf_lava.analysis.draw.network import draw_robustness
    from brf_lava.io.files import check_writable, write_bytes

    table = out.with_suffix(".csv")
    with _picture(out, model, table=table) as figure:
        check_writable(table, model)
        network, dataset, samples, title = _first_samples(model, data, sweep.limit)
        calibration = dataset.train.first(CALIBRATION).time_major()
        runs = sweeps.robustness_runs(sweep.points, sweep.repeats)
        with report.step_progress("robustness", runs) as on_progress:
            found = sweeps.robustness(
                network, samples, calibration, **sweep.runs(), on_progress=on_progress
            )
        draw_robustness(figure, found, title)
        write_bytes(table, sweeps.as_csv(found).encode())


def _labeled(text: str) -> tuple[str, Path]:
    """``LABEL=FILE``, or a file whose name is its label."""
    label, equals, name = text.partition("=")
    if not equals or Path(text).exists():
        return Path(text).stem, Path(text)
    if not label or not name:
        raise ParameterError(f"{text}: not of the form LABEL=FILE. Write both, or the file alone.")
    return label, Path(name)


def _is_hdf5(path: Path) -> bool:
    from brf_lava.data.arrays import HDF5_SUFFIXES

    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    except OSError:
        return path.suffix.lower() in HDF5_SUFFIXES  # its reader says what is wrong with it


def _checkpoint(path: Path) -> Checkpoint:
    from brf_lava.train.checkpoint import load_checkpoint

    if path.is_file() and _is_hdf5(path):
        raise CheckpointError(
            f"{path}: a network in integers; this picture needs the model it was exported from. "
            "Name that, a .pt file."
        )
    return load_checkpoint(path)


def _task_data(
    known: dict[str, Any], sizes: tuple[int, int], data: DataOptions, path: Path
) -> Dataset:
    """The data of a task, in the order of steps that a network was trained with.

    known: as of a network file's provenance. sizes: the network's inputs and classes. path: its
    file. Raises: DataError for data of other sizes.
    """
    dataset = network_data(known, data, path)
    found = dataset.train.x.shape[2], len(dataset.classes)
    if found != sizes:
        raise DataError(
            f"task {dataset.task}: {found[0]} inputs and {found[1]} classes, the network in {path} "
            f"has {sizes[0]} and {sizes[1]}. Name its own data with --data."
        )
    return dataset


def _model_data(checkpoint: Checkpoint, data: DataOptions, path: Path) -> Dataset:
    known = {
        "task": checkpoint.recipe.task,
        "permutation": checkpoint.permutation,
        "data": {"kind": checkpoint.data.kind},
    }
    return _task_data(known, (checkpoint.inputs, len(checkpoint.classes)), data, path)


def _exported(path: Path, data: DataOptions) -> tuple[FixedNetwork, Dataset]:
    """A network file, with its task's data."""
    from brf_lava.network.file import read_network

    network, _ = read_network(path)
    sizes = network.inputs, network.classes
    return network, _task_data(network.provenance, sizes, data, path)


def _first_samples(
    model: Path, data: DataOptions, limit: int
) -> tuple[RealNetwork, Dataset, Samples, str]:
    """A model in real numbers, its data, the first test samples of them, and a title."""
    from brf_lava.analysis.activity import Samples

    checkpoint = _checkpoint(model)
    dataset = _model_data(checkpoint, data, model)
    test, kind = dataset.test.first(limit), dataset.source.kind
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    title = f"{model.name}, {dataset.task}: the first {len(test.y)} test samples of {kind}"
    return checkpoint.model().to_real(), dataset, samples, title
