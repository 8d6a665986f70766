"""The loop over epochs. The whole training state is written after each of them.

A run that is stopped at any moment goes on from there and ends like one that was never stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from brf_lava.config.recipe import Recipe
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.permutation import permutation_from_seed
from brf_lava.errors import BrfLavaError, CheckpointError, DataError, ParameterError, RecipeError
from brf_lava.io.files import TORCH, Kind, write_bytes
from brf_lava.io.foreign import reading
from brf_lava.io.printable import brief
from brf_lava.io.world import World
from brf_lava.kernels.cpu import threads
from brf_lava.kernels.layer import choose_kernel
from brf_lava.neurons.families import READOUT
from brf_lava.tasks.registry import is_permuted
from brf_lava.train import checkpoint as stored
from brf_lava.train.checkpoint import Checkpoint, take_over
from brf_lava.train.metrics import (
    EpochReport,
    Progress,
    events_path,
    metrics_path,
    resume_path,
)
from brf_lava.train.model import (
    Network,
    as_batch,
    check_labels,
    choose_device,
    evaluate,
    forward_together,
    keeps_states,
)

LOGGER = logging.getLogger(__name__)
OTHER = {  # than those that the state was saved with
    "threads": "Notice: so far this training ran on %s threads (torch, numba), now on %s: its last "
    "bits will differ. Set OMP_NUM_THREADS and NUMBA_NUM_THREADS to avoid that.",
    "processes": "Notice: so far this training was shared by %s processes, now by %s: its last "
    "bits will differ.",
}
STATE_FORMAT = "brf-lava-training"
STATE_KIND = Kind("an interrupted training of brf-lava", TORCH, STATE_FORMAT)
METRICS_KIND = Kind("a metrics file of brf-lava", b"", '{"epoch": 1, ')
STATE = ("origin", "epoch", "best_loss", "best_epoch", "best_state")  # attributes of a trainer
MOST_SKIPPED = 0.1  # of the samples of an epoch may have no finite gradient

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


# Yields a batch's input [B, I, T], is sent what the network makes of it, and yields its loss.
Turns = Generator[Tensor, Any, None]


def check_outputs(out: Path, tensorboard: bool, overwrite: bool, resume: bool) -> None:
    """Find out before a training that it could not or must not write one of its files.

    An interrupted training in `out` is no finished one. Raises: BrfLavaError.
    """
    state, metrics = resume_path(out), metrics_path(out)
    if out.resolve() == metrics.resolve():
        raise ParameterError(f"{out}: is the metrics file, too. Name the model otherwise.")
    if not resume:  # which reads it, and says more
        STATE_KIND.check(state)
    METRICS_KIND.check(metrics)
    others = (metrics, events_path(out)) if tensorboard else (metrics,)
    stored.check_new(out, overwrite or resume or state.exists(), *others)


def in_order(dataset: Dataset, recipe: Recipe, seed: int) -> Dataset:
    """`dataset` with the steps of a permuted task in the seed's order, unless it has another."""
    if dataset.permutation is not None or not is_permuted(recipe.task):
        return dataset
    return dataset.permuted(permutation_from_seed(seed, dataset.train.x.shape[1]))


def averaged_network(network: Network, decay: float) -> AveragedModel:
    """A twin of a network, whose weights become the mean of those that updates show it.

    After n updates the weights of update i count in proportion to ``decay ** (n - i)``, and these
    shares add up to 1: what the network started with does not count. decay: per update, 0 to 1.
    """

    def mean(average: Tensor, weight: Tensor, updates: Tensor | int) -> Tensor:
        return average.lerp(weight, (1 - decay) / (1 - decay ** (int(updates) + 1)))

    return AveragedModel(network, avg_fn=mean)


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
        start: The trained network to start from, of `checkpoint.read_start`. It is kept if no epoch
            is better on the validation samples.
        memory: Bytes that the process may take on the CPU; None for all that is free. With little,
            states are computed again instead of kept, which changes no result.
        world: The processes that share the training: each has a part of every batch, gradients and
            metrics are added up, and the first one writes. It ends as with one process, but for the
            last bits of sums.

    Raises:
        RecipeError: If the recipe does not fit the data.
        CheckpointError: If the network does not fit the one to start from.
        DataError: If no label of a half counts.
        NotEnoughMemoryError: If a batch does not fit into memory.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        seed: int = 0,
        device: torch.device | None = None,
        out: str | Path = "model.pt",
        start: Checkpoint | None = None,
        memory: int | None = None,
        world: World | None = None,
    ) -> None:
        device, out = device or choose_device("auto"), Path(out)
        if start is not None and is_permuted(recipe.task):
            dataset = dataset.ordered_as(start.permutation)
        dataset = in_order(dataset, recipe, seed)
        training, train = recipe.training, dataset.train
        check_labels(recipe.decision, train)
        for half, split in (("training", train), ("test", dataset.test)):
            if not recipe.decision.counted(split.y).any():
                raise DataError(
                    f"{half} half: none of its {split.y.size} labels counts; nothing can be "
                    "learned or measured. Label it, or lower training.ignore_first."
                )
        samples, held_out = len(train.x), training.validation
        if held_out >= samples:
            allowed = f"set 1 to {samples - 1} to be" if samples > 1 else "add samples: one must be"
            raise RecipeError(
                f"training.validation: {held_out} samples of {samples}; {allowed} held out."
            )
        self.recipe, self.dataset, self.seed = recipe, dataset, seed
        self.device, self.out, self.world = device, out, world or World()
        self.generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(samples, generator=self.generator).numpy()
        self.training_samples = order[held_out:]  # no copy of the data, which may be large
        self.validation = Split(train.x[order[:held_out]], train.y[order[:held_out]])
        inputs, classes = train.x.shape[2], len(dataset.classes)
        self.recompute = False
        if device.type == "cpu":  # a card says so by itself
            OPTIMIZERS[training.optimizer]([torch.zeros(1)], lr=1)  # imports much, which counts
            batch = -(-min(training.batch_size, samples - held_out) // self.world.size)
            sizes = batch, train.x.shape[1], inputs, classes
            self.recompute = not keeps_states(recipe, *sizes, memory)
        model = Network(recipe, inputs, classes, self.generator, dataset.input_scale)
        for block in model.blocks:
            block.recompute = self.recompute
        self.origin = "trained" if start is None else take_over(model, start)
        self.model = model.to(device)
        self.best_loss, self.best_epoch = float("inf"), 0
        if start is not None:
            self.model.choose_states(train)
            self.best_loss = evaluate(self.model, self.validation, device)[0].loss
        decay = training.averaging
        self.averaged = averaged_network(self.model, decay) if decay else None
        parameters = self.model.parameters()
        self.optimizer = OPTIMIZERS[training.optimizer](parameters, lr=training.learning_rate)
        self.epoch = 0
        self.skipped = 0
        self.best_state = copy.deepcopy(self.model.state_dict())
        self.reports: list[EpochReport] = []

    @classmethod
    def resumed(
        cls,
        dataset: Dataset,
        device: torch.device | None = None,
        out: str | Path = "model.pt",
        memory: int | None = None,
        world: World | None = None,
    ) -> Trainer:
        """Read the state of a stopped run, as it was after its last finished epoch.

        Args:
            dataset: The data of that run.
            device: As of `Trainer`; of the same type as in that run.
            out: The model file of that run; the state is next to it.
            memory: As of `Trainer`.
            world: As of `Trainer`; it may have another size than in that run.

        Raises:
            CheckpointError: If there is no state, or the data or the device differ.
        """
        device, path = device or choose_device("auto"), resume_path(Path(out))
        recipe, state = _read_state(path)
        with reading(path, "a whole training state", CheckpointError, "Use --restart."):
            source = DataSource(**state["data"])
            dataset = dataset.ordered_as(stored.permutation_of(state))
            here, then = dataset.source, state["device"]
            if (source.fingerprint, then) != (here.fingerprint, device.type):
                raise CheckpointError(
                    f"{path}: was trained on {source.description} on {then}, not on "
                    f"{here.description} on {device.type}. Name the same --data, --unlabeled, "
                    "--permutation and --device."
                )
            trainer = cls(recipe, dataset, state["seed"], device, out, memory=memory, world=world)
            trainer.model.load_state_dict(state["model"])
            trainer.optimizer.load_state_dict(state["optimizer"])
            trainer.generator.set_state(state["generator"])
            vars(trainer).update({name: state[name] for name in STATE})
            if trainer.averaged:
                trainer.averaged.module.load_state_dict(state["averaged"]["network"])
                trainer.averaged.n_averaged.fill_(state["averaged"]["updates"])
            trainer.reports = [EpochReport(**report) for report in state["reports"]]
        used: dict[str, Any] = {"processes": trainer.world.size}
        used |= {"threads": threads()} if device.type == "cpu" else {}
        for name, now in used.items():
            before = brief(state.get(name, now))
            if before != brief(now):
                LOGGER.warning(OTHER[name], before, now)
        return trainer

    @property
    def kernel(self) -> str:
        """The kernel backend that training runs on."""
        families = [block.neuron.family for block in self.model.hidden_blocks]
        slow = dict.fromkeys(family.name for family in families if family.adjoint_step is None)
        fused = choose_kernel(READOUT, self.device, torch.float32)
        fused += ", which computes states again to save memory" * self.recompute
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
        return cast(Network, self.averaged.module) if self.averaged else self.model

    def run(self, progress: Progress | None = None) -> None:
        """Train until the last epoch, or until `training.patience` ends the run.

        A KeyboardInterrupt passes through; the state of the last finished epoch is on disk.

        Args:
            progress: Called after each batch and epoch; None shows nothing.

        Raises:
            BrfLavaError: If a loss or a gradient is not finite, or a parameter leaves its range.
        """
        run_together([self], progress)

    def checkpoint(self) -> Checkpoint:
        """The best model so far, measured on the test split."""
        return stored.measured(
            self.recipe,
            self.dataset,
            self.best_state,
            self.device,
            seed=self.seed,
            origin=self.origin,
            epoch=self.best_epoch,
            epochs_done=self.epoch,
        )

    def finish(self) -> Checkpoint:
        """Measure the best model on the test half and write it to the model file.

        The state of a finished run is deleted.
        """
        checkpoint = self.checkpoint()
        stored.save_checkpoint(checkpoint, self.out)
        if self.finished:
            resume_path(self.out).unlink(missing_ok=True)
        return checkpoint

    def _epoch(self, progress: Progress) -> Turns:
        """Ask, for each batch, to run the network on the yielded input, then for gradients."""
        started = time.perf_counter()
        settings = self.recipe.training
        left = 1 - self.epoch / settings.epochs if settings.schedule == "linear" else 1.0
        learning_rate = settings.learning_rate * left
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        samples = len(self.training_samples)
        order = self.training_samples[torch.randperm(samples, generator=self.generator).numpy()]
        batches = np.split(order, range(settings.batch_size, samples, settings.batch_size))
        totals = np.zeros(4)  # loss, hits, what counted, spikes
        self.skipped = 0  # samples of batches that were left out
        with ThreadPoolExecutor(1) as loader:  # of the batch after the one in the kernel
            loads = [loader.submit(self._load, batches[0])]
            for batch, index in enumerate(batches, start=1):
                loads += [loader.submit(self._load, each) for each in batches[batch : batch + 1]]
                totals += yield from self._train_batch(index, batch, *loads.pop(0).result())
                progress.on_batch(self.epoch, batch, len(batches))
        counts = torch.from_numpy(totals[1:]).to(self.device)
        totals[1:] = self.world.add(counts).cpu()
        validation, _ = evaluate(self.validated, self.validation, self.device, self.world)
        best = validation.loss < self.best_loss
        if best:
            self.best_loss, self.best_epoch = validation.loss, self.epoch + 1
            self.best_state = copy.deepcopy(self.validated.state_dict())
        report = EpochReport(
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
        self.reports.append(report)
        self.epoch += 1
        self._save_state()
        progress.on_epoch(report)

    def _load(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Of a batch what this process takes: without a sample, one that does not count."""
        own = self.world.share(index)
        taken = own if len(own) else index[:1]
        return as_batch(self.dataset.train, taken, self.device, self.model.input_scale)

    def _train_batch(
        self, index: NDArray[np.int64], batch: int, x: Tensor, y: Tensor
    ) -> Generator[Tensor, Any, tuple[float, float, float, float]]:
        """One optimizer step. Returns summed loss, hits, what could have been hits, and spikes.

        Where gradients are clipped, a batch without a finite one is left out, as long as few are.
        """
        settings, model = self.recipe.training, self.model
        where = f"training: seed {self.seed}, epoch {self.epoch + 1}, batch {batch}"
        remedy = f"Lower training.learning_rate (now {settings.learning_rate:g})"
        part = len(self.world.share(index)) / len(index)
        try:
            if batch == 1:
                model.choose_states(self.dataset.train)
            outputs, spikes = yield x
        except ParameterError as error:  # a parameter that training took out of its range
            raise BrfLavaError(f"{where}: {error} {remedy}, and use --restart.") from error
        loss = model.loss(outputs, y) * part
        self.optimizer.zero_grad()
        yield loss
        value = self._add_gradients(loss.detach())
        largest = settings.clip_norm or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), largest))
        if not np.isfinite(value + norm):
            if settings.clip_norm and self.skipped < MOST_SKIPPED * len(self.training_samples):
                self.skipped += len(index)
                return 0.0, 0.0, 0.0, 0.0
            if growing := model.growing_neurons():
                remedy = (
                    f"{growing} hidden neurons grow without input, beyond the divergence boundary: "
                    "raise neuron.b_offset, or lower neuron.omega"
                )
            raise BrfLavaError(
                f"{where}: loss {value:g} with a gradient of norm {norm:g}; both must be finite. "
                f"{remedy}, and use --restart."
            )
        self.optimizer.step()
        if self.averaged:
            self.averaged.update_parameters(model)
        with torch.no_grad():
            predicted = model.decision.predict(outputs.permute(2, 0, 1))
            hits, counted = model.decision.hits(predicted, y)
            sops = sum(float(layer.sum()) for layer in spikes)
        if not part:
            hits, counted, sops = 0, 0, 0.0
        return value * len(index), hits, counted, sops

    def _add_gradients(self, loss: Tensor) -> float:
        """Add up the gradients of all processes, and return the sum of their losses."""
        if self.world.size > 1:
            gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
            flat = torch.cat([loss.reshape(1), *(each.flatten() for each in gradients)])
            sizes = [1, *(each.numel() for each in gradients)]
            loss, *parts = torch.split(self.world.add(flat), sizes)
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        return float(loss)

    def _save_state(self) -> None:
        if self.world.rank:
            return
        dataset, averaged = self.dataset, self.averaged
        state: dict[str, Any] = {
            **stored.header(STATE_FORMAT, self.recipe, dataset.source, dataset.permutation),
            **{name: getattr(self, name) for name in STATE},
            "seed": self.seed,
            "device": self.device.type,
            "threads": threads(),
            "processes": self.world.size,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "averaged": averaged
            and {"network": averaged.module.state_dict(), "updates": int(averaged.n_averaged)},
            "reports": [asdict(report) for report in self.reports],
        }
        stored.write_archive(state, resume_path(self.out), STATE_KIND)
        lines = [json.dumps(asdict(report)) + "\n" for report in self.reports]
        write_bytes(metrics_path(self.out), "".join(lines).encode(), METRICS_KIND)


def together(trainers: Sequence[Trainer]) -> list[list[Trainer]]:
    """Trainers of one recipe and data in groups that train at once: all, or each alone.

    If there are several, all write their states now: each can be resumed, whenever that ends.
    """
    first = trainers[0]
    for trainer in trainers if len(trainers) > 1 else ():
        trainer._save_state()
    if first.kernel == "cuda" and not first.recipe.training.weight_bits:
        return [list(trainers)]
    return [[trainer] for trainer in trainers]


def run_together(trainers: Sequence[Trainer], progress: Progress | None = None) -> None:
    """`Trainer.run` of a group from `together`, batch by batch; each ends as if it ran alone.

    progress: Of the first that is not finished. Raises: the first error; all can be resumed alone.
    """
    trainers[0].world.gather(None)  # all have read what is written now
    for trainer in trainers:
        trainer._save_state()
    while running := [trainer for trainer in trainers if not trainer.finished]:
        epochs = [running[0]._epoch(progress or Progress())]
        epochs += [trainer._epoch(Progress()) for trainer in running[1:]]
        while inputs := [x for epoch in epochs if (x := next(epoch, None)) is not None]:
            try:
                results = forward_together([each.model for each in running], inputs)
            except ParameterError as error:
                if len(epochs) == 1:
                    epochs[0].throw(error)  # which says where
                raise
            losses = [epoch.send(each) for epoch, each in zip(epochs, results, strict=True)]
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            del results, losses  # or this batch's states would stay until the next one has its own


def stored_task(out: Path) -> str:
    """The task of a stopped run. Raises: CheckpointError as `Trainer.resumed`."""
    return _read_state(resume_path(out))[0].task


def _read_state(path: Path) -> tuple[Recipe, dict[str, Any]]:
    if not path.exists():
        raise CheckpointError(
            f"{path}: no training state to resume. Name the --out of the run that was stopped."
        )
    state = stored.read_archive(path, STATE_FORMAT)
    return stored.stored_recipe(state, path), state
