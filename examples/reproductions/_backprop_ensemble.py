"""Backpropagation clipping on the ensemble engine: the same network, steps and noise, many trainings at once.

What enters a layer and what flows back to it are clipped by layers of our own, which the network's modules bring along
(`ensemble_layer`). The engine's clipping of whole gradients is out of action, as it is in the mechanism; what it
declares is the length over all layers, sqrt(layers) times that of each, so that `dpa.preflight` has something to hold
the mechanism to.
"""

import math
from dataclasses import dataclass, replace

import torch
from _backprop_clipping import Gradient, Input, factors
from torch import nn

import dpaudit as dpa
from dpaudit.ensemble import Adam, Steps
from dpaudit.ensemble.layers import Plain


@dataclass(frozen=True)
class InputLayer(Plain):
    """`Input` for M models at once: activations are (M, W, *features)."""

    name: str
    bound: float

    def forward(self, a, weights, scratch):
        a = a.nan_to_num(0.0, 0.0, 0.0)  # no clipping mends NaN
        lengths = a.flatten(2).norm(dim=2)
        factor = along(factors(lengths, self.bound), a)
        return a * factor, (a, factor, along(lengths, a))

    def backward(self, b, saved, weights, scratch):
        """Where the record was shortened, to a fixed length: nothing flows back along it."""
        a, factor, lengths = saved
        unit = a / lengths.clamp(min=1e-30)
        inward = along((b * unit).flatten(2).sum(dim=2), b)
        return torch.where(factor < 1, factor * (b - inward * unit), b)


@dataclass(frozen=True)
class GradientLayer(Plain):
    """`Gradient` for M models at once, of records' own losses: B times what their mean's gradient is clipped to."""

    name: str
    bound: float

    def forward(self, a, weights, scratch):
        return a, None

    def backward(self, b, saved, weights, scratch):
        channels = b.abs().sum((3, 4)) if b.ndim == 5 else b
        return b * along(factors(channels.norm(dim=2), self.bound), b)


class EnsembleInput(Input):
    def ensemble_layer(self, name):
        return InputLayer(name, self.bound)


class EnsembleGradient(Gradient):
    def __init__(self, bound, batch):
        super().__init__(bound)
        self.batch = batch

    def ensemble_layer(self, name):
        return GradientLayer(name, self.bound * self.batch)


@dataclass(frozen=True)
class InOrder:
    """Fixed, disjoint batches in the order of the data: `Steps.sample`."""

    batch: int

    def __call__(self, moment):
        place = moment.present.long().cumsum(dim=1) - 1
        batches = (moment.present.sum(dim=1, keepdim=True) + self.batch - 1) // self.batch
        return moment.present & (place // self.batch == moment.step % batches)


@dataclass(frozen=True)
class AsTheyAre:
    """Each record's gradient counts whole: `Steps.factors`."""

    def __call__(self, moment, norms):
        return torch.ones_like(norms)


def along(factor, tensor):
    """(M, W) against (M, W, ...)."""
    return factor.view(*factor.shape, *[1] * (tensor.ndim - 2))


def network(form):
    """That of `form`, with its public start."""
    parts = []
    for part in form.network():
        if isinstance(part, Input):
            part = EnsembleInput(part.bound)
        elif isinstance(part, Gradient):
            part = EnsembleGradient(part.bound, form.batch)
        parts.append(part)
    return nn.Sequential(*parts)


def on_the_ensemble(form, records):
    """The mechanism `form` (a `BackpropagationClipping`) for data sets of about so many records, a public number."""
    model = network(form)
    length = form.declared * form.batch * math.sqrt(len(list(model.parameters())))
    mechanism = dpa.mechanisms.DPSGD(
        model,
        noise_multiplier=form.deviation * form.batch / length,
        max_grad_norm=length,
        batch=form.batch,
        divisor=float(form.batch),
        steps=form.epochs * math.ceil(records / form.batch),
        learning_rate=form.learning_rate,
        optimizer=Adam(),
        kernel="torch",
    )
    return replace(mechanism, hooks=Steps(sample=InOrder(form.batch), factors=AsTheyAre()))
