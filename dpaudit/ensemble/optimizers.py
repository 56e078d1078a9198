"""What is done with the gradient: the updates of torch.optim, for many models at once and in place."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dpaudit.ensemble.products import aligned
from dpaudit.errors import UsageError


@dataclass(frozen=True)
class SGD:
    """``torch.optim.SGD`` with optional momentum (no dampening, no Nesterov)."""

    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise UsageError("momentum", allowed="[0, 1)", got=self.momentum)


@dataclass(frozen=True)
class Adam:
    """``torch.optim.Adam``."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if len(self.betas) != 2 or not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise UsageError("betas of Adam", allowed="two numbers in [0, 1)", got=self.betas)
        if not self.eps >= 0.0:
            raise UsageError("eps of Adam", allowed="a number >= 0", got=self.eps)


Optimizer = SGD | Adam


def apply(
    optimizer: Optimizer, learning_rate: float, parameters: Tensor, gradient: Tensor, state: dict[Any, Any]
) -> None:
    """One update of `parameters` (M, P) in place; `gradient` (M, P) may be overwritten.

    Args:
        optimizer: which one.
        learning_rate: its step size.
        parameters: changed.
        gradient: for this step.
        state: this chunk's memory of the optimizer; empty at the first step.
    """
    match optimizer:
        case SGD(momentum=0.0):
            parameters.add_(gradient, alpha=-learning_rate)
        case SGD():
            if "momentum" not in state:
                state["momentum"] = aligned(gradient.shape[0], gradient.shape[1], gradient.device).copy_(gradient)
            else:
                state["momentum"].mul_(optimizer.momentum).add_(gradient)
            parameters.add_(state["momentum"], alpha=-learning_rate)
        case Adam():
            if "count" not in state:
                first, second = (aligned(gradient.shape[0], gradient.shape[1], gradient.device) for _ in range(2))
                state |= {"count": 0, "first": first, "second": second}
            state["count"] += 1
            one, two = optimizer.betas
            first, second = state["first"], state["second"]
            first.lerp_(gradient, 1 - one)
            second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
            size = learning_rate / (1 - one ** state["count"])
            root = second.sqrt().div_(math.sqrt(1 - two ** state["count"])).add_(optimizer.eps)
            parameters.addcdiv_(first, root, value=-size)
