"""Layers that only say how features are indexed."""

import math
from dataclasses import dataclass

from torch import Tensor

from dpaudit.ensemble.layers.protocol import Plain, Shape
from dpaudit.ensemble.scratch import Scratch


@dataclass(frozen=True)
class Flatten(Plain):
    """``nn.Flatten()``: a record becomes one vector."""

    name: str

    def outputs(self, features: Shape) -> Shape:
        """(all,)."""
        return (math.prod(features),)

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Shape]:
        """The same numbers; keeps the shape."""
        return a.flatten(2), tuple(a.shape)

    def backward(self, b: Tensor, saved: Shape, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Back to the shape."""
        return b.reshape(saved)
