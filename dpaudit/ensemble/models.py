"""From flat parameters to modules and back."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpaudit.ensemble.stack import Stack

__all__ = ["Models"]


@dataclass(frozen=True, eq=False)
class Models:
    """Makes modules like `model`, which itself stays as it is.

    Attributes:
        model: the user's.
        stack: how the ensemble reads it.
    """

    model: nn.Module
    stack: Stack

    def module(self, flat: Tensor) -> nn.Module:
        """One with the parameters `flat` (P,), that shares nothing with any other."""
        module = copy.deepcopy(self.model)
        with torch.no_grad():
            for parameter, part in zip(module.parameters(), self._parts(flat), strict=True):
                parameter.copy_(part.view_as(parameter))
        return module

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters `flat` (P,) by name, copied."""
        shaped = zip(self.stack.names, self._parts(flat), self.stack.shapes, strict=True)
        return {name: part.clone().view(shape) for name, part, shape in shaped}

    def fresh(self, seeds: Sequence[int]) -> Tensor:
        """(M, P) weights as its layers initialize them, each model's from its own seed.

        They come from torch's Mersenne twister: nothing in common with the Philox streams of training.
        """
        model, rows = copy.deepcopy(self.model), []
        with torch.random.fork_rng(devices=()):
            for seed in seeds:
                torch.manual_seed(seed)
                for part in model.modules():
                    reset: Any = getattr(part, "reset_parameters", None)
                    if reset is not None:
                        reset()
                rows.append(torch.cat([p.detach().reshape(-1).to("cpu", torch.float32) for p in model.parameters()]))
        return torch.stack(rows)

    def _parts(self, flat: Tensor) -> tuple[Tensor, ...]:
        return torch.split(flat, list(self.stack.lengths))
