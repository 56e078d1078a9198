"""Two worlds as one pool of records and two masks, so that models of both can be trained side by side."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble import Pool
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors, WithGradient
from dpaudit.tables import is_frame, is_loader

__all__ = ["Kept", "WithGradient", "Worlds", "read_pool"]


@dataclass(frozen=True, eq=False)
class Worlds:
    """The records of D0, then those of D1 that D0 does not have.

    Attributes:
        pool: all of them.
        excluded: (n,) bool, those of D0.
        included: (n,) bool, those of D1.
        gradient: (P,) the gradient canary of D1, or (T, P), that of each step; None for worlds of records.
    """

    pool: Pool
    excluded: Tensor
    included: Tensor
    gradient: Tensor | None = None

    @classmethod
    def of(cls, neighbors: Neighbors) -> "Worlds":
        """The worlds of `neighbors`; a record that is there twice counts twice.

        Raises:
            UsageError: data of another kind, or worlds whose records differ in shape.
        """
        if isinstance(neighbors.included, WithGradient):
            pool = read_pool(neighbors.excluded)
            everything = torch.ones(len(pool), dtype=torch.bool)
            return cls(pool, everything, everything, torch.as_tensor(neighbors.included.gradient).detach().float())
        d0, d1 = read_pool(neighbors.excluded), read_pool(neighbors.included)
        if d0.x.shape[1:] != d1.x.shape[1:] or d0.y.shape[1:] != d1.y.shape[1:]:
            raise UsageError("records of D0 and D1 differ in shape", allowed=str(d0.features), got=d1.features)
        places = defaultdict(list)
        for at, key in reversed(list(enumerate(_keys(d0)))):
            places[key].append(at)
        shared = [places[key].pop() if places[key] else None for key in _keys(d1)]
        fresh = torch.tensor([at is None for at in shared])
        pool = Pool(torch.cat([d0.x, d1.x[fresh]]), torch.cat([d0.y, d1.y[fresh]]))
        at_all = torch.arange(len(pool))
        included = at_all >= len(d0)
        included[[at for at in shared if at is not None]] = True
        return cls(pool, at_all < len(d0), included)

    @property
    def size(self) -> int:
        """Number of records of D0."""
        return int(self.excluded.sum())

    def present(self, included: Tensor) -> Tensor:
        """(M, n) bool for models whose coins are `included` (M,)."""
        return torch.where(included[:, None], self.included, self.excluded)


class Kept:
    """What a process works out once: the pool of the neighbours it has seen last. Pickled, it is forgotten."""

    def __init__(self) -> None:
        self._of: Neighbors | None = None
        self._worlds: Worlds | None = None

    def __reduce__(self) -> tuple[type["Kept"], tuple[()]]:
        return Kept, ()

    def worlds(self, neighbors: Neighbors) -> Worlds:
        """Of `neighbors`."""
        if self._worlds is None or self._of is not neighbors:
            self._of, self._worlds = neighbors, Worlds.of(neighbors)
        return self._worlds


def read_pool(data: Any) -> Pool:
    """The records of an (x, y) pair of arrays or tensors, or of a torch Dataset of such items.

    Raises:
        UsageError: another kind of data.
    """
    if isinstance(data, tuple) and len(data) == 2:
        x, y = (torch.as_tensor(part).detach().cpu() for part in data)
    elif is_loader(data):
        return read_pool(data.dataset)
    elif (
        not is_frame(data)
        and hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, tuple | str | bytes | Mapping)
    ):
        items = [data[i] for i in range(len(data))]
        if not items or not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
            raise UsageError("records of the ensemble", allowed="a Dataset of (x, y) items", got=type(data).__name__)
        x, y = (torch.stack([torch.as_tensor(item[i]).detach().cpu() for item in items]) for i in (0, 1))
    else:
        raise UsageError(
            "data of the ensemble",
            allowed="an (x, y) pair of arrays or tensors, or a torch Dataset of such items",
            got=type(data).__name__,
        )
    return Pool(x, y)


def _keys(pool: Pool) -> list[tuple[bytes, bytes]]:
    """Each record by its bytes: NaN is like NaN."""
    return [(x.tobytes(), y.tobytes()) for x, y in zip(pool.x.numpy(), pool.y.numpy(), strict=True)]
