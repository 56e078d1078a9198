"""Training an ensemble: checks, chunks, and what to do when memory is out."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpaudit.ensemble import losses
from dpaudit.ensemble.canary import GradientCanary
from dpaudit.ensemble.chunk import Chunk, Record, train_chunk
from dpaudit.ensemble.injected import Injected
from dpaudit.ensemble.pool import Pool
from dpaudit.ensemble.products import aligned
from dpaudit.ensemble.sampling import Shuffle
from dpaudit.ensemble.stack import Stack
from dpaudit.ensemble.steps import Steps
from dpaudit.ensemble.streams import Streams, as_seeds
from dpaudit.ensemble.task import Task
from dpaudit.ensemble.trained import Trained, Transcript
from dpaudit.ensemble.training import Training
from dpaudit.ensemble.tuning import chunk_size, is_memory
from dpaudit.errors import UsageError
from dpaudit.trials.seeding import one_torch_thread


@dataclass(frozen=True, eq=False)
class Ensemble:
    """M independent trainings, checked and ready.

    Args:
        model: an ``nn.Sequential`` of supported layers, or a `Stack`.
        pool: the records.
        present: (M, n) bool; model m trains on ``pool[present[m]]``.
        training: the settings, the same for all.
        seeds: (M,) integers; masks and noise of a model come from its own alone.
        start: (P,) shared or (M, P) own flat parameters, a module, or None for the start of `model`.
        device: "cpu", "cuda", ...
        steps: hooks for planted faults.
        canary: a gradient canary.
        injected: masks and noise given instead of drawn.
        directions: (K, P) for a transcript, or (T, K, P), those of each step.
        compiled: False: torch draws the streams even where numba could; the numbers are the same to float rounding.

    Raises:
        UsageError: something does not fit; says what.
    """

    model: nn.Module | Stack
    pool: Pool
    present: Any
    training: Training
    seeds: Any
    start: Any = None
    device: str | torch.device = "cpu"
    steps: Steps = field(default_factory=Steps)
    canary: GradientCanary | None = None
    injected: Injected | None = None
    directions: Any = None
    compiled: bool | None = None

    def __post_init__(self) -> None:
        own = object.__setattr__
        own(self, "model", Stack.of(self.model))
        own(self, "device", torch.device(self.device))
        own(self, "seeds", as_seeds(self.seeds))
        own(self, "present", torch.as_tensor(self.present))
        models, size, n = len(self.seeds), self.stack.size, len(self.pool)
        if self.present.dtype != torch.bool or tuple(self.present.shape) != (models, n):
            got = f"{self.present.dtype} {tuple(self.present.shape)}"
            raise UsageError("present records", allowed=f"bool of shape ({models}, {n}): seeds x records", got=got)
        self.stack.check(self.pool.x)
        losses.check(self.training.loss, self.pool, self.stack.outputs(self.pool.features))
        own(self, "start", _start(self.start, self.stack, models))
        if self.directions is not None:
            own(self, "directions", _directions(self.directions))
            shape = tuple(self.directions.shape)
            if shape[-1] != size or not (len(shape) == 2 or (len(shape) == 3 and shape[0] == self.training.steps)):
                allowed = f"shape (K, {size}) or ({self.training.steps}, K, {size})"
                raise UsageError("directions", allowed=allowed, got=shape)
        if self.canary is not None:
            self.canary.check(models, size, self.training.steps)
            if isinstance(self.training.sampling, Shuffle) and self.injected is None:
                raise UsageError("gradient canary with Shuffle", allowed="Poisson(rate) or FullBatch()")
        if self.injected is not None:
            self.injected.check(self.present, self.training.steps, size, self.canary is not None)

    @property
    def stack(self) -> Stack:
        """The layers."""
        return Stack.of(self.model)

    def train(self, chunk: int | None = None) -> Iterator[Trained]:
        """Trains chunk after chunk; nothing of a chunk is held once it was yielded.

        Args:
            chunk: models at once; None: as measurement says. It changes no result.
        """
        if chunk is not None and chunk < 1:
            raise UsageError("chunk", allowed="an integer of at least 1, or None", got=chunk)
        device = torch.device(self.device)
        with one_torch_thread(), torch.no_grad():
            task = Task.of(self.stack, self.pool, self.training, self.steps, device, self.directions, self.compiled)
            models = len(self.seeds)
            size = min(chunk, models) if chunk else chunk_size(task, models, lambda s: self.present[s].to(device))
        done = 0
        while done < models:
            part = slice(done, min(done + size, models))
            try:
                with one_torch_thread(), torch.no_grad():
                    made = self._part(task, part, device)
            except (MemoryError, RuntimeError) as error:
                if not is_memory(error) or size == 1:
                    raise
                halved = max(1, size // 2)
                warnings.warn(f"out of memory with {size} models at once: going on with {halved}", stacklevel=2)
                size = halved
                continue
            done = part.stop
            yield made

    def _part(self, task: Task, models: slice, device: torch.device) -> Trained:
        start = self.start if self.start.ndim == 1 else self.start[models]
        chunk = Chunk(
            present=self.present[models].to(device),
            streams=Streams(self.seeds[models], device, self.compiled),
            parameters=aligned(models.stop - models.start, self.stack.size, device).copy_(start),
            canary=None if self.canary is None else self.canary.part(models, device),
            injected=None if self.injected is None else self.injected.part(models, device),
        )
        record = train_chunk(task, chunk)
        return Trained(chunk.parameters.cpu(), models, None if record is None else _transcript(record))


def train(
    model: nn.Module | Stack,
    pool: Pool,
    present: Any,
    training: Training,
    seeds: Any,
    *,
    start: Any = None,
    device: str | torch.device = "cpu",
    chunk: int | None = None,
    steps: Steps | None = None,
    canary: GradientCanary | None = None,
    injected: Injected | None = None,
    directions: Any = None,
    compiled: bool | None = None,
) -> Trained:
    """All models of an `Ensemble`, whose arguments these are, in one result.

    Returns:
        parameters (M, P), and the transcript if directions were given.
    """
    ensemble = Ensemble(
        model,
        pool,
        present,
        training,
        seeds,
        start=start,
        device=device,
        steps=steps or Steps(),
        canary=canary,
        injected=injected,
        directions=directions,
        compiled=compiled,
    )
    parameters = torch.empty(len(ensemble.seeds), ensemble.stack.size)
    seen: list[Transcript] = []
    for part in ensemble.train(chunk):
        parameters[part.models] = part.parameters
        if part.transcript is not None:
            seen.append(part.transcript)
    transcript = None
    if seen:
        transcript = Transcript(torch.cat([t.projections for t in seen]), torch.cat([t.sizes for t in seen]))
    return Trained(parameters, slice(0, len(parameters)), transcript)


def _directions(given: Any) -> Tensor:
    """(K, P) or (T, K, P), a single one as (1, P)."""
    tensor = torch.as_tensor(given).detach().float()
    return tensor[None] if tensor.ndim == 1 else tensor


def _transcript(record: Record) -> Transcript:
    return Transcript(record.projections.cpu(), record.sizes.cpu())


def _start(start: Any, stack: Stack, models: int) -> Tensor:
    """(P,) or (M, P) float32 on the CPU."""
    if start is None:
        return stack.start
    if isinstance(start, nn.Module):
        start = torch.cat([tensor.detach().reshape(-1).cpu() for tensor in start.parameters()])
    tensor = torch.as_tensor(np.asarray(start) if isinstance(start, list) else start).detach().float().cpu()
    if tuple(tensor.shape) not in ((stack.size,), (models, stack.size)):
        raise UsageError(
            "start of the models",
            allowed=f"({stack.size},) shared or ({models}, {stack.size}) own parameters",
            got=tuple(tensor.shape),
        )
    return tensor
