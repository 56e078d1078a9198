"""How large the weights became, without regard to any canary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dpaudit.attacks._torch import changes
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, unwrap
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


@dataclass(frozen=True)
class WeightScale:
    """``weight_norm``, ``weight_max``, ``buffer_norm``: size of final minus initial (final, if no start is known).

    Euclidean norm and largest magnitude over the parameters, Euclidean norm over the float buffers (running statistics
    of normalisation layers; absent for a module without any). Shows sums that were not clipped, divisors and step
    counts taken from the size of the data set, and statistics released beside the weights.
    """

    name: ClassVar[str] = "weight scale"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The two or three statistics, float64, >= 0; inf or NaN for diverged weights.

        Raises:
            UsageError: the release is not a torch module.
        """
        if not is_module(release.value):
            raise UsageError("scale of weights", allowed="torch.nn.Module", got=type(release.value).__name__)
        weights = list(changes(release, buffers=False).values())
        floats = {name for name, buffer in unwrap(release.value).named_buffers() if buffer.is_floating_point()}
        buffers = [part for name, part in changes(release, buffers=True).items() if name in floats]
        largest = [float(part.abs().max()) for part in weights if part.numel()]
        row = {
            "weight_norm": _norm([float((part**2).sum()) for part in weights]),
            "weight_max": float(np.max(largest)) if largest else np.nan,  # np.max, for it keeps NaN
        }
        if buffers:
            row["buffer_norm"] = _norm([float((part**2).sum()) for part in buffers])
        return row


def _norm(squares: list[float]) -> float:
    return float(np.sqrt(np.sum(squares))) if squares else np.nan
