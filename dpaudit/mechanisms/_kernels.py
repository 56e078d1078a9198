"""The two engines behind one call, and which of them can train what."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from dpaudit.ensemble import (
    SGD,
    Adam,
    FullBatch,
    GradientCanary,
    Injected,
    Poisson,
    Pool,
    Stack,
    Steps,
    Training,
    train,
)
from dpaudit.ensemble.layers import Flatten, Linear, ReLU, Tanh
from dpaudit.ensemble.streams import compiled

__all__ = ["Kernel", "Made", "fits_fused", "train_fused", "train_torch"]

Kernel = Literal["torch", "fused"]


@dataclass(frozen=True, eq=False)
class Made:
    """What a kernel made: (M, P) parameters and, where directions were given, (M, T, K) projections."""

    parameters: Tensor
    projections: Tensor | None = None


@dataclass(frozen=True)
class _Linears:
    """A stack of linear layers as the fused kernel knows it."""

    sizes: tuple[int, ...]
    activation: str | None
    bias: bool


def fits_fused(stack: Stack, training: Training, hooks: Steps, device: str) -> Literal[True] | str:
    """True if the fused kernel can do this training, else the reason why not."""
    if hooks != Steps():
        return "the fused kernel has no hooks"
    if device != "cpu":
        return f"the fused kernel runs on the CPU, not on {device}"
    if compiled() is None:
        return "the fused kernel needs numba"
    from dpaudit.ensemble import fused

    form = _linears(stack)
    if isinstance(form, str):
        return form
    clip = training.clip
    return fused.applies(
        form.sizes,
        form.activation,
        sampling=_sampling(training),
        loss=training.loss,
        optimizer="sgd" if isinstance(training.optimizer, SGD) else "adam",
        clips=0 if clip is None else len(clip) if isinstance(clip, tuple) else 1,
    )


def train_fused(
    stack: Stack,
    pool: Pool,
    present: Tensor,
    training: Training,
    seeds: Any,
    start: Tensor,
    injected: Injected | None = None,
    canary: GradientCanary | None = None,
    directions: Tensor | None = None,
) -> Made:
    """Only where `fits_fused`. The arguments are those of `dpaudit.ensemble.train`."""
    import torch

    from dpaudit.ensemble import fused

    form = _linears(stack)
    if isinstance(form, str):  # cannot be
        raise TypeError(form)
    stack.outputs(pool.features)  # says what does not fit in the module's own terms
    match training.optimizer:
        case SGD(momentum=momentum):
            options = fused.Options(form.bias, training.loss, "sgd", momentum=momentum)
        case Adam(betas=betas, eps=eps):
            options = fused.Options(form.bias, training.loss, "adam", betas=betas, eps=eps)
    told = None if directions is None else fused.Told(directions.numpy())
    made = fused.train(
        pool.x.flatten(1).numpy(),
        pool.y.numpy(),
        present.numpy(),
        form.sizes,
        form.activation,
        start.numpy(),
        np.asarray(seeds, dtype=np.uint64),
        training.noise_multiplier,
        training.clip,
        training.sampling.rate if isinstance(training.sampling, Poisson) else None,
        training.steps,
        training.learning_rate,
        training.divide_by(len(pool)),
        options=options,
        masks=None if injected is None else injected.masks.numpy(),
        noise=None if injected is None else injected.noise.numpy(),
        canary=None if canary is None else (canary.gradient.numpy(), canary.included.numpy()),
        told=told,
    )
    return Made(torch.from_numpy(made), None if told is None else torch.from_numpy(told.projections))


def train_torch(
    stack: Stack,
    pool: Pool,
    present: Tensor,
    training: Training,
    seeds: Any,
    start: Tensor,
    hooks: Steps | None = None,
    device: str = "cpu",
    injected: Injected | None = None,
    canary: GradientCanary | None = None,
    directions: Tensor | None = None,
) -> Made:
    """The arguments are those of `dpaudit.ensemble.train`."""
    keys = np.asarray(seeds, dtype=np.uint64)
    given: dict[str, Any] = {"steps": hooks, "injected": injected, "canary": canary, "directions": directions}
    made = train(stack, pool, present, training, keys, start=start, device=device, **given)
    return Made(made.parameters, None if made.transcript is None else made.transcript.projections)


def _linears(stack: Stack) -> _Linears | str:
    """The stack as linear layers with one activation between them, or what stands in the way."""
    layers = [layer for layer in stack.layers if not isinstance(layer, Flatten)]
    if any(isinstance(layer, Flatten) for layer in stack.layers[1:]):
        return "the fused kernel flattens records before the first layer only"
    linear, between = layers[::2], layers[1::2]
    kinds = {type(layer) for layer in between}
    named: dict[type, str] = {ReLU: "relu", Tanh: "tanh"}
    alike = len(kinds) <= 1 and kinds <= named.keys() and len(linear) == len(between) + 1
    if not alike or not all(isinstance(layer, Linear) for layer in linear):
        return "the fused kernel takes linear layers with ReLU, or Tanh, between all of them"
    chain = [layer for layer in linear if isinstance(layer, Linear)]
    if len({layer.bias for layer in chain}) > 1:
        return "the fused kernel wants biases in all layers or in none"
    sizes = (chain[0].inputs, *(layer.width for layer in chain))
    return _Linears(sizes, named[kinds.pop()] if kinds else None, chain[0].bias)


def _sampling(training: Training) -> str:
    match training.sampling:
        case Poisson():
            return "poisson"
        case FullBatch():
            return "full"
        case _:
            return "shuffle"
