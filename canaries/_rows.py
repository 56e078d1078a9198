"""Some rows of a data set of any kind, or some more of them, in that same kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from canaries._data import Array, Records, read_records, reading
from canaries._tables import store_of
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.tables import is_loader


def selected(data: Any, indices: Sequence[int]) -> Any:
    """The records at `indices`, in that order, as new arrays or tensors, or as a ``Subset`` of a torch Dataset."""
    at = [int(i) for i in indices]
    if is_loader(data):
        return reading(data, selected(data.dataset, at))
    if isinstance(data, tuple):
        return _tuple_of(data, [part[at] for part in data])
    if hasattr(data, "tensors"):
        return type(data)(*(part[at] for part in data.tensors))
    if (store := store_of(data)) is not None:
        return store.selected(at)
    from torch.utils.data import Subset

    return Subset(data, at)


def with_copies(data: Any, record: tuple[Any, Any], copies: int, label: Any = None) -> Any:
    """The data and `copies` of `record` after it; dtype and device are the data's.

    `label` is the label column of a table.
    """
    if copies == 0:
        return data
    if is_loader(data):
        return reading(data, with_copies(data.dataset, record, copies, label))
    if not isinstance(data, tuple) and (table := read_records(data, label).table) is not None:
        return table.with_copies(record, copies)
    if isinstance(data, tuple):
        return _tuple_of(data, [_longer(part, value, copies) for part, value in zip(data, record, strict=True)])
    if hasattr(data, "tensors"):
        return type(data)(*(_longer(part, value, copies) for part, value in zip(data.tensors, record, strict=True)))
    from torch.utils.data import ConcatDataset

    further: Any = [record] * copies
    return ConcatDataset([data, further])


def canary_of(neighbors: Neighbors) -> tuple[Any, Any]:
    """The canary's (x, y).

    Raises:
        UsageError: not `Neighbors` of records.
    """
    if not isinstance(neighbors, Neighbors):
        raise UsageError("neighbors", allowed="Neighbors of a recipe", got=type(neighbors).__name__)
    record = neighbors.canary
    if not isinstance(record, (tuple, list)) or len(record) != 2:
        raise UsageError(
            "these neighbors have no record as their canary",
            allowed="Neighbors(..., canary=(x, y))",
            got=type(record).__name__,
            remedy="canaries.mislabeled(data)",
        )
    return record[0], record[1]


def read_neighbors(neighbors: Neighbors) -> Records:
    """The records of D0 of neighbours that a recipe can build on.

    Raises:
        UsageError: no canary that is a record, data of another kind, or adjacency zero-out.
    """
    canary_of(neighbors)
    if neighbors.adjacency is Adjacency.ZERO_OUT:
        raise UsageError(
            "a recipe cannot change zero-out neighbours",
            allowed=f"{Adjacency.ADD_OR_REMOVE_ONE}, {Adjacency.REPLACE_ONE}",
            got=str(neighbors.adjacency),
        )
    return read_records(neighbors.excluded, neighbors.context.get("label_column"))


def whole(name: str, value: Any, *, least: int) -> int:
    """`value` as an int >= `least`.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(name, allowed=f"a whole number >= {least}", got=value)
    return int(value)


def _tuple_of(data: tuple[Any, ...], parts: list[Any]) -> Any:
    make = getattr(data, "_make", None)  # of a named tuple
    return tuple(parts) if make is None else make(parts)


def _longer(part: Any, value: Any, copies: int) -> Any:
    if isinstance(part, np.ndarray):
        row: Array = np.asarray(value, dtype=part.dtype)
        return np.concatenate([part, np.repeat(row[None], copies, axis=0)])
    import torch

    row_tensor = torch.as_tensor(value).detach().to(dtype=part.dtype, device=part.device)
    return torch.cat([part.detach(), row_tensor[None].expand(copies, *row_tensor.shape)])
