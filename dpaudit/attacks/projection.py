"""How far the first layer moved along the canary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks._canary import canary_of, flat_record, probe_direction
from dpaudit.attacks._torch import changes
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, unwrap
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """``projection``: the change of the first layer's weights along the canary's direction u in feature space.

    D is final minus initial weights (final ones where the start is not known), (rows, d). Then D u is a number a row.

    * Linear model with a class label y: its contrast a . D u, a the unit vector along e_y - 1/k. That is minus the
      cross-entropy gradient of a softmax at uniform predictions.
    * Linear model with a float target: the rows weighted by the unit vector along the target.
    * More layers: the norm of D u; a hidden unit's sign is not known.

    NaN for a model without a 2-D weight of the record's size (convolutions), and for a canary without a direction.
    """

    name: ClassVar[str] = "projection"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``projection``, in units of the weights.

        Raises:
            UsageError: the release is not a torch module.
        """
        if not is_module(release.value):
            raise UsageError("projection of weights", allowed="torch.nn.Module", got=type(release.value).__name__)
        direction = probe_direction(neighbors)
        if direction is None:
            return {"projection": np.nan}
        return {"projection": _project(changes(release, buffers=False), direction, neighbors)}


def projectable(module: Any, neighbors: Neighbors) -> bool:
    """Whether this kind of model and canary has a `Projection`: a direction, and a weight that it meets."""
    direction = probe_direction(neighbors)
    weights = dict(unwrap(module).named_parameters())
    return direction is not None and _first_layer(weights, direction) is not None


def _first_layer(weights: Mapping[str, Any], direction: Floats) -> Any:
    return next((w for w in weights.values() if w.ndim == 2 and w.shape[1] == direction.size), None)


def _project(moved: Mapping[str, Any], direction: Floats, neighbors: Neighbors) -> float:
    first = _first_layer(moved, direction)
    if first is None:
        return np.nan
    with np.errstate(all="ignore"):
        along: Floats = first.cpu().numpy() @ direction
        linear = sum(change.ndim >= 2 for change in moved.values()) == 1
        weighting = _row_weighting(neighbors, along.size) if linear else None
        return float(np.linalg.norm(along) if weighting is None else weighting @ along)


def _row_weighting(neighbors: Neighbors, rows: int) -> Floats | None:
    if flat_record(neighbors).size == 0:
        return None
    canary = canary_of(neighbors)
    if canary.name is not None:  # which output is meant is not known
        return None
    if not canary.labelled:
        size = float(np.linalg.norm(canary.y))
        return canary.y / size if canary.y.size == rows and 0 < size < np.inf else None
    if rows == 1:  # the logit of class 1
        return np.array([1.0 if canary.label else -1.0])
    if not 0 <= canary.label < rows:
        return None
    contrast = np.full(rows, -1.0 / rows)
    contrast[canary.label] += 1.0
    return contrast / float(np.linalg.norm(contrast))
