"""Buffers that live as long as a chunk: fresh pages cost more than the arithmetic on them."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Scratch:
    """Named buffers on one device; each grows to the largest shape that was asked for."""

    device: torch.device
    held: dict[Hashable, Tensor] = field(default_factory=dict)

    def get(self, name: Hashable, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """A contiguous tensor of this shape; its contents are whatever was left there."""
        size = 1
        for length in shape:
            size *= length
        held = self.held.get((name, dtype))
        if held is None or held.numel() < size:
            held = self.held[name, dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return held[:size].view(shape)

    def lines(self, name: Hashable, shape: tuple[int, int, int]) -> Tensor:
        """As `get`, but each of the matrices starts at the beginning of a line of 64 bytes."""
        models, rows, columns = shape
        size = rows * columns
        return self.get(name, (models, -(-size // 16) * 16))[:, :size].view(shape)

    def filled(self, value: float, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """A contiguous tensor of one number; filled once (torch multiplies expanded matrices one by one)."""
        name = ("filled", value, shape, dtype)
        held = self.held.get(name)
        if held is None:
            held = self.held[name] = torch.full(shape, value, dtype=dtype, device=self.device)
        return held
