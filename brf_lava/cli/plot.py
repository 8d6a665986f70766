"""brf-lava plot"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.options import PATH, DataOptions, data_option, grouped, network_data
from brf_lava.errors import CheckpointError, ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.analysis.activity import Samples
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.decision import Decision
    from brf_lava.network.layers import FixedNetwork, RealNetwork
    from brf_lava.train.checkpoint import Checkpoint

HDF5_MAGIC = b"\x89HDF"
CALIBRATION = 256  # training samples from which the bit widths take the ranges of the states


@click.group()
def plot() -> None:
    """Draw a picture: .png, .svg or .pdf, by the name given with -o."""


def out_option(default: str) -> Callable[[Any], Any]:
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
    """How finely and how often a disturbance is tried, and on how many samples."""

    points: int
    repeats: int
    limit: int
    seed: int

    def arguments(self) -> dict[str, int]:
        """Those of a sweep."""
        return {"points": self.points, "repeats": self.repeats, "seed": self.seed}


def sweep_options(points: int, repeats: int) -> Callable[[Any], Any]:
    def option(name: str, least: int, default: int, text: str | None = None) -> Any:
        kind = click.IntRange(min=least)
        return click.option(name, type=kind, default=default, show_default=True, help=text)

    return grouped(
        "sweep",
        SweepOptions,
        option("--points", 2, points, "Levels, none included."),
        option("--repeats", 1, repeats, "Random draws per level."),
        option("--limit", 1, 150, "Only the first so many test samples."),
        option("--seed", 0, 0),
    )


@plot.command()
@click.argument("model", type=PATH, required=False)
@out_option("boundary.png")
@click.option("--dt", type=float, help="Step, s. Default: the model's, else 0.01.")
def boundary(model: Path | None, out: Path, dt: float | None) -> None:
    """Stability over omega, with the neurons of MODEL if one is named."""
    from brf_lava.analysis import stability
    from brf_lava.analysis.draw.neurons import draw_boundary
    from brf_lava.analysis.draw.style import check_picture, picture

    layers: tuple[Any, ...] = ()
    shown: list[tuple[str, float, Any]] = [
        (plane, 0.01 if dt is None else dt, None) for plane in stability.PLANES
    ]  # plane, dt, and the neurons there
    title = "Divergence boundary of one step"
    check_picture(out, *([model] if model else []))
    if model is not None:
        import numpy as np

        from brf_lava.analysis.parameters import resonators

        layers = resonators(_checkpoint(model).model(), str(model))
        for layer in layers:
            if dt is not None and dt != layer.dt:
                raise ParameterError(
                    f"--dt {dt:g}: {model} has dt = {layer.dt:g} s, and its neurons belong to no "
                    "other. Leave --dt out."
                )
        shown = []
        for plane, step in dict.fromkeys((layer.plane, layer.dt) for layer in layers):
            there = [layer for layer in layers if (layer.plane, layer.dt) == (plane, step)]
            omega = np.concatenate([layer.omega for layer in there])
            damping = [array for layer in there for array in (layer.damping, layer.bare_damping)]
            shown.append((plane, step, (omega, np.concatenate(damping))))
        count = sum(len(layer.omega) for layer in layers)
        title = f"{title}, and the {count} neurons of {model.name}"
    maps = [stability.stability_map(*each) for each in shown]
    with picture(out) as figure:
        draw_boundary(figure, maps, layers, title)
    _wrote(out)


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
    from brf_lava.analysis.draw.style import check_picture, picture
    from brf_lava.analysis.resonance import DURATION, frequency_responses, relative_frequencies

    check_picture(out)
    responses = frequency_responses(
        omega or (5.0, 10.0, 20.0, 40.0), dt, relative_frequencies(width, upto), b_offset
    )
    with picture(out) as figure:
        draw_responses(
            figure,
            responses,
            dt,
            f"Unit spikes for {DURATION:g} s, no threshold, "
            rf"$b_\mathrm{{off}}$ = {b_offset:g} per s",
        )
    _wrote(out)


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
    from brf_lava.analysis import single_neuron as single
    from brf_lava.analysis.draw.neurons import draw_single_neuron
    from brf_lava.analysis.draw.style import check_picture, picture

    check_picture(out)
    found = single.single_neuron(
        single.Drive(omega=omega, b_offset=b_offset, dt=dt, gamma=gamma, weight=weight)
    )
    with picture(out) as figure:
        draw_single_neuron(figure, found)
    _wrote(out)


@plot.command("learning-curves")
@click.argument("metrics", nargs=-1, required=True, metavar="[LABEL=]METRICS.jsonl...")
@out_option("learning-curves.png")
def learning_curves(metrics: tuple[str, ...], out: Path) -> None:
    """Loss, accuracy and SOPs over epochs; files of one LABEL are seeds of one experiment."""
    from brf_lava.analysis import learning
    from brf_lava.analysis.draw.style import check_picture, picture
    from brf_lava.analysis.draw.training import draw_learning_curves

    files = [_labeled(text) for text in metrics]
    check_picture(out, *(path for _, path in files))
    curves = learning.learning_curves(files)
    with picture(out) as figure:
        draw_learning_curves(figure, curves)
    _wrote(out)


@plot.command()
@click.argument("model", type=PATH)
@out_option("parameters.png")
@data_option
def parameters(model: Path, out: Path, data: DataOptions) -> None:
    """omega and b_offset of MODEL before and after training.

    The data are those of the training: their size is part of what the seed means.
    """
    from brf_lava.analysis.draw.style import check_picture, picture
    from brf_lava.analysis.draw.training import draw_parameters
    from brf_lava.analysis.parameters import resonators, training

    check_picture(out, model)
    checkpoint = _checkpoint(model)
    resonators(checkpoint.model(), str(model))  # before data are read for nothing
    dataset = _data(checkpoint, data, model) if checkpoint.seed is not None else None
    found = training(checkpoint, dataset, str(model))
    with picture(out) as figure:
        draw_parameters(figure, found, model.name)
    _wrote(out)


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
    from brf_lava.analysis.draw.style import check_picture, picture
    from brf_lava.analysis.raster import raster as run_raster

    check_picture(out, model)
    network: RealNetwork | FixedNetwork
    if _is_hdf5(model):
        network, dataset, decision = _exported(model, data)
        kind = "integers"
    else:
        checkpoint = _checkpoint(model)
        network, decision = checkpoint.model().to_real(), checkpoint.recipe.decision
        dataset = _data(checkpoint, data, model)
        kind = "real numbers"
    found = run_raster(network, dataset, decision, sample)
    with picture(out) as figure:
        draw_raster(figure, found, f"{model.name} in {kind}, {dataset.task} test sample {sample}")
    _wrote(out)


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
    from brf_lava.analysis.draw.style import check_picture, picture

    check_picture(out, model)
    checkpoint = _checkpoint(model)
    dataset = _data(checkpoint, data, model)
    samples = _samples(checkpoint, dataset, sweep.limit)
    with report.step_progress("pruning", sweeps.runs(sweep.points, sweep.repeats)) as on_progress:
        found = sweeps.pruning(
            checkpoint.model().to_real(), samples, on_progress=on_progress, **sweep.arguments()
        )
    with picture(out) as figure:
        draw_pruning(figure, found, _title(model, dataset, samples))
    _wrote(out)


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
    from brf_lava.analysis.draw.style import check_picture, picture
    from brf_lava.io.files import check_writable, write_bytes

    check_picture(out, model)
    table = out.with_suffix(".csv")
    check_writable(table, model)
    checkpoint = _checkpoint(model)
    dataset = _data(checkpoint, data, model)
    samples = _samples(checkpoint, dataset, sweep.limit)
    calibration = dataset.train.first(CALIBRATION).time_major()
    count = sweeps.robustness_runs(sweep.points, sweep.repeats)
    with report.step_progress("robustness", count) as on_progress:
        found = sweeps.robustness(
            checkpoint.model().to_real(),
            samples,
            calibration,
            on_progress=on_progress,
            **sweep.arguments(),
        )
    with picture(out) as figure:
        draw_robustness(figure, found, _title(model, dataset, samples))
    write_bytes(table, sweeps.as_csv(found).encode())
    _wrote(out, table)


def _wrote(*files: Path) -> None:
    click.echo(f"Wrote {' and '.join(map(on_one_line, files))}.")


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


def _data(checkpoint: Checkpoint, data: DataOptions, model: Path) -> Dataset:
    """The data of a model's task, in its order of steps. model: the file."""
    known = {
        "task": checkpoint.recipe.task,
        "permutation": checkpoint.permutation,
        "data": {"kind": checkpoint.data.kind},
    }
    return network_data(known, data, model, (checkpoint.inputs, len(checkpoint.classes)))


def _exported(path: Path, data: DataOptions) -> tuple[FixedNetwork, Dataset, Decision]:
    """A network file, with its task's data and its way to answer."""
    from brf_lava.network.file import read_network
    from brf_lava.run.result import decision_of

    network, _ = read_network(path)
    sizes = (network.inputs, network.classes)
    return network, network_data(network.provenance, data, path, sizes), decision_of(network)


def _samples(checkpoint: Checkpoint, dataset: Dataset, limit: int) -> Samples:
    from brf_lava.analysis.activity import Samples

    test = dataset.test.first(limit)
    return Samples(test.time_major(), test.y, checkpoint.recipe.decision)


def _title(model: Path, dataset: Dataset, samples: Samples) -> str:
    kind = dataset.source.kind
    return f"{model.name}, {dataset.task}: the first {len(samples.labels)} test samples of {kind}"
