"""Coordinates of the weights against each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, ClassVar

import numpy as np

from dpaudit.attacks._torch import changes
from dpaudit.attacks.gradient import canary_slopes
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, unwrap
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr

_ALL_PAIRS = 12  # tensors; with more, each is compared with the next one only


@dataclass(frozen=True, repr=False)
class LeafDifference:
    """``leaf_difference``: the canary in the difference of the two parameter tensors whose changes agree most.

    Noise that two tensors draw from one key cancels in their difference, element by element as far as the shorter one
    goes; what is left is gradients. Of all pairs (with more than 12 tensors: neighbours) the one is taken whose
    difference u is smallest against the two themselves. The statistic is -<u, v>/|v|, v that difference of the canary's
    gradient at the start.

    NaN where the start is not known, or the canary has no gradient in the difference of any pair.

    Args:
        loss: ``loss(output, y)`` with a batch of one; default cross-entropy or mean squared error by the kind of y.
    """

    loss: Callable[[Any, Any], Any] | None = None
    name: ClassVar[str] = "leaf difference"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``leaf_difference``, in units of the weights.

        Raises:
            UsageError: the release is not a torch module, or the loss does not fit its output.
        """
        if not is_module(release.value):
            raise UsageError("tensors of a model", allowed="torch.nn.Module", got=type(release.value).__name__)
        slopes = canary_slopes(release, neighbors, self.loss)
        if slopes is None:
            return {"leaf_difference": np.nan}
        moved = changes(release, buffers=False)
        leaves = [(moved[name].reshape(-1), slope.reshape(-1)) for name, slope in slopes.items()]
        pairs = combinations(leaves, 2) if len(leaves) <= _ALL_PAIRS else pairwise(leaves)
        least, found = np.inf, np.nan
        for (one, its), (two, others) in pairs:
            size = min(len(one), len(two))
            apart, slope = one[:size] - two[:size], its[:size] - others[:size]
            whole, length = float((one[:size] ** 2).sum() + (two[:size] ** 2).sum()), float(slope.norm())
            left = float((apart**2).sum()) / whole if whole > 0 else np.inf
            if left < least and 0 < length < np.inf:
                least, found = left, -float((apart * slope).sum()) / length
        return {"leaf_difference": found}

    def __repr__(self) -> str:
        return f"LeafDifference({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def has_pairs(module: Any) -> bool:
    """Whether this kind of model has two trained tensors to compare."""
    return sum(1 for p in unwrap(module).parameters() if p.requires_grad and p.is_floating_point()) > 1
