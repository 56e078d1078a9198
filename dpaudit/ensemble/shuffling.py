"""Batches from permutations, one per model and epoch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dpaudit.ensemble.streams import Purpose, Streams


@dataclass
class Orders:
    """The current permutation of every model of a chunk.

    Attributes:
        epoch: (M,) the epoch that `order` belongs to.
        order: (M, n) records in the order of that epoch, absent ones last.
    """

    epoch: Tensor = field(default_factory=lambda: torch.empty(0))
    order: Tensor = field(default_factory=lambda: torch.empty(0))

    def batch(self, streams: Streams, present: Tensor, step: int, size: int) -> Tensor:
        """(M, n) bool: batch number `step` of each model, `size` records or what is left of its epoch."""
        held = present.sum(dim=1)
        batches = (held + size - 1).div(size, rounding_mode="floor").clamp_(min=1)
        epoch = step // batches
        if step == 0:
            self.epoch = torch.full_like(epoch, -1)
            self.order = torch.zeros(present.shape, dtype=torch.int64, device=present.device)
        for number in torch.unique(epoch[epoch != self.epoch]).tolist():
            words = torch.as_tensor(streams.words(number, Purpose.SHUFFLE, present.shape[1])).to(torch.int64)
            keys = torch.where(present, words.to(present.device), 2**32)
            fresh = (epoch == number) & (self.epoch != number)
            self.order[fresh] = torch.sort(keys, dim=1, stable=True).indices[fresh]
        self.epoch = epoch
        place = torch.arange(present.shape[1], device=present.device)
        first = ((step % batches) * size)[:, None]
        chosen = (place >= first) & (place < torch.minimum(first + size, held[:, None]))
        return torch.zeros_like(present).scatter_(1, self.order, chosen)
