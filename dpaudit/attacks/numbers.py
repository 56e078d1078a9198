"""Releases that are numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks._canary import probe_direction
from dpaudit.digest import arrays_in
from dpaudit.errors import UsageError
from dpaudit.modules import is_tensor
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release

_EACH_UP_TO = 64


@dataclass(frozen=True)
class Numbers:
    """A float or an array, value by value up to 64 of them.

    ``value`` (or ``value_0``, ``value_1`` ...) and ``norm``; beyond 64 values ``norm``, ``max`` and ``projection``.
    ``max`` is the largest magnitude, ``projection`` the part along ``context["direction"]`` (NaN if the sizes differ).
    A known start of the same shape is subtracted first.
    """

    name: ClassVar[str] = "numbers"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The statistics, float64.

        Raises:
            UsageError: the release is not a number or a numeric array, or its start has another shape.
        """
        values = as_numbers(release.value)
        if values is None:
            raise UsageError("a release of numbers", allowed="a float or an array", got=type(release.value).__name__)
        if release.initial is not None:
            start = as_numbers(release.initial)
            if start is None or start.shape != values.shape:
                raise UsageError("Release.initial", allowed=f"numbers of shape {values.shape}", got=release.initial)
            with np.errstate(invalid="ignore"):
                values = values - start
        flat = values.ravel()
        with np.errstate(all="ignore"):
            norm = float(np.sqrt(np.sum(flat**2)))
            if flat.size == 1:
                return {"value": float(flat[0]), "norm": norm}
            if flat.size <= _EACH_UP_TO:
                return {**{f"value_{i}": float(v) for i, v in enumerate(flat)}, "norm": norm}
            direction = probe_direction(neighbors)
            along = np.nan if direction is None or direction.size != flat.size else float(flat @ direction)
            return {"norm": norm, "max": float(np.max(np.abs(flat))), "projection": along}


def as_numbers(value: Any) -> NDArray[np.float64] | None:
    """A number, a numeric array or tensor, or a list of numbers as float64; None for anything else, or nothing."""
    if isinstance(value, (list, tuple)):
        if not value or not all(isinstance(v, (bool, int, float, np.number)) for v in value):
            return None
        value = np.asarray(value)
    if not (isinstance(value, (bool, int, float, np.generic, np.ndarray)) or is_tensor(value)):
        return None
    found = list(arrays_in(value))
    if len(found) != 1 or found[0].dtype.kind not in "iubf" or found[0].size == 0:
        return None
    return found[0].astype(np.float64)
