"""The records of one step: a ragged batch per model, padded and never cut."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.products import padded
from dpaudit.ensemble.streams import compiled


@dataclass(frozen=True, eq=False)
class Batch:
    """Which records each model trains on in this step.

    Attributes:
        index: (M, W) int64 into the pool; padding points at n, a record of zeros behind the last one.
        valid: (M, W) bool, false on padding.
        sizes: (M,) int64, actual sizes: never a divisor of right DP-SGD.
    """

    index: Tensor
    valid: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, mask: Tensor, quantum: int, narrowest: int) -> "Batch":
        """The batch of a mask (M, n); W is the largest count, at least `narrowest`, rounded up to a multiple of
        `quantum`.

        A result must not depend on which models share a chunk, and so not on W: see `dpaudit.ensemble.products`.
        """
        fast = compiled() if mask.device.type == "cpu" else None
        if fast is None:
            sizes = mask.sum(dim=1)
        else:
            sizes = torch.empty(len(mask), dtype=torch.int64)
            fast.count(mask.numpy(), sizes.numpy())
        width = padded(int(sizes.max()), quantum, narrowest)
        if fast is not None:
            index = torch.empty(len(mask), width, dtype=torch.int64)
            fast.pack(mask.numpy(), index.numpy())
        else:
            index = torch.full((len(mask), width), mask.shape[1], dtype=torch.int64, device=mask.device)
            row, column = mask.nonzero(as_tuple=True)
            start = torch.cumsum(sizes, 0) - sizes
            index[row, torch.arange(len(row), device=mask.device) - start[row]] = column
        valid = torch.arange(width, device=mask.device) < sizes[:, None]
        return cls(index, valid, sizes)
