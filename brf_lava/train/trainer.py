"""The loop over epochs: interruptible, resumable bit for bit, best model by validation loss.

After every epoch the whole training state goes to ``<out stem>.resume.pt``; a run that is stopped
at any moment goes on from the last finished epoch and ends like one that was never stopped.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brf_lava.errors import BrfLavaError, CheckpointError, RecipeError
from brf_lava.files import write_bytes
from brf_lava.kernels.layer import choose_backend
from brf_lava.recipes import Recipe, parse_recipe
from brf_lava.tasks.task import Dataset, DataSource, Split
from brf_lava.train.checkpoint import (
    Checkpoint,
    read_archive,
    save_checkpoint,
    write_archive,
)
from brf_lava.train.model import Network, as_batch, evaluate, loss_per_sample
from brf_lava.versions import versions

STATE_FORMAT = "brf-lava-training"
STATE_SCHEMA = 1

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
}
SCHEDULES: dict[str, Callable[[float], float]] = {  # of the share of epochs that are done
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True)
class EpochReport:
    """One line of the metrics file. Losses per sample, accuracies 0..1, SOPs per sample."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    train_sops: float
    validation_loss: float
    validation_accuracy: float
    validation_sops: float
    best: bool
    seconds: float


@dataclass(frozen=True)
class Progress:
    """What a progress display is told. None means: nothing to show."""

    on_batch: Callable[[int, int, int], None] | None = None  # epoch, batch, batches
    on_epoch: Callable[[EpochReport], None] | None = None


def resume_path(out: Path) -> Path:
    """Where the training state of a model to be written to `out` is kept."""
    return out.with_name(f"{out.stem}.resume.pt")


def metrics_path(out: Path) -> Path:
    """The metrics file beside the model: one JSON object per line and epoch."""
    return out.with_name(f"{out.stem}.jsonl")


class Trainer:
    """A training run that can be stopped between any two batches.

    recipe:  what to train
    dataset: its training split is divided into training and validation by the seed
    seed:    of initial values, the division and the order of the data
    device:  of the model
    out:     model.pt; the state and the metrics lie beside it
    """

    def __init__(
        self, recipe: Recipe, dataset: Dataset, seed: int, device: torch.device, out: Path
    ) -> None:
        self.recipe, self.dataset, self.seed = recipe, dataset, seed
        self.device, self.out = device, out
        self.generator = torch.Generator().manual_seed(seed)
        samples = len(dataset.train.x)
        held_out = recipe.training.validation
        if not 0 < held_out < samples:
            raise RecipeError(
                f"training.validation: {held_out} samples of {samples}; between 1 and "
                f"{samples - 1} can be held out."
            )
        order = torch.randperm(samples, generator=self.generator).numpy()
        self.training = _take(dataset.train, order[held_out:])
        self.validation = _take(dataset.train, order[:held_out])
        inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
        self.model = Network(recipe, inputs, classes, self.generator).to(device)
        self.optimizer = OPTIMIZERS[recipe.training.optimizer](
            self.model.parameters(), lr=recipe.training.learning_rate
        )
        self.epoch = 0
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.best_state = copy.deepcopy(self.model.state_dict())
        self.reports: list[EpochReport] = []

    @classmethod
    def resumed(cls, dataset: Dataset, device: torch.device, out: Path) -> Trainer:
        """The run whose state lies beside `out`, as it was after its last finished epoch.

        Raises: CheckpointError when there is none, or when the data is not the same.
        """
        recipe, state = _read_state(out)
        try:
            return cls._restored(recipe, state, dataset, device, out)
        except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{resume_path(out)}: damaged training state ({type(error).__name__}). Start anew "
                "with --restart."
            ) from error

    @classmethod
    def _restored(
        cls,
        recipe: Recipe,
        state: dict[str, Any],
        dataset: Dataset,
        device: torch.device,
        out: Path,
    ) -> Trainer:
        path = resume_path(out)
        source = DataSource(**state["data"])
        if source.fingerprint != dataset.source.fingerprint:
            raise CheckpointError(
                f"{path}: was trained on {source.description}, but the data here is "
                f"{dataset.source.description}. Name the same --data."
            )
        if state["device"] != device.type:
            raise CheckpointError(
                f"{path}: was trained on {state['device']}, not {device.type}. "
                f"Resume with --device {state['device']}."
            )
        trainer = cls(recipe, dataset, state["seed"], device, out)
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.generator.set_state(state["generator"])
        trainer.epoch = state["epoch"]
        trainer.best_loss = state["best_loss"]
        trainer.best_epoch = state["best_epoch"]
        trainer.best_state = state["best_state"]
        trainer.reports = [EpochReport(**report) for report in state["reports"]]
        return trainer

    @staticmethod
    def stored_task(out: Path) -> str:
        """The task of the run whose state lies beside `out`. Raises: CheckpointError."""
        return _read_state(out)[0].task

    @property
    def kernel(self) -> str:
        """The kernel backend that training runs on."""
        return choose_backend(self.device, torch.float32)

    def run(self, progress: Progress | None = None) -> None:
        """Train to the recipe's last epoch. KeyboardInterrupt passes through; nothing is lost."""
        progress = progress or Progress()
        self._save_state()
        while self.epoch < self.recipe.training.epochs:
            report = self._run_epoch(progress)
            self.reports.append(report)
            self.epoch += 1
            self._save_state()
            if progress.on_epoch:
                progress.on_epoch(report)

    def checkpoint(self) -> Checkpoint:
        """The best model so far, measured on the test split."""
        model = Network(self.recipe, self.dataset.train.x.shape[2], len(self.dataset.classes))
        model.load_state_dict(self.best_state)
        metrics, activity = evaluate(model.to(self.device), self.dataset.test, self.device)
        return Checkpoint(
            recipe=self.recipe,
            seed=self.seed,
            origin="trained",
            inputs=self.dataset.train.x.shape[2],
            classes=self.dataset.classes,
            epoch=self.best_epoch,
            epochs_done=self.epoch,
            data=self.dataset.source,
            metrics=metrics,
            activity=activity,
            state_dict=self.best_state,
            versions=versions(),
        )

    def finish(self) -> Checkpoint:
        """Write model.pt from the best epoch; a finished run's state is no longer needed."""
        checkpoint = self.checkpoint()
        save_checkpoint(checkpoint, self.out)
        if self.epoch == self.recipe.training.epochs:
            resume_path(self.out).unlink(missing_ok=True)
        return checkpoint

    def _run_epoch(self, progress: Progress) -> EpochReport:
        started = time.perf_counter()
        settings = self.recipe.training
        learning_rate = settings.learning_rate * SCHEDULES[settings.schedule](
            self.epoch / settings.epochs
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        samples, steps = self.training.y.shape
        order = torch.randperm(samples, generator=self.generator).numpy()
        batches = -(-samples // settings.batch_size)
        totals = np.zeros(3)  # loss, hits, spikes
        for batch in range(batches):
            index = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
            totals += self._train_batch(index, batch)
            if progress.on_batch:
                progress.on_batch(self.epoch, batch + 1, batches)
        validation, _ = evaluate(self.model, self.validation, self.device)
        best = validation.loss < self.best_loss
        if best:
            self.best_loss, self.best_epoch = validation.loss, self.epoch + 1
            self.best_state = copy.deepcopy(self.model.state_dict())
        return EpochReport(
            epoch=self.epoch + 1,
            learning_rate=learning_rate,
            train_loss=float(totals[0] / samples),
            train_accuracy=float(totals[1] / (samples * steps)),
            train_sops=float(totals[2] / samples),
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            validation_sops=validation.sops_per_sample,
            best=best,
            seconds=time.perf_counter() - started,
        )

    def _train_batch(self, index: NDArray[np.int64], batch: int) -> tuple[float, float, float]:
        """One optimizer step on samples `index`; their summed loss, hits and hidden spikes."""
        x, y = as_batch(self.training, index, self.device)
        outputs, spikes = self.model(x)
        loss = loss_per_sample(outputs, y)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch 2.3
        value = float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), float("inf")))
        if not np.isfinite(value + norm):
            raise BrfLavaError(
                f"training: loss {value:g} with a gradient of norm {norm:g} in epoch "
                f"{self.epoch + 1}, batch {batch + 1}; both must be finite. Lower "
                f"training.learning_rate (now {self.recipe.training.learning_rate:g})."
            )
        self.optimizer.step()
        with torch.no_grad():
            hits = float((outputs.argmax(1) == y).sum())
            sops = sum(float(layer.sum()) for layer in spikes)
        return value * len(index), hits, sops

    def _save_state(self) -> None:
        state: dict[str, Any] = {
            "format": STATE_FORMAT,
            "schema": STATE_SCHEMA,
            "versions": versions(),
            "recipe": self.recipe.text,
            "seed": self.seed,
            "device": self.device.type,
            "data": asdict(self.dataset.source),
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "best_state": self.best_state,
            "reports": [asdict(report) for report in self.reports],
        }
        write_archive(state, resume_path(self.out))
        lines = [json.dumps(asdict(report)) + "\n" for report in self.reports]
        write_bytes(metrics_path(self.out), "".join(lines).encode())


def _read_state(out: Path) -> tuple[Recipe, dict[str, Any]]:
    path = resume_path(out)
    if not path.exists():
        raise CheckpointError(
            f"{path}: no training state to resume. Start without --resume, or name the same "
            "--out as the run that was stopped."
        )
    state = read_archive(path, STATE_FORMAT, STATE_SCHEMA)
    return parse_recipe(state["recipe"], f"{path} (stored recipe)"), state


def _take(split: Split, index: Any) -> Split:
    return Split(x=split.x[index], y=split.y[index])
