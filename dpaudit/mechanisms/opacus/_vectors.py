"""Gradients of all parameters as one vector, in the order of the optimizer."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpaudit.errors import UsageError
from dpaudit.mechanisms._directions import unit_rows

__all__ = ["Directions", "flat_gradient", "split_like", "width"]


class Directions:
    """Unit directions to look along, the same in every step or others in each.

    Args:
        given: (P,), (K, P) or (T, K, P) floats, of any length but 0.

    Raises:
        UsageError: another shape, no numbers, or a direction without a length.
    """

    def __init__(self, given: Any) -> None:
        self.rows = unit_rows(given)
        self._kept: dict[tuple[int, torch.device], Tensor] = {}

    @property
    def parameters(self) -> int:
        """P."""
        return int(self.rows.shape[-1])

    @property
    def count(self) -> int:
        """K."""
        return int(self.rows.shape[-2])

    def project(self, flat: Tensor, step: int) -> NDArray[np.float64]:
        """(K,) of a gradient (P,) at a step, counted from 0.

        Raises:
            UsageError: directions for fewer steps than there are.
        """
        at = step if self.rows.ndim == 3 else 0
        if self.rows.ndim == 3 and step >= len(self.rows):
            raise UsageError(
                "the training has more steps than there are directions",
                allowed=f"{len(self.rows)} steps",
                got=f"step {step + 1}",
                remedy="canaries.sequence(data, model, steps=) with the steps of the training",
            )
        rows = self._kept.get((at, flat.device))
        if rows is None:
            part = self.rows[at] if self.rows.ndim == 3 else self.rows
            rows = torch.as_tensor(part, dtype=torch.float32, device=flat.device)
            if self.rows.ndim == 2:
                self._kept[at, flat.device] = rows
        return np.asarray((rows @ flat.float()).double().cpu().numpy())


def width(optimizer: Any) -> int:
    """Number of weights that a private optimizer trains."""
    return sum(int(p.numel()) for p in optimizer.params)


def flat_gradient(optimizer: Any) -> Tensor:
    """(P,) of ``p.grad``; zeros where there is none."""
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in optimizer.params]
    return torch.cat([part.detach().reshape(-1) for part in parts])


def split_like(rows: NDArray[np.float64], optimizer: Any) -> list[Tensor]:
    """(k, P) rows as one (k, *shape) tensor a parameter, on its device and of its dtype."""
    parameters = list(optimizer.params)
    ends = np.cumsum([p.numel() for p in parameters])[:-1]
    parts = np.split(rows, ends, axis=1)
    return [
        torch.as_tensor(part, dtype=p.dtype, device=p.device).reshape(len(rows), *p.shape)
        for p, part in zip(parameters, parts, strict=True)
    ]
