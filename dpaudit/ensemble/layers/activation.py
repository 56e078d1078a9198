"""Elementwise layers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.layers.protocol import Plain
from dpaudit.ensemble.scratch import Scratch

_aten = torch.ops.aten


@dataclass(frozen=True)
class ReLU(Plain):
    """``nn.ReLU``; `overwrite` where nobody else needs its input."""

    name: str
    overwrite: bool

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Tensor]:
        """max(a, 0); keeps it."""
        h = torch.relu_(a) if self.overwrite else torch.relu(a)
        return h, h

    def backward(self, b: Tensor, saved: Tensor, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Zero where the output was."""
        return _aten.threshold_backward.grad_input(b, saved, 0, grad_input=b)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Tanh(Plain):
    """``nn.Tanh``."""

    name: str

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Tensor]:
        """tanh(a); keeps it."""
        h = torch.tanh(a)
        return h, h

    def backward(self, b: Tensor, saved: Tensor, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """As b (1 - tanh^2)."""
        return _aten.tanh_backward.grad_input(b, saved, grad_input=b)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class GELU(Plain):
    """``nn.GELU``, exact or by tanh."""

    name: str
    approximate: str

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Tensor]:
        """gelu(a); keeps a."""
        return torch.nn.functional.gelu(a, approximate=self.approximate), a

    def backward(self, b: Tensor, saved: Tensor, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """As b gelu'(a)."""
        return _aten.gelu_backward(b, saved, approximate=self.approximate)  # type: ignore[no-any-return]
