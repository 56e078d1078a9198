"""The canary's loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp

from dpaudit.attacks._canary import Canary, canary_of
from dpaudit.attacks._outputs import class_scores, output_row
from dpaudit.attacks._torch import as_batch, evaluating, own_loss
from dpaudit.errors import UsageError
from dpaudit.modules import is_module
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr


@dataclass(frozen=True, repr=False)
class CanaryLoss:
    """``canary_loss``: MINUS the model's loss on the canary, float64, so that higher means more likely included.

    Cross-entropy in nats for an integer label, mean squared error for a float target.

    Args:
        loss: another loss for modules, ``loss(output, y)`` with a batch of one; its float is negated.

    Reference: Yeom, Giacomelli, Fredrikson, Jha 2018 ("Privacy risk in machine learning").
    """

    loss: Callable[[Any, Any], Any] | None = None
    name: ClassVar[str] = "canary loss"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``canary_loss``.

        Raises:
            UsageError: no canary, or an output the loss does not fit.
        """
        canary = canary_of(neighbors)
        if self.loss is not None:
            return {"canary_loss": -self._own_loss(release.value, canary, neighbors.canary[1])}
        return {"canary_loss": _log_likelihood(release.value, canary)}

    def _own_loss(self, model: Any, canary: Canary, y: Any) -> float:
        if self.loss is None or not is_module(model):
            raise UsageError("loss= is for torch modules", allowed="torch.nn.Module", got=type(model).__name__)
        import torch

        with torch.no_grad(), evaluating(model) as plain:
            output = plain(as_batch(plain, canary.x))
            return float(own_loss(self.loss, output, as_batch(plain, y)))

    def __repr__(self) -> str:
        return f"CanaryLoss({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def _log_likelihood(model: Any, canary: Canary) -> float:
    with np.errstate(all="ignore"):  # a diverged model overflows; its statistic is inf or NaN
        if canary.labelled:
            row, position = class_scores(model, canary)
            return float(row[position] - logsumexp(row))
        if not is_module(model):
            raise UsageError("squared error of the canary", allowed="a torch.nn.Module", got=type(model).__name__)
        row = output_row(model, canary)
        if row.size != canary.y.size:  # never broadcast: (k,) against (1,) would be another loss
            raise UsageError("the model's output on the canary", allowed=f"{canary.y.size} values", got=f"{row.size}")
        return -float(np.mean((row - canary.y) ** 2))
