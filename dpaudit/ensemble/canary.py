"""A canary that is a gradient: one more per-sample gradient, clipped like the others."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class GradientCanary:
    """In each step, by its own coin at the sample rate, `gradient` joins the batch of the models that have it.

    Args:
        gradient: (P,) or (M, P), of any norm, in the order of ``parameters()``; or with steps, (1, T, P) or (M, T, P),
            that of step t.
        included: (M,) bool, the models whose data set holds it.
    """

    gradient: Any
    included: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "gradient", torch.as_tensor(self.gradient).detach().float())
        object.__setattr__(self, "included", torch.as_tensor(self.included).bool())

    def check(self, models: int, size: int, steps: int) -> None:
        """Refuses what does not fit M models with P parameters that train for T steps.

        Raises:
            UsageError: a wrong shape.
        """
        shapes = ((size,), (models, size), (1, steps, size), (models, steps, size))
        if tuple(self.gradient.shape) not in shapes:
            listed = ", ".join(map(str, shapes))
            raise UsageError("gradient canary", allowed=f"a shape of {listed}", got=tuple(self.gradient.shape))
        if tuple(self.included.shape) != (models,):
            raise UsageError(
                "models with the gradient canary", allowed=f"shape ({models},)", got=tuple(self.included.shape)
            )

    def part(self, models: slice, device: torch.device) -> "GradientCanary":
        """Of some of the models, on a device; the gradient as (M, P) or (M, T, P)."""
        included = self.included[models]
        shared = self.gradient.ndim == 1 or (self.gradient.ndim == 3 and len(self.gradient) == 1)
        gradient = (self.gradient if shared else self.gradient[models]).to(device)
        inner = gradient.shape[-2:] if gradient.ndim == 3 else gradient.shape[-1:]
        return GradientCanary(gradient.expand(len(included), *inner), included.to(device))

    def at(self, step: int) -> Tensor:
        """(M, P) of a part, in a step."""
        gradient: Tensor = self.gradient
        return gradient if gradient.ndim == 2 else gradient[:, step]
