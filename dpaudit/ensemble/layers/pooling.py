"""Pooling of images, by torch's own functions on all images of all models."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble.layers.protocol import Plain, Shape
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

Pair = tuple[int, int]
_aten = torch.ops.aten


def _images(name: str, features: Shape) -> None:
    if len(features) != 3:
        raise UsageError(f"input of pooling layer {name}", allowed="(channels, height, width)", got=features)


@dataclass(frozen=True)
class MaxPool2d(Plain):
    """``nn.MaxPool2d``."""

    name: str
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil: bool

    def _arguments(self) -> tuple[Any, ...]:
        return self.kernel, self.stride, self.padding, self.dilation, self.ceil

    def outputs(self, features: Shape) -> Shape:
        """(channels, height, width)."""
        _images(self.name, features)
        return _probe(self.name, features, lambda x: _aten.max_pool2d_with_indices(x, *self._arguments())[0])

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Largest of each window; keeps where it was."""
        images = a.flatten(0, 1)
        made, index = _aten.max_pool2d_with_indices(images, *self._arguments())
        return made.view(*a.shape[:2], *made.shape[1:]), (images, index)

    def backward(self, b: Tensor, saved: tuple[Tensor, Tensor], weights: list[Tensor], scratch: Scratch) -> Tensor:
        """To where it was."""
        images, index = saved
        made = _aten.max_pool2d_with_indices_backward(b.flatten(0, 1), images, *self._arguments(), index)
        return made.view(*b.shape[:2], *made.shape[1:])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class AvgPool2d(Plain):
    """``nn.AvgPool2d``."""

    name: str
    kernel: Pair
    stride: Pair
    padding: Pair
    ceil: bool
    count_padding: bool
    divisor: int | None

    def _arguments(self) -> tuple[Any, ...]:
        return self.kernel, self.stride, self.padding, self.ceil, self.count_padding, self.divisor

    def outputs(self, features: Shape) -> Shape:
        """(channels, height, width)."""
        _images(self.name, features)
        return _probe(self.name, features, lambda x: _aten.avg_pool2d(x, *self._arguments()))

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Tensor]:
        """Mean of each window."""
        images = a.flatten(0, 1)
        made = _aten.avg_pool2d(images, *self._arguments())
        return made.view(*a.shape[:2], *made.shape[1:]), images

    def backward(self, b: Tensor, saved: Tensor, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Evenly back."""
        made = _aten.avg_pool2d_backward(b.flatten(0, 1), saved, *self._arguments())
        return made.view(*b.shape[:2], *made.shape[1:])  # type: ignore[no-any-return]


def _probe(name: str, features: Shape, pool: Any) -> Shape:
    """What torch makes of one image of this shape."""
    try:
        return tuple(pool(torch.zeros(1, *features)).shape[1:])
    except RuntimeError as error:
        raise UsageError(
            f"input of pooling layer {name}", allowed=str(error).partition("\n")[0], got=features
        ) from None
