"""The steps of DP-SGD, each of which a planted fault can replace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble import optimizers
from dpaudit.ensemble.clipping import clip_factors
from dpaudit.ensemble.sampling import FullBatch, Poisson, Shuffle
from dpaudit.ensemble.shuffling import Orders
from dpaudit.ensemble.streams import Leaves, Purpose, Streams
from dpaudit.ensemble.training import Training


@dataclass
class Moment:
    """What is known while one step of a chunk of models is taken; handed to every function of `Steps`.

    Attributes:
        training: the settings.
        present: (M, n) bool.
        streams: every model's own random numbers.
        leaves: where each parameter tensor lies in the flat (P,) parameters.
        bounds: largest norms of the clip groups; () without clipping.
        divisor: the public one.
        step: from 0.
        parameters: (M, P), before the update.
        sizes: (M,) actual batch sizes, set once batches are drawn (a gradient canary is not counted).
        valid: (M, W) bool, false on the padding of the batch whose `factors` are asked for: a fault that looks across
            records must leave padding out.
        clipped: (M, P), the sum before noise; None except in steps that come after it, and only where `Steps`
            replaces one of them.
        memory: what a fault wants to keep from step to step, of this chunk.
    """

    training: Training
    present: Tensor
    streams: Streams
    leaves: Leaves
    bounds: tuple[float, ...]
    divisor: float
    parameters: Tensor
    step: int = 0
    sizes: Tensor = field(default_factory=lambda: torch.empty(0))
    valid: Tensor = field(default_factory=lambda: torch.empty(0))
    clipped: Tensor | None = None
    memory: dict[Any, Any] = field(default_factory=dict)


def sample(moment: Moment) -> Tensor:
    """(M, n) bool: the batch of each model, out of its present records."""
    match moment.training.sampling:
        case Poisson(rate):
            coins = moment.streams.coins(moment.step, Purpose.BATCH, rate, moment.present.shape[1])
            return coins.to(moment.present.device) & moment.present
        case Shuffle(batch):
            orders: Orders = moment.memory.setdefault("orders", Orders())
            return orders.batch(moment.streams, moment.present, moment.step, batch)
        case FullBatch():
            return moment.present


def factors(moment: Moment, norms: Tensor) -> Tensor:
    """(M, G, W): what each record's gradient is multiplied with, from its norms (M, G, W) in each clip group.

    Not asked for in plain training. What it says about padding does not matter. A gradient canary is asked for by
    itself, as a batch of one.
    """
    return clip_factors(norms, moment.bounds)


def normals(moment: Moment) -> Tensor:
    """(M, P) standard normals of this step."""
    return moment.streams.normals(moment.step, moment.leaves)


def privatise(moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
    """(M, P): the clipped sum with noise of standard deviation noise_multiplier * C. May overwrite `clipped`."""
    return clipped.add_(noise, alpha=moment.training.noise_std)


def divide(moment: Moment, noised: Tensor) -> Tensor:
    """(M, P): the gradient for the optimizer. May overwrite `noised`."""
    return noised.div_(moment.divisor)


def update(moment: Moment, gradient: Tensor) -> None:
    """Changes ``moment.parameters`` in place."""
    training = moment.training
    optimizers.apply(training.optimizer, training.learning_rate, moment.parameters, gradient, moment.memory)


@dataclass(frozen=True)
class Steps:
    """The functions that make up a step, in order; the defaults are right DP-SGD.

    A planted fault is ``Steps(divide=its_own)``. Every function sees all models of a chunk at once and must treat
    them alike, each by its own row.
    """

    sample: Callable[[Moment], Tensor] = sample
    factors: Callable[[Moment, Tensor], Tensor] = factors
    normals: Callable[[Moment], Tensor] = normals
    privatise: Callable[[Moment, Tensor, Tensor], Tensor] = privatise
    divide: Callable[[Moment, Tensor], Tensor] = divide
    update: Callable[[Moment, Tensor], None] = update

    @property
    def plain_noise(self) -> bool:
        """Whether noise may be added where the sum stands, with no tensor of normals in between."""
        return self.normals is normals and self.privatise is privatise
