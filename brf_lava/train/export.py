"""The export of a trained model: calibrate, quantize, keep where it came from, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.data.dataset import Dataset
from brf_lava.errors import DataError
from brf_lava.export.quantize import LayerReport, quantize
from brf_lava.network.activity import Activity, TestVectors
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.train.checkpoint import Checkpoint, own_neurons
from brf_lava.versions import versions

VECTOR_SAMPLES = 2
CALIBRATION_SAMPLES = 2000  # of the training half; enough for the largest states, with head-room


def export_model(
    checkpoint: Checkpoint,
    dataset: Dataset,
    path: Path,
    *,
    state_bits: int | None = None,
    parameter_bits: int,
    weight_bits: int,
    engine: Callable[[FixedNetwork, NDArray[Any]], Activity] | None = None,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a model with the ranges it reaches on the training split, and write it to `path`.

    engine: answers to the first `VECTOR_SAMPLES` test samples, which go into the file as vectors.

    Raises: DataError if the data does not fit the model, ParameterError as `quantize`.
    """
    x = dataset.train.x[:CALIBRATION_SAMPLES]
    if x.shape[2] != checkpoint.inputs:
        raise DataError(
            f"calibration data: {x.shape[2]} inputs, the model has {checkpoint.inputs}. Name the "
            "data it was trained on with --data."
        )
    network, reports = quantize(
        checkpoint.model().to_real(),
        np.ascontiguousarray(x.transpose(1, 0, 2)),
        state_bits=state_bits,
        parameter_bits=parameter_bits,
        weight_bits=weight_bits,
    )
    provenance = {
        "task": checkpoint.recipe.task,
        "classes": list(checkpoint.classes),
        "recipe": checkpoint.recipe.text,
        **own_neurons(checkpoint.recipe),
        "seed": checkpoint.seed,
        "origin": checkpoint.origin,
        "epoch": checkpoint.epoch,
        "decision": asdict(checkpoint.recipe.decision),
        "permutation": (
            None if checkpoint.permutation is None else checkpoint.permutation.tolist()
        ),
        "model": checkpoint.fingerprint,
        "data": asdict(checkpoint.data),
        "metrics": checkpoint.metrics.as_dict(),
        "calibration": asdict(dataset.source),
        "versions": {"trained": checkpoint.versions, "exported": versions()},
    }
    exported = replace(network, provenance=provenance)
    vectors = None
    if engine is not None:
        inputs = np.ascontiguousarray(dataset.test.x[:VECTOR_SAMPLES].transpose(1, 0, 2))
        vectors = TestVectors(inputs, engine(exported, inputs))
    write_network(exported, path, checkpoint.activity, vectors)
    return exported, reports
