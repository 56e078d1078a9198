"""Shadow models trained together by the ensemble engine."""

import os
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dpaudit.digest import digest_of
from dpaudit.ensemble import Ensemble, Pool, Stack, Steps, Training, train
from dpaudit.ensemble.models import Models
from dpaudit.errors import UsageError
from dpaudit.membership.augmentations import Augmentation
from dpaudit.membership.making import Told, as_array, check_members, run_all, spawn_seeds
from dpaudit.membership.masks import disjoint_masks, fixed_size_masks, half_masks
from dpaudit.membership.reading import query_of, read
from dpaudit.membership.signals import Signals
from dpaudit.membership.spreading import WORTH
from dpaudit.source import stable_repr

__all__ = ["Shadows", "disjoint_masks", "fixed_size_masks", "half_masks"]


@dataclass(frozen=True, eq=False, repr=False)
class Shadows:
    """M models of one architecture, each trained on records of its own out of a common pool.

    Args:
        model: an ``nn.Sequential`` of the ensemble's layers.
        training: the same for all; ``clip=None`` is plain training. Its divisor is the expected batch size, for
            Poisson sampling and full batches computed from the mean number of records of a model unless
            `Training` declares one.
        x: (R, ...) records, array or tensor.
        y: (R,) labels, or (R, C) soft labels.
        members: (M, R) bool, such as `half_masks` gives.
        seeds: (M,) distinct whole numbers in [0, 2^64), or one from which they are drawn. Start, batches and noise of
            a model come from its own seed alone.
        start: "per trial": fresh weights for each model; "fixed": all start from the weights of `model`.
        population: (R,) bool; records of reference that are in no model.
        hooks: `dpaudit.ensemble.Steps`, for anything else that a training does, such as weight decay.
        device: "cpu", "cuda", ...

    Raises:
        UsageError: masks that do not fit, a model without records, a model that the ensemble does not know.
    """

    model: nn.Module
    training: Training
    x: Any
    y: Any
    members: NDArray[np.bool_]
    seeds: Any
    start: Literal["per trial", "fixed"] = "per trial"
    population: NDArray[np.bool_] | None = None
    hooks: Steps = field(default_factory=Steps)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.start not in ("per trial", "fixed"):
            raise UsageError("start", allowed="'per trial', 'fixed'", got=self.start)
        own = object.__setattr__
        own(self, "x", as_array(self.x))
        own(self, "y", as_array(self.y))
        if len(self.y) != len(self.x):
            raise UsageError("labels", allowed=f"one for each of {len(self.x)} records", got=f"{len(self.y)} of them")
        own(self, "members", check_members(self.members, len(self.x), self.population))
        own(self, "seeds", spawn_seeds(self.seeds, len(self.members)))
        own(self, "population", None if self.population is None else np.asarray(self.population))
        job = self._job()  # refuses a model, records or labels that do not fit, before anything is trained
        Ensemble(job.model, Pool(job.x, job.y), torch.from_numpy(job.members[:1]), job.training, self.seeds[:1])

    @property
    def models(self) -> int:
        """M."""
        return len(self.members)

    @property
    def fingerprint(self) -> dict[str, str]:
        """Digests of all that decides what the models are, by what it is."""
        job, right = self._job(), Steps()
        hooks = {f.name: getattr(self.hooks, f.name) for f in fields(Steps)}
        replaced = {n: stable_repr(made) for n, made in hooks.items() if made is not getattr(right, n)}
        weights = self.model if self.start == "fixed" else None  # fresh ones depend on the architecture and the seed
        return {
            "data": digest_of((job.x, job.y)),
            "masks": digest_of(job.members),
            "model": digest_of((str(self.model), weights)),
            "training": digest_of((repr(job.training), replaced, self.start)),
            "seeds": digest_of(self.seeds),
        }

    def train(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        workers: int | None = None,
        executor: Executor | str | None = None,
        chunk: int | None = None,
        progress: Told | None = None,
    ) -> NDArray[np.float32]:
        """Trains all models that `store` does not have yet.

        Args:
            store: folder that keeps what is done; a run that ended early goes on there. None: nothing is kept.
            workers: processes; 0: this one; None: as many as cores, once it takes more than seconds.
            executor: the user's own instead; "ray": as in `dpa.Audit`.
            chunk: the most models in one part. No result depends on workers or chunk.
            progress: told (done, total) after each part.

        Returns:
            (M, P) parameters, flat in the order of ``model.parameters()``.

        Raises:
            UsageError: `store` has other models.
        """
        if chunk is not None and chunk < 1:
            raise UsageError("chunk", allowed="an integer of at least 1, or None", got=chunk)
        job, on_cpu = self._job(), torch.device(self.device).type == "cpu"
        if not on_cpu and workers is None:
            workers = 0  # one process keeps a GPU busy
        most = chunk or (64 if on_cpu else 1024)
        given = (self.fingerprint, store, workers, executor, most, progress)
        found = run_all(job, self.models, *given, begin_here=lambda models: models * job.seconds_each() < WORTH)
        return np.asarray(found["parameters"], dtype=np.float32)

    def signals(
        self,
        parameters: NDArray[np.float32] | None = None,
        x: Any = None,
        y: Any = None,
        members: NDArray[np.bool_] | None = None,
        *,
        population: NDArray[np.bool_] | None = None,
        store: str | os.PathLike[str] | None = None,
        augment: Augmentation | None = None,
        outputs: bool = False,
        non_finite: Literal["refuse", "least"] = "refuse",
        workers: int | None = None,
        executor: Executor | str | None = None,
        progress: Told | None = None,
    ) -> Signals:
        """What the models say about records; by default about those they were trained on, and the population.

        Args:
            parameters: (T, P) of the models; None: those of `train` with this `store`.
            x: (R', ...) other records to ask about; then `y` and `members` belong to them, and `population`.
            y: (R',) their labels.
            members: (T, R') which model was trained on which of them.
            population: (R',) bool.
            store: as for `train`.
            augment: further versions to ask about.
            outputs: whether the logits are kept.
            non_finite: as for `Signals`, of models whose training diverged.
            workers: as for `train`.
            executor: as for `train`.
            progress: told (done, total) of the models asked.

        Raises:
            UsageError: records, labels and masks that do not fit; non-finite answers.
        """
        if x is None and (members is not None or population is not None):
            raise UsageError("members and population of other records", allowed="with x= and y=", remedy="x=, y=")
        if x is not None and (y is None or members is None):
            raise UsageError("other records", allowed="x=, y= and members= together", got="x= without the others")
        labels = as_array(self.y if y is None else y)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise UsageError(
                "labels to ask about",
                allowed="(R,) whole numbers",
                got=f"{labels.dtype} {labels.shape}",
                remedy="x=, y=, members= with hard labels, where training had soft ones",
            )
        if parameters is None:
            parameters = self.train(store, workers=workers, executor=executor)
        if x is None:
            x, members, population = self.x, self.members, self.population
        reading = _Reading(
            self._models(), np.asarray(parameters), as_array(x), labels.astype(np.int64), augment, outputs
        )
        found = run_all(reading, len(parameters), {}, None, workers, executor, 16, progress)
        return Signals(
            **found, members=np.asarray(members), labels=reading.y, population=population, non_finite=non_finite
        )

    def module(self, parameters: NDArray[np.float32]) -> nn.Module:
        """A module of its own with the parameters (P,) of one model."""
        return self._models().module(torch.from_numpy(np.array(parameters, dtype=np.float32)))

    def _models(self) -> Models:
        return Models(self.model, Stack.of(self.model))

    def _job(self) -> "_Trainings":
        used = self.members.any(axis=0)  # what nobody trains on needs not travel
        training = self.training
        if training.divisor is None and training.declared_size is None:
            training = replace(training, declared_size=max(1, round(float(self.members.sum(axis=1).mean()))))
        pool = (self.x[used], self.y[used], np.ascontiguousarray(self.members[:, used]))
        return _Trainings(self.model, training, *pool, self.seeds, self.start == "per trial", self.hooks, self.device)

    def __repr__(self) -> str:
        return f"Shadows({self.models} models, {len(self.x)} records, {self.training!r}, start={self.start!r})"


@dataclass(frozen=True, eq=False)
class _Trainings:
    model: nn.Module
    training: Training
    x: NDArray[Any]
    y: NDArray[Any]
    members: NDArray[np.bool_]
    seeds: NDArray[np.uint64]
    fresh: bool
    hooks: Steps
    device: str

    def run(self, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        stack, seeds = Stack.of(self.model), self.seeds[models]
        start = Models(self.model, stack).fresh([int(seed) for seed in seeds]) if self.fresh else stack.start
        present = torch.from_numpy(self.members[models])
        pool = Pool(self.x, self.y)
        made = train(stack, pool, present, self.training, seeds, start=start, device=self.device, steps=self.hooks)
        return {"parameters": made.parameters.numpy()}

    def seconds_each(self) -> float:
        """About how long one model takes on an idle core, from a few steps of two models."""
        two, steps = np.arange(min(2, len(self.seeds))), self.training.steps
        few = min(5, steps)

        def seconds(count: int) -> float:
            probe = replace(self, training=replace(self.training, steps=count))
            began = time.thread_time()  # what others do to the machine does not count
            probe.run(two)
            return time.thread_time() - began

        seconds(few)  # what only the first time takes
        once = seconds(1)
        each = (seconds(few) - once) / (few - 1) if few > 1 else 0.0
        return (once + max(each, 0.0) * (steps - 1)) / len(two)


@dataclass(frozen=True, eq=False)
class _Reading:
    models: Models
    parameters: NDArray[np.float32]
    x: NDArray[Any]
    y: NDArray[np.int64]
    augment: Augmentation | None
    outputs: bool

    def run(self, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        said = [self._one(self.parameters[model]) for model in models]
        return {name: np.stack([one[name] for one in said]) for name in said[0]}

    def _one(self, parameters: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        module = self.models.module(torch.from_numpy(np.array(parameters, dtype=np.float32)))
        # oneDNN's convolutions are 2.5 times as fast with channels last (Ye's CNN, one core)
        query, answers = query_of(module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        return read(query, self.x, self.y, answers=answers, augment=self.augment, outputs=self.outputs)
