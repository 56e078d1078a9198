"""The records that all models of an ensemble choose from."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class Pool:
    """Records shared by all models; model m's data set is ``pool[present[m]]``.

    Args:
        x: (n, ...) inputs; floats become float32, integers (token ids) int64. Non-finite values are allowed: they are
            what some canaries are made of, and they stay inside the models that train on them.
        y: (n,) integer labels, or (n,) or (n, outputs) float targets.

    Raises:
        UsageError: no records, or not as many targets as inputs.
    """

    x: Any
    y: Any

    def __post_init__(self) -> None:
        x, y = _tensor(self.x), _tensor(self.y)
        if x.ndim < 2 or len(x) == 0:
            raise UsageError("pool of records", allowed="x of shape (n, ...) with n >= 1", got=tuple(x.shape))
        if y.ndim not in (1, 2) or len(y) != len(x):
            raise UsageError(
                "targets of the pool", allowed=f"({len(x)},) labels or ({len(x)}, outputs) targets", got=tuple(y.shape)
            )
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one record."""
        return tuple(self.x.shape[1:])


def _tensor(value: Any) -> Tensor:
    tensor = torch.as_tensor(value).detach()
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64).contiguous()
