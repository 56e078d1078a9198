"""Pooling of images, by torch's own functions or compiled kernels on all images of all models."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble.layers import images
from dpaudit.ensemble.layers.images import Windows
from dpaudit.ensemble.layers.protocol import Plain, Shape
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

Pair = tuple[int, int]
FEWEST = 8  # channels; with fewer most lanes of a vector would be idle
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
        if self._compiled(a):
            return self._largest(a, scratch)
        flat = a.flatten(0, 1)
        made, index = _aten.max_pool2d_with_indices(flat, *self._arguments())
        return made.view(*a.shape[:2], *made.shape[1:]), (flat, index)

    def backward(self, b: Tensor, saved: tuple[Tensor, Tensor], weights: list[Tensor], scratch: Scratch) -> Tensor:
        """To where it was."""
        flat, index = saved
        if index.dtype == torch.float32:
            return self._handed_back(b, saved, scratch)
        made = _aten.max_pool2d_with_indices_backward(b.flatten(0, 1), flat, *self._arguments(), index)
        return made.view(*b.shape[:2], *made.shape[1:])  # type: ignore[no-any-return]

    def _compiled(self, a: Tensor) -> bool:
        """Whether kernels are there for these images: channels last, and whole windows."""
        last = a.dtype == torch.float32 and a.permute(0, 1, 3, 4, 2).is_contiguous()
        whole = self.padding == (0, 0) and not self.ceil and a.shape[2] >= FEWEST
        return a.device.type == "cpu" and last and whole and images.compiled() is not None

    def _windows(self, a: Tensor) -> Windows:
        """Of images (..., channels, height, width)."""
        channels, high, wide = a.shape[-3:]
        sides = [
            (side - gap * (size - 1) - 1) // step + 1
            for side, size, step, gap in zip((high, wide), self.kernel, self.stride, self.dilation, strict=True)
        ]
        return Windows((high, wide, channels), (sides[0], sides[1]), self.kernel, self.stride, self.dilation)

    def _largest(self, a: Tensor, scratch: Scratch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `forward`; keeps which element of its window the largest was, as a float."""
        windows = self._windows(a)
        shape = (*a.shape[:2], *windows.sides, a.shape[2])
        made, index = (scratch.get((self.name, part), shape) for part in ("z", "index"))
        images.pool(a.permute(0, 1, 3, 4, 2), windows, made, index)
        return made.permute(0, 1, 4, 2, 3), (a, index)

    def _handed_back(self, b: Tensor, saved: tuple[Tensor, Tensor], scratch: Scratch) -> Tensor:
        """As `backward`."""
        a, index = saved
        made = scratch.get((self.name, "b"), (*a.shape[:2], *a.shape[3:], a.shape[2]))
        images.unpool(b.permute(0, 1, 3, 4, 2).contiguous(), index, self._windows(a), made)
        return made.permute(0, 1, 4, 2, 3)


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
        flat = a.flatten(0, 1)
        made = _aten.avg_pool2d(flat, *self._arguments())
        return made.view(*a.shape[:2], *made.shape[1:]), flat

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
