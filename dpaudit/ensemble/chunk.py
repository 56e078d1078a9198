"""DP-SGD for the models of one chunk, from the first step to the last."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.batch import Batch
from dpaudit.ensemble.canary import GradientCanary
from dpaudit.ensemble.gradients import sum_gradients
from dpaudit.ensemble.injected import Injected
from dpaudit.ensemble.products import aligned
from dpaudit.ensemble.sampling import Poisson
from dpaudit.ensemble.scratch import Scratch
from dpaudit.ensemble.steps import Moment, Steps
from dpaudit.ensemble.streams import Purpose, Streams
from dpaudit.ensemble.task import Task


@dataclass(frozen=True, eq=False)
class Chunk:
    """The models that are trained together. All tensors on the device, one row a model.

    Attributes:
        present: (M, n) bool.
        streams: their random numbers.
        parameters: (M, P), the starts, in `aligned` memory; trained in place.
    """

    present: Tensor
    streams: Streams
    parameters: Tensor
    canary: GradientCanary | None = None
    injected: Injected | None = None


@dataclass(frozen=True, eq=False)
class Record:
    """What a chunk tells beside its parameters: (M, T, K) projections of the noised sums, (M, T) batch sizes."""

    projections: Tensor
    sizes: Tensor


def train_chunk(task: Task, chunk: Chunk, last: int | None = None) -> Record | None:
    """Trains ``chunk.parameters`` in place.

    Args:
        task: what is common to all chunks.
        chunk: the models.
        last: stop after so many steps (to measure); None: all.
    """
    device, steps, training = chunk.parameters.device, task.steps, task.training
    models, count = len(chunk.parameters), training.steps if last is None else last
    moment = Moment(
        training, chunk.present, chunk.streams, task.leaves, task.groups.bounds, task.divisor, chunk.parameters
    )
    scratch = Scratch(device)
    weights, total = task.stack.views(chunk.parameters), aligned(models, task.leaves.size, device)
    sums = task.stack.views(total)
    told = task.directions is not None
    record = None
    if task.directions is not None:
        shape = (models, count, task.directions.shape[-2])
        record = Record(torch.empty(shape, device=device), torch.empty(shape[:2], dtype=torch.int64, device=device))
    for step in range(count):
        moment.step, moment.clipped = step, None
        mask = steps.sample(moment) if chunk.injected is None else chunk.injected.masks[:, step]
        batch = Batch.of(mask, task.stack.quantum, task.stack.narrowest)
        moment.sizes, moment.valid = batch.sizes, batch.valid
        sum_gradients(task, moment, batch, weights, sums, scratch)
        if chunk.canary is not None:
            _add_canary(task, moment, chunk.canary, chunk.injected, total)
        noised = _noised(task, moment, chunk.injected, total)
        if told and record is not None and task.directions is not None:
            directions = task.directions if task.directions.ndim == 2 else task.directions[step]
            record.projections[:, step] = noised @ directions.T
            record.sizes[:, step] = batch.sizes
        steps.update(moment, steps.divide(moment, noised))
    return record


def _add_canary(task: Task, moment: Moment, canary: GradientCanary, injected: Injected | None, total: Tensor) -> None:
    """Adds the clipped canary gradient for the models that drew it; a model that did not is left as it is."""
    drawn = canary.included
    if injected is not None and injected.canary is not None:
        drawn = drawn & injected.canary[:, moment.step]
    elif isinstance(task.training.sampling, Poisson):
        rate = task.training.sampling.rate
        drawn = drawn & moment.streams.coins(moment.step, Purpose.CANARY, rate, 1)[:, 0].to(drawn.device)
    gradient = canary.at(moment.step)
    if task.groups.bounds:
        moment.valid = drawn[:, None]
        norms = task.groups.vector_norms(gradient, task.stack.lengths)
        given = task.steps.factors(moment, norms)[:, :, 0]
        parts = torch.split(gradient, list(task.stack.lengths), dim=1)
        own = [part * given[:, group, None] for part, group in zip(parts, task.groups.of_tensor, strict=True)]
        gradient = torch.cat(own, dim=1)
    total.add_(torch.where(drawn[:, None], gradient, 0.0))


def _noised(task: Task, moment: Moment, injected: Injected | None, total: Tensor) -> Tensor:
    """The noised sum, in place of the sum where nothing else is asked for."""
    std, steps = task.training.noise_std, task.steps
    if steps != _RIGHT:
        moment.clipped = total.clone()
    if injected is not None:
        return steps.privatise(moment, total, injected.noise[:, moment.step])
    if not steps.plain_noise:
        return steps.privatise(moment, total, steps.normals(moment))
    return moment.streams.add_normals(total, moment.step, task.leaves, std) if std > 0.0 else total


_RIGHT = Steps()
