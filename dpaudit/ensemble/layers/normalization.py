"""Normalization inside a record: layers and groups of channels."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.layers.protocol import Shape
from dpaudit.ensemble.products import row_squares, weigh_records
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

_aten = torch.ops.aten
Saved = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Norm:
    """``nn.LayerNorm`` over the last dimensions, or ``nn.GroupNorm`` over groups of channels.

    Args:
        name: of the layer.
        affine: shape of weight and bias: the last dimensions, or (channels,).
        groups: of channels; None for a layer norm.
        eps: added to the variance.
        weight: whether there is one.
        bias: whether there is one.
    """

    name: str
    affine: Shape
    groups: int | None
    eps: float
    weight: bool
    bias: bool

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Weight and bias, as far as there."""
        return (self.affine,) * (self.weight + self.bias)

    def outputs(self, features: Shape) -> Shape:
        """As they were."""
        fits = features[: len(self.affine)] if self.groups else features[-len(self.affine) :]
        if fits != self.affine:
            kind = "channels first" if self.groups else "last dimensions"
            raise UsageError(f"input of normalization {self.name}", allowed=f"{self.affine} as {kind}", got=features)
        return features

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Saved]:
        """Normalized, times weight, plus bias."""
        rows = self._rows(a)
        normal, mean, scale = _aten.native_layer_norm(rows, rows.shape[1:], None, None, self.eps)
        normal = normal.view(a.shape)
        out = normal
        if self.weight:
            out = out * self._wide(weights[0], a)
        if self.bias:
            out = out + self._wide(weights[-1], a)
        return (out.clone() if out is normal else out), (rows, normal, mean, scale)

    def backward(self, b: Tensor, saved: Saved, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Through weight and normalization."""
        rows, _, mean, scale = saved
        inner = b * self._wide(weights[0], b) if self.weight else b
        made = _aten.native_layer_norm_backward(
            self._rows(inner), rows, rows.shape[1:], mean, scale, None, None, [True, False, False]
        )[0]
        return made.view(b.shape)  # type: ignore[no-any-return]

    def squares(self, b: Tensor, saved: Saved, scratch: Scratch) -> list[Tensor]:
        """Of weight and bias: their gradients are vectors."""
        return [row_squares(g, scratch) for g in self._gradients(b, saved)]

    def sums(self, b: Tensor, saved: Saved, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Of weight and bias."""
        for g, factor, total in zip(self._gradients(b, saved), factors, out, strict=True):
            weigh_records(g, factor, total, scratch)

    def clean(self, saved: Saved, valid: Tensor) -> Saved:
        """Zeros on padding."""
        saved[1].masked_fill_(~valid.view(*valid.shape, *[1] * (saved[1].ndim - 2)), 0)
        return saved

    def _rows(self, a: Tensor) -> Tensor:
        """(rows, numbers that are normalized together)."""
        a = a.contiguous()
        if self.groups:
            return a.view(a.shape[0] * a.shape[1] * self.groups, -1)
        return a.view(-1, math.prod(self.affine))

    def _wide(self, weight: Tensor, a: Tensor) -> Tensor:
        """(M, *affine) against (M, W, *features)."""
        if self.groups:
            return weight.view(len(weight), 1, -1, *[1] * (a.ndim - 3))
        return weight.reshape(len(weight), *[1] * (a.ndim - 1 - len(self.affine)), *self.affine)

    def _gradients(self, b: Tensor, saved: Saved) -> list[Tensor]:
        """(M, W, N) of each parameter."""
        both = ([b * saved[1]] if self.weight else []) + ([b] if self.bias else [])
        models, width = b.shape[:2]
        if self.groups:
            return [g.reshape(models, width, self.affine[0], -1).sum(3) for g in both]
        return [g.reshape(models, width, -1, math.prod(self.affine)).sum(2) for g in both]
