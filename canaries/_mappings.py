"""Dicts of arrays, and torch data sets whose items are dicts."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from canaries._columns import Column, named_column, numeric_column
from canaries._data import as_kind, edit, to_numpy
from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class MappingStore:
    """``{name: (n, ...) array or tensor, or list}`` as a `Store`.

    Raises:
        UsageError: no columns, or columns that differ in length.
    """

    data: Mapping[Hashable, Any]

    def __post_init__(self) -> None:
        lengths = {name: len(column) if hasattr(column, "__len__") else None for name, column in self.data.items()}
        if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
            raise UsageError("columns of a dict", allowed="arrays of one length, at least 1", got=str(lengths))

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Its keys."""
        return tuple(self.data)

    def column(self, name: Hashable) -> Column:
        """Numbers of arrays and tensors; lists of anything else by their values."""
        return _column(name, self.data[name])

    def record(self, values: Mapping[Hashable, Any]) -> Any:
        """The array of a single column, else a dict; tensors where the data has tensors."""
        return one_or_all({name: self.cell(name, value) for name, value in values.items()})

    def cell(self, name: Hashable, value: Any) -> Any:
        """Of the kind that the column holds."""
        return _like(value, self.data[name])

    def edited(self, values: Mapping[Hashable, Any], replaced: int | None, copies: int = 1) -> Any:
        """A dict of the same type with longer, or changed, columns."""
        made = {name: _edited(self.data[name], values[name], replaced, copies) for name in self.names}
        return _like_mapping(self.data, made)

    def selected(self, at: Sequence[int]) -> Any:
        """The rows of every column."""
        made = {k: [v[i] for i in at] if isinstance(v, list) else v[list(at)] for k, v in self.data.items()}
        return _like_mapping(self.data, made)


@dataclass(frozen=True, eq=False)
class ItemStore:
    """A torch Dataset, or a list, of ``{name: value}`` items as a `Store`.

    Raises:
        UsageError: items with other keys than the first one.
    """

    data: Any

    @cached_property
    def _items(self) -> list[Any]:
        items = [self.data[i] for i in range(len(self.data))]
        if any(not isinstance(item, Mapping) or item.keys() != items[0].keys() for item in items):
            raise UsageError("items of this Dataset", allowed="dicts with the same keys", got="others")
        return items

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Keys of an item."""
        return tuple(self._items[0])

    def column(self, name: Hashable) -> Column:
        """Numbers and arrays of one shape; anything else by its values."""
        return _column(name, [item[name] for item in self._items])

    def record(self, values: Mapping[Hashable, Any]) -> Any:
        """The value of a single key, else a dict; of the kinds that items have."""
        return one_or_all({name: self.cell(name, value) for name, value in values.items()})

    def cell(self, name: Hashable, value: Any) -> Any:
        """Of the kind that items hold."""
        return _like(value, self._items[0][name])

    def edited(self, values: Mapping[Hashable, Any], replaced: int | None, copies: int = 1) -> Any:
        """A Dataset that reads from this one; a list of a list."""
        from canaries._edited import Edited

        first = self._items[0]
        item = _like_mapping(first, {name: self.cell(name, values[name]) for name in self.names})
        if isinstance(self.data, list):
            end = len(self.data) if replaced is None else replaced
            return [*self.data[:end], *[item] * copies, *self.data[end + 1 :]]
        if copies == 1:
            return Edited(self.data, item, len(self._items) if replaced is None else replaced)
        from torch.utils.data import ConcatDataset

        further: Any = [item] * copies
        return ConcatDataset([self.data, further])

    def selected(self, at: Sequence[int]) -> Any:
        """A ``Subset``; a list of a list."""
        if isinstance(self.data, list):
            return [self.data[i] for i in at]
        from torch.utils.data import Subset

        return Subset(self.data, list(at))


def one_or_all(values: Mapping[Hashable, Any]) -> Any:
    """The value of the only name, else all of them: what an attack sees as the record's features."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _column(name: Hashable, column: Any) -> Column:
    parts = [to_numpy(value) for value in column] if isinstance(column, list) else [to_numpy(column)]
    numbers = all(part.dtype.kind in "iubf" for part in parts)
    if not numbers:
        values = column if isinstance(column, list) else to_numpy(column).tolist()
        return named_column(name, values)
    if not isinstance(column, list):
        return numeric_column(name, parts[0])
    try:
        return numeric_column(name, np.stack(parts))
    except ValueError:
        raise UsageError(
            f"values of {name!r} differ in shape", allowed="one shape for all", remedy="pad or crop them first"
        ) from None


def _edited(column: Any, value: Any, replaced: int | None, copies: int) -> Any:
    if isinstance(column, list):
        value = _like(value, column)
        end = len(column) if replaced is None else replaced
        return [*column[:end], *[value] * copies, *column[end + 1 :]]
    for _ in range(copies):
        column = edit(column, to_numpy(value), replaced)
    return column


def _like(value: Any, column: Any) -> Any:
    """`value` of the kind that `column`, or a value of it, is."""
    one = column[0] if isinstance(column, list) else column
    if value is None or isinstance(value, str) or isinstance(one, str):
        return value
    if np.isscalar(value) and isinstance(one, np.ndarray):  # of the column's dtype already
        return value
    return as_kind(to_numpy(value), one)


def _like_mapping(data: Any, made: dict[Hashable, Any]) -> Any:
    return made if type(data) is dict else type(data)(made)
