"""A canary that is a gradient: one more per-sample gradient, clipped like the others."""

from dataclasses import dataclass
from typing import Any

import torch

from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class GradientCanary:
    """In each step, by its own coin at the sample rate, `gradient` joins the batch of the models that have it.

    Args:
        gradient: (P,) or (M, P), of any norm, in the order of ``parameters()``.
        included: (M,) bool, the models whose data set holds it.
    """

    gradient: Any
    included: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "gradient", torch.as_tensor(self.gradient).detach().float())
        object.__setattr__(self, "included", torch.as_tensor(self.included).bool())

    def check(self, models: int, size: int) -> None:
        """Refuses what does not fit M models with P parameters.

        Raises:
            UsageError: a wrong shape.
        """
        if tuple(self.gradient.shape) not in ((size,), (models, size)):
            raise UsageError(
                "gradient canary", allowed=f"shape ({size},) or ({models}, {size})", got=tuple(self.gradient.shape)
            )
        if tuple(self.included.shape) != (models,):
            raise UsageError(
                "models with the gradient canary", allowed=f"shape ({models},)", got=tuple(self.included.shape)
            )

    def part(self, models: slice, device: torch.device) -> "GradientCanary":
        """Of some of the models, on a device; the gradient as (M, P)."""
        included = self.included[models]
        gradient = self.gradient if self.gradient.ndim == 1 else self.gradient[models]
        return GradientCanary(gradient.to(device).expand(len(included), -1), included.to(device))
