"""The sizes of the ECG task: two leads, each with a channel for ups and one for downs."""

from __future__ import annotations

from brf_lava.data.dataset import TaskSpec

ECG = TaskSpec(
    name="ecg",
    inputs=4,
    classes=("P", "PQ", "QR", "RS", "ST", "TP"),
    steps=1300,
    step_seconds=1 / 250,
)
