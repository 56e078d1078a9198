"""The summed clipped per-sample gradients of one step: forward, backward, norms, factors, sums."""

from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble import losses
from dpaudit.ensemble.batch import Batch
from dpaudit.ensemble.layers import Flatten
from dpaudit.ensemble.layers.images import Images
from dpaudit.ensemble.layers.linear import Inputs
from dpaudit.ensemble.layers.positions import Positions
from dpaudit.ensemble.layers.protocol import blank
from dpaudit.ensemble.products import whole
from dpaudit.ensemble.scratch import Scratch
from dpaudit.ensemble.steps import Moment
from dpaudit.ensemble.task import Task


def sum_gradients(
    task: Task, moment: Moment, batch: Batch, weights: list[list[Tensor]], sums: list[list[Tensor]], scratch: Scratch
) -> None:
    """Writes each model's sum of clipped per-sample gradients into `sums`."""
    layers, valid = task.stack.layers, batch.valid
    models, width = valid.shape
    flat = batch.index.view(-1)
    a = scratch.get("x", (len(flat), *task.x.shape[1:]), task.x.dtype)
    torch.index_select(task.x, 0, flat, out=a)
    a = a.view(models, width, *task.x.shape[1:])
    y = task.y.index_select(0, flat).view(models, width, *task.y.shape[1:])
    # zeros times what is not finite is not zero: then padding needs more than a factor of zero
    broken = not bool(whole(moment.parameters).sum().isfinite())
    saved = []
    for layer, weight in zip(layers, weights, strict=True):
        a, kept = layer.forward(a, weight, scratch)
        saved.append(layer.clean(kept, valid) if broken else kept)
    b = losses.backprop(task.training.loss, a, y, scratch)
    first = next(i for i, layer in enumerate(layers) if layer.shapes)
    if isinstance(saved[first], Inputs) and all(isinstance(layer, Flatten) for layer in layers[:first]):
        saved[first].squares = task.squares.index_select(0, flat).view(models, width)
    backprops: dict[int, Tensor] = {}
    squares: list[Tensor] = []
    for i in reversed(range(first, len(layers))):
        if layers[i].shapes:
            backprops[i] = b = blank(b, valid) if broken else b
            if task.groups.bounds:
                squares = layers[i].squares(b, saved[i], scratch) + squares
        if i > first:
            b = layers[i].backward(b, saved[i], weights[i], scratch)
    if task.groups.bounds:
        norms = task.groups.norms(squares)
        if not bool(norms.isfinite().all()):
            norms = _wide_norms(task, norms, backprops, saved, scratch)
        given = task.steps.factors(moment, norms)
        given = given.masked_fill(~valid[:, None], 0.0)
    else:
        given = valid[:, None].to(torch.float32)
    tensor = 0
    for i in range(first, len(layers)):
        layer = layers[i]
        if layer.shapes:
            own = [given[:, group] for group in task.groups.of_tensor[tensor : tensor + len(layer.shapes)]]
            layer.sums(backprops[i], saved[i], own, sums[i], scratch)
            tensor += len(layer.shapes)


def _wide_norms(task: Task, norms: Tensor, backprops: dict[int, Tensor], saved: list[Any], scratch: Scratch) -> Tensor:
    """Norms whose squares overflowed, in double precision; the others stay as they are, bit for bit.

    A record of 1e38 has a norm. Without this its square is infinite, and times a backprop of zero it is NaN.
    """
    squares: list[Tensor] = []
    for i, b in sorted(backprops.items()):
        squares += task.stack.layers[i].squares(b.double(), _double(saved[i]), scratch)
    return torch.where(norms.isfinite(), norms, task.groups.norms(squares).float())


def _double(saved: Any) -> Any:
    match saved:
        case Tensor():
            return saved.double() if saved.is_floating_point() else saved
        case tuple():
            return tuple(_double(part) for part in saved)
        case Positions(a=a):
            return Positions(a.double())
        case Images(a=a):
            return Images(a.double())
        case Inputs(a=a):
            return Inputs(a.double())
        case _:
            return saved
