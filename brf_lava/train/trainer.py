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

from brf_lava.config.recipe import Recipe
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.permutation import permutation_from_seed
from brf_lava.errors import BrfLavaError, CheckpointError, ParameterError, RecipeError
from brf_lava.io.files import write_bytes
from brf_lava.kernels.layer import choose_backend
from brf_lava.neurons.families import READOUT
from brf_lava.tasks.registry import is_permuted
from brf_lava.train.averaging import AveragedNetwork
from brf_lava.train.checkpoint import (
    Checkpoint,
    own_neurons,
    permutation_array,
    permutation_tensor,
    read_archive,
    save_checkpoint,
    stored_recipe,
    write_archive,
)
from brf_lava.train.model import (
    Network,
    as_batch,
    check_labels,
    choose_device,
    evaluate,
    require_labels,
)
from brf_lava.versions import versions

STATE_FORMAT = "brf-lava-training"
MOST_SKIPPED = 0.1  # of the samples of an epoch may have no finite gradient
STATE_SCHEMA = 3  # 1 had neither averages nor a permutation; recipes had fewer keys before

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
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
    skipped: int = 0  # training samples of batches without a finite gradient


@dataclass(frozen=True)
class Progress:
    """What a progress display hears of. None means: nothing to show."""

    on_batch: Callable[[int, int, int], None] | None = None  # epoch, batch, batches
    on_epoch: Callable[[EpochReport], None] | None = None


def resume_path(out: Path) -> Path:
    """Where the training state of a model to be written to `out` is kept."""
    return out.with_name(f"{out.stem}.resume.pt")


def metrics_path(out: Path) -> Path:
    """The metrics file next to the model: one JSON object per line and epoch."""
    return out.with_name(f"{out.stem}.jsonl")


def in_order(dataset: Dataset, recipe: Recipe, seed: int) -> Dataset:
    """`dataset` with its steps in the order that the task shows them in.

    That of a permuted task is drawn from the seed, unless the data has one already.
    """
    if dataset.permutation is not None or not is_permuted(recipe.task):
        return dataset
    return dataset.permuted(permutation_from_seed(seed, dataset.train.x.shape[1]))


class Trainer:
    """A training run that can be stopped at any moment and resumed bit for bit.

    `run` trains, `finish` writes the best model. The training state and one line of metrics per
    epoch are written next to the model; `resumed` reads the state.

    Args:
        recipe: What to train.
        dataset: Its training half is split into training and validation samples by the seed; its
            test half is measured once, at the end.
        seed: Of the initial values, the split, the order of the samples, and the order of steps in
            a permuted task.
        device: Where to train; None for a CUDA device if there is one, else the CPU.
        out: The model file to write. ``model.resume.pt`` and ``model.jsonl`` go next to it.

    Raises:
        RecipeError: If the recipe does not fit the data.
        DataError: If no label of a half counts.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        seed: int = 0,
        device: torch.device | None = None,
        out: str | Path = "model.pt",
    ) -> None:
        device, out = device or choose_device("auto"), Path(out)
        dataset = in_order(dataset, recipe, seed)
        check_labels(recipe.decision, dataset.train)
        for half, split in (("training", dataset.train), ("test", dataset.test)):
            require_labels(recipe.decision, split, half)
        self.recipe, self.dataset, self.seed = recipe, dataset, seed
        self.device, self.out = device, out
        self.generator = torch.Generator().manual_seed(seed)
        samples = len(dataset.train.x)
        held_out = recipe.training.validation
        if samples < 2:
            raise RecipeError(
                f"{dataset.source.description}: 1 sample to train with; at least 2 are needed, one "
                "of which is held out for validation. Add samples."
            )
        if not 0 < held_out < samples:
            raise RecipeError(
                f"training.validation: {held_out} samples of {samples}; between 1 and "
                f"{samples - 1} can be held out."
            )
        order = torch.randperm(samples, generator=self.generator).numpy()
        self.training_samples = order[held_out:]  # no copy of the data, which may be large
        self.validation = Split(
            dataset.train.x[order[:held_out]], dataset.train.y[order[:held_out]]
        )
        inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
        self.model = Network(recipe, inputs, classes, self.generator, dataset.input_scale).to(
            device
        )
        decay = recipe.training.averaging
        self.averaged = AveragedNetwork(self.model, decay) if decay else None
        self.optimizer = OPTIMIZERS[recipe.training.optimizer](
            self.model.parameters(), lr=recipe.training.learning_rate
        )
        self.epoch = 0
        self.skipped = 0
        self.best_loss = float("inf")
        self.best_epoch = 0
        self.best_state = copy.deepcopy(self.model.state_dict())
        self.reports: list[EpochReport] = []

    @classmethod
    def resumed(
        cls, dataset: Dataset, device: torch.device | None = None, out: str | Path = "model.pt"
    ) -> Trainer:
        """Read the state of a stopped run, as it was after its last finished epoch.

        Args:
            dataset: The data of that run.
            device: As of `Trainer`; of the same type as in that run.
            out: The model file of that run; the state is next to it.

        Returns:
            The run, ready to go on with `run`.

        Raises:
            CheckpointError: If there is no state, or the data or the device differ.
        """
        device, out = device or choose_device("auto"), Path(out)
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
        dataset = dataset.ordered_as(permutation_array(state.get("permutation")))
        if source.fingerprint != dataset.source.fingerprint:
            raise CheckpointError(
                f"{path}: was trained on {source.description}, but the data here is "
                f"{dataset.source.description}. Name the same --data, "
                "--unlabeled and --permutation, where they were given."
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
        if trainer.averaged:
            trainer.averaged.load_state_dict(state["averaged"])
        trainer.reports = [EpochReport(**report) for report in state["reports"]]
        return trainer

    @staticmethod
    def stored_task(out: Path) -> str:
        """The task of a stopped run.

        Args:
            out: The model file of that run; the state is next to it.

        Returns:
            The task's name, or the path of your own.

        Raises:
            CheckpointError: If there is no state, or it is damaged.
        """
        return _read_state(out)[0].task

    @property
    def kernel(self) -> str:
        """The kernel backend that training runs on."""
        families = [block.neuron.family for block in self.model.hidden_blocks]
        slow = dict.fromkeys(family.name for family in families if family.adjoint_step is None)
        fused = choose_backend(READOUT, self.device, torch.float32)
        return f"{fused}, reference for {', '.join(slow)} (no adjoint)" if slow else fused

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or the validation loss got no better for too long."""
        settings = self.recipe.training
        waited = self.epoch - self.best_epoch
        return self.epoch == settings.epochs or 0 < settings.patience <= waited

    @property
    def validated(self) -> Network:
        """The network that is measured and kept: the one in training, or its average."""
        return self.averaged.network if self.averaged else self.model

    def run(self, progress: Progress | None = None) -> None:
        """Train until the last epoch, or until `training.patience` ends the run.

        A KeyboardInterrupt passes through; the state of the last finished epoch is on disk.

        Args:
            progress: Called after each batch and epoch; None shows nothing.

        Raises:
            BrfLavaError: If a loss or a gradient is not finite, or a parameter leaves its range.
        """
        progress = progress or Progress()
        self._save_state()
        while not self.finished:
            report = self._run_epoch(progress)
            self.reports.append(report)
            self.epoch += 1
            self._save_state()
            if progress.on_epoch:
                progress.on_epoch(report)

    def checkpoint(self) -> Checkpoint:
        """The best model so far, measured on the test split."""
        dataset = self.dataset
        model = Network(
            self.recipe,
            dataset.train.x.shape[2],
            len(dataset.classes),
            input_scale=dataset.input_scale,
        )
        model.load_state_dict(self.best_state)
        metrics, activity = evaluate(model.to(self.device), dataset.test, self.device)
        return Checkpoint(
            recipe=self.recipe,
            seed=self.seed,
            origin="trained",
            inputs=dataset.train.x.shape[2],
            classes=dataset.classes,
            epoch=self.best_epoch,
            epochs_done=self.epoch,
            data=dataset.source,
            metrics=metrics,
            activity=activity,
            state_dict=self.best_state,
            versions=versions(),
            input_scale=dataset.input_scale,
            permutation=dataset.permutation,
        )

    def finish(self) -> Checkpoint:
        """Measure the model of the best epoch on the test half and write it to the model file.

        The state of a finished run is deleted.

        Returns:
            The model with its metrics.
        """
        checkpoint = self.checkpoint()
        save_checkpoint(checkpoint, self.out)
        if self.finished:
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
        samples = len(self.training_samples)
        order = self.training_samples[torch.randperm(samples, generator=self.generator).numpy()]
        batches = -(-samples // settings.batch_size)
        totals = np.zeros(4)  # loss, hits, what counted, spikes
        self.skipped = 0  # samples of batches that were left out
        for batch in range(batches):
            index = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
            totals += self._train_batch(index, batch)
            if progress.on_batch:
                progress.on_batch(self.epoch, batch + 1, batches)
        validation, _ = evaluate(self.validated, self.validation, self.device)
        best = validation.loss < self.best_loss
        if best:
            self.best_loss, self.best_epoch = validation.loss, self.epoch + 1
            self.best_state = copy.deepcopy(self.validated.state_dict())
        return EpochReport(
            epoch=self.epoch + 1,
            learning_rate=learning_rate,
            train_loss=float(totals[0] / (samples - self.skipped)),
            train_accuracy=float(totals[1] / max(totals[2], 1)),
            train_sops=float(totals[3] / (samples - self.skipped)),
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            validation_sops=validation.sops_per_sample,
            best=best,
            skipped=self.skipped,
            seconds=time.perf_counter() - started,
        )

    def _train_batch(
        self, index: NDArray[np.int64], batch: int
    ) -> tuple[float, float, float, float]:
        """One optimizer step on samples `index`.

        Returns their summed loss, hits, how many could have been hits, and hidden spikes. Where
        gradients are clipped, one that is not finite counts as one more to be cut: the batch is
        left out, as long as few are.
        """
        settings, model = self.recipe.training, self.model
        x, y = as_batch(self.dataset.train, index, self.device, model.input_scale)
        try:
            outputs, spikes = model(x)
        except ParameterError as error:  # a parameter that training took out of its range
            raise BrfLavaError(
                f"training: epoch {self.epoch + 1}, batch {batch + 1}: {error} Training took it "
                f"there: lower training.learning_rate (now {settings.learning_rate:g}), and start "
                "anew with --restart."
            ) from error
        loss = model.loss(outputs, y)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch 2.3
        value = float(loss.detach())
        largest = settings.clip_norm or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), largest))
        if not np.isfinite(value + norm):
            growing = model.growing_neurons()
            remedy = (
                f"{growing} hidden neurons grow without input, beyond the divergence boundary: "
                "raise neuron.b_offset, or lower neuron.omega"
                if growing
                else f"Lower training.learning_rate (now {settings.learning_rate:g})"
            )
            if settings.clip_norm and self.skipped < MOST_SKIPPED * len(self.training_samples):
                self.skipped += len(index)
                return 0.0, 0.0, 0.0, 0.0
            raise BrfLavaError(
                f"training: loss {value:g} with a gradient of norm {norm:g} in epoch "
                f"{self.epoch + 1}, batch {batch + 1}; both must be finite. {remedy}, and start "
                "anew with --restart."
            )
        self.optimizer.step()
        if self.averaged:
            self.averaged.update(model)
        with torch.no_grad():
            predicted = model.decision.predict(outputs.permute(2, 0, 1))
            hits, counted = model.decision.hits(predicted, y)
            sops = sum(float(layer.sum()) for layer in spikes)
        return value * len(index), hits, counted, sops

    def _save_state(self) -> None:
        state: dict[str, Any] = {
            "format": STATE_FORMAT,
            "schema": STATE_SCHEMA,
            "versions": versions(),
            "recipe": self.recipe.text,
            **own_neurons(self.recipe),
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
            "averaged": self.averaged.state_dict() if self.averaged else None,
            "permutation": permutation_tensor(self.dataset.permutation),
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
    return stored_recipe(state, path), state
