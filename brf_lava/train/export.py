"""The export of a trained model: calibrate, quantize, keep where it came from, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.data.dataset import Dataset
from brf_lava.errors import DataError
from brf_lava.export.adaptive import Progress
from brf_lava.export.quantize import LayerReport, quantize
from brf_lava.kernels.cpu import one_thread
from brf_lava.network.activity import TestVectors
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.distill import ANSWERS, EPOCHS, distill, samples_taught, steps_taught
from brf_lava.train.model import Network
from brf_lava.versions import versions

VECTOR_SAMPLES = 2
CALIBRATION_SAMPLES = 2000  # of the training half; enough for the largest states, with head-room


def calibration_inputs(checkpoint: Checkpoint, dataset: Dataset) -> NDArray[Any]:
    """Those [T, B, I] that `export_model` takes. Raises: DataError if they do not fit the model."""
    x = dataset.ordered_as(checkpoint.permutation).train.first(CALIBRATION_SAMPLES).time_major()
    if x.shape[2] != checkpoint.inputs:
        raise DataError(
            f"calibration data: {x.shape[2]} inputs, the model has {checkpoint.inputs}. Name the "
            "data it was trained on with --data."
        )
    return x


def possible_rounding(model: Network, rounding: str, x: NDArray[Any]) -> str:
    """The rounding that is asked for, or "adaptive" for a model that is not distilled.

    That is one trained on integers; one with neurons of the user's own without an adjoint, which
    would train for many minutes on the reference kernel; and one with many parameters for the
    answers to x [T, B, I], which it would learn by heart.
    """
    own = any(block.neuron.family.adjoint_step is None for block in model.blocks)
    trained = any(block.weight_bits for block in model.blocks)
    answers = samples_taught(x) * len(x[steps_taught(model)])
    few = answers < ANSWERS * sum(each.numel() for each in model.parameters())
    return "adaptive" if rounding == "distilled" and (own or trained or few) else rounding


def rounding_steps(model: Network, rounding: str, x: NDArray[Any]) -> int:
    """How often `to_integers` tells its progress."""
    distilled = possible_rounding(model, rounding, x) == "distilled"
    return sum(block.out_neurons for block in model.blocks) + EPOCHS * distilled


def to_integers(
    model: Network,
    x: NDArray[Any],
    *,
    rounding: str = "distilled",
    progress: Progress = lambda done: None,
    **options: Any,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a network; see `export_model`.

    model: on the CPU. x: [T, B, I] calibration inputs. options: those of `quantize`.
    """
    rounding, real = possible_rounding(model, rounding, x), model.to_real()
    distilled = rounding == "distilled"
    trained_bits = [int(block.state_bits) for block in model.blocks if block.weight_bits]
    with one_thread():  # the same integers on any number of cores
        network, reports = quantize(
            real,
            x,
            rounding="adaptive" if distilled else rounding,
            decision=model.decision,
            progress=progress,
            **{**options, "state_bits": options.get("state_bits") or trained_bits or None},
        )
        if distilled:
            neurons = sum(len(layer.weights) for layer in real.layers)
            return distill(model, network, reports, x, lambda epochs: progress(neurons + epochs))
        return network, reports


def export_model(
    checkpoint: Checkpoint,
    dataset: Dataset,
    path: str | Path,
    *,
    state_bits: int | None = None,
    parameter_bits: int = 16,
    weight_bits: int | Sequence[int] = 8,
    rounding: str = "distilled",
    progress: Progress = lambda done: None,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a trained model to integers and write them to a network file.

    The file also holds the first two test samples with the integer engine's answers to them, which
    ``brf-lava verify --stored`` repeats.

    Args:
        checkpoint: The model.
        dataset: Its data. The states take their ranges from the training half.
        path: The file to write, usually named ``net.h5``.
        state_bits: Fraction bits of all states, 6 to 18; None: what each layer's range leaves, or
            those that the network was trained with.
        parameter_bits: Fraction bits of the neurons' coefficients, 10 to 22.
        weight_bits: Bits of a weight's mantissa, its sign included, 2 to 8: one number, or one for
            each matrix, which is input and recurrent weights of every layer in order.
        rounding: "adaptive" keeps the neurons' membranes close to the float ones, see
            `export.rounding`; "distilled" trains these integers further to answer as the float
            network, see `train.distill`, where there are enough data for that; "nearest" rounds
            each weight alone.
        progress: Called with the number of neurons whose weights are rounded adaptively, and of
            epochs of distillation after that.

    Returns:
        The network in integers, and what quantization did to each layer.

    Raises:
        DataError: If the data do not fit the model.
        ParameterError: If a number of bits is out of range, or too small for the network, or their
            count is wrong.
    """
    dataset, model = dataset.ordered_as(checkpoint.permutation), checkpoint.model()
    x = calibration_inputs(checkpoint, dataset)
    widths: Any = {"state_bits": state_bits, "parameter_bits": parameter_bits}
    widths |= {"weight_bits": weight_bits}
    network, reports = to_integers(model, x, rounding=rounding, progress=progress, **widths)
    provenance = {
        **checkpoint.provenance,
        "calibration": asdict(dataset.source),
        "rounding": possible_rounding(model, rounding, x),
        "weight_bits": [bits for each in reports for bits in each.format.weight_bits],
        "versions": {"trained": checkpoint.versions, "exported": versions()},
    }
    exported = replace(network, provenance=provenance)
    inputs = dataset.test.first(VECTOR_SAMPLES).time_major()
    vectors = TestVectors(inputs, engine.run(exported, inputs))
    write_network(exported, Path(path), checkpoint.activity, vectors)
    return exported, reports
