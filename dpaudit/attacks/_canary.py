"""The canary as an attack needs it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks._inputs import numbers_of
from dpaudit.digest import arrays_in
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


@dataclass(frozen=True)
class Canary:
    """The canary's record.

    Attributes:
        x: as it stands in the data set.
        y: float64 (labels too), flattened.
        labelled: y is one class label.
        name: of the class, where the data has names for its classes; None for numbers.
    """

    x: Any
    y: NDArray[np.float64]
    labelled: bool
    name: str | None = None

    @property
    def label(self) -> int:
        """The class label.

        Raises:
            UsageError: the canary has a target, several labels, or the name of a class.
        """
        if not self.labelled or self.name is not None:
            told = f"y = {self.y}" if self.name is None else self.name
            raise UsageError("this statistic needs a class label", allowed="an integer y", got=told)
        return int(self.y[0])


def canary_of(neighbors: Neighbors) -> Canary:
    """The canary of these neighbours.

    Raises:
        UsageError: they have no canary, or none that is an (x, y) record.
    """
    record = neighbors.canary
    if not isinstance(record, (tuple, list)) or len(record) != 2:
        raise UsageError(
            "this statistic needs the canary's record",
            allowed="Neighbors(..., canary=(x, y))",
            got=type(record).__name__,
        )
    if isinstance(record[1], str):
        return Canary(record[0], np.zeros(0), True, str(record[1]))
    values = list(arrays_in(record[1]))
    y = np.concatenate([v.ravel() for v in values]) if values else np.zeros(0)
    return Canary(record[0], y.astype(np.float64), y.dtype.kind in "iub" and y.size == 1)


def has_target(neighbors: Neighbors) -> bool:
    """Whether the canary is a record with a target instead of a class label."""
    record = neighbors.canary
    return isinstance(record, (tuple, list)) and len(record) == 2 and not canary_of(neighbors).labelled


def flat_record(neighbors: Neighbors) -> NDArray[np.float64]:
    """The canary's features as one float64 vector; empty if it has none."""
    record = neighbors.canary
    if not isinstance(record, (tuple, list)) or len(record) != 2:
        return np.zeros(0)
    try:
        features = numbers_of(record[0])
    except UsageError:  # of a table with names in it, which no model's features are
        return np.zeros(0)
    parts = [part.ravel().astype(np.float64) for part in arrays_in(features) if part.dtype.kind in "iubf"]
    return np.concatenate(parts) if parts else np.zeros(0)


def probe_direction(neighbors: Neighbors) -> NDArray[np.float64] | None:
    """The unit direction in feature space along which the canary shows best; None if there is none.

    The part of ``context["direction"]`` (default: of the canary's own features) on ``context["dead_features"]``,
    where no other record's gradient has a component; the whole of it where it has no part there.
    """
    given = neighbors.context.get("direction")
    vector = flat_record(neighbors) if given is None else next(arrays_in(given)).ravel().astype(np.float64)
    dead = neighbors.context.get("dead_features")
    whole = _unit(vector)
    if whole is None or dead is None:
        return whole
    part = np.zeros_like(whole)
    indices = np.asarray(dead, dtype=np.intp)
    part[indices] = whole[indices]
    return _unit(part) if np.linalg.norm(part) > 1e-3 else whole


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64] | None:
    largest = float(np.abs(vector).max(initial=0.0))
    if not 0.0 < largest < np.inf:
        return None
    scaled = vector / largest
    return scaled / float(np.linalg.norm(scaled))
