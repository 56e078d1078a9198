"""Worlds for preflight: a handful of records that all fit one batch, with and without the canary."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dpaudit.adjacency import Adjacency
from dpaudit.checks.observe.seen import CannotSee
from dpaudit.neighbors import Neighbors

__all__ = ["Small", "resized", "small_worlds"]

_FEW = 8


@dataclass(frozen=True, eq=False)
class Small:
    """A few records of D0 and the canary, of the kind the user's data are.

    Attributes:
        without: (D0's) records.
        included: those with the canary; None if that is a gradient.
        fewer: `without` less one ordinary record.
        scaled: `included` with a canary whose features are multiplied; factor -> data. Empty for whole-number features.
        nan: `included` with NaN in the features of the canary; None for whole-number features.
        records: how many `without` holds.
        added: how many records of all of D1 are not in D0.
        changed: how many canaries there are.
        replaced: whether they stand for other records.
    """

    without: Any
    included: Any
    fewer: Any
    scaled: dict[float, Any]
    nan: Any
    records: int
    added: int
    changed: int
    replaced: bool


def small_worlds(neighbors: Neighbors, records: int = _FEW) -> Small:
    """At most `records` records that both worlds share, and those that they do not.

    Raises:
        CannotSee: data that cannot be taken apart into records.
    """
    from dpaudit.errors import UsageError
    from dpaudit.mechanisms._records import Worlds

    try:
        worlds = Worlds.of(neighbors)
    except UsageError as error:
        raise CannotSee(f"the data cannot be taken apart: {error}") from None
    added = (worlds.included & ~worlds.excluded).nonzero().flatten().numpy()
    removed = (worlds.excluded & ~worlds.included).nonzero().flatten().numpy()
    shared = (worlds.excluded & worlds.included).nonzero().flatten().numpy()[:records]
    if len(added) == 0 and worlds.gradient is None:
        raise CannotSee("D1 holds no record that D0 lacks")
    x, y = worlds.pool.x, worlds.pool.y

    def world(rows: Any, factor: float | None = None) -> Any:
        at = np.sort(rows)
        features = x[at].clone()
        if factor is not None:
            features[np.isin(at, added)] *= factor
        return _like(neighbors.excluded, features, y[at])

    both, floats = np.concatenate([shared, added]), x.is_floating_point() and len(added) > 0
    return Small(
        without=world(np.concatenate([shared, removed])),
        included=world(both) if len(added) else None,
        fewer=world(np.concatenate([shared[1:], removed])),
        scaled={
            factor: world(both, factor)
            for factor in (1e-2, 1e2)
            if floats and bool((x[added] * factor).isfinite().all())
        },
        nan=world(both, float("nan")) if floats else None,
        records=len(shared) + len(removed),
        added=len(added),
        changed=neighbors.canaries,
        replaced=neighbors.adjacency is not Adjacency.ADD_OR_REMOVE_ONE,
    )


def resized(data: Any, records: int) -> Any:
    """The first `records` of an (x, y) pair; the last one again if there are not as many.

    Raises:
        CannotSee: other data.
    """
    if not isinstance(data, tuple) or not all(hasattr(part, "shape") and len(part) for part in data):
        raise CannotSee("only pairs of arrays or tensors can be resized")
    rows = np.minimum(np.arange(records), len(data[0]) - 1)
    return tuple(part[rows] for part in data)


def _like(data: Any, x: Any, y: Any) -> Any:
    """Tensors as the user's kind of data."""
    if isinstance(data, tuple):
        return tuple(
            part.numpy() if isinstance(own, np.ndarray) else part for own, part in zip(data, (x, y), strict=True)
        )
    if type(data).__module__.startswith("torch.utils.data"):
        from torch.utils.data import TensorDataset

        return TensorDataset(x, y)
    raise CannotSee(f"a smaller data set of type {type(data).__name__} cannot be made")
