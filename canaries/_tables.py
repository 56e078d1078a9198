"""Tables of any kind as recipes see them: all columns but one are the record, that one is its label."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from canaries._columns import Column, block_of
from canaries._data import Array
from dpaudit.errors import UsageError
from dpaudit.tables import is_frame, is_hugging_face, label_column

__all__ = ["Store", "Table", "TableView", "read_table", "store_of"]


@dataclass(frozen=True, eq=False)
class Table:
    """A table and the name of its label column, for recipes: ``blank(Table(frame, label="income"))``.

    Not needed where the column is called label, labels, target or y. The training function gets the table itself.

    Args:
        data: a pandas DataFrame, a Hugging Face ``datasets.Dataset``, a dict of arrays, a torch Dataset or a list
            whose items are dicts; or a DataLoader of such a data set, or a function that makes one.
        label: the column with labels (whole numbers, or names) or targets (floats).
    """

    data: Any
    label: Hashable


class Store(Protocol):
    """One kind of table: how its columns are read, and how rows are put into it."""

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Of its columns."""
        ...

    def column(self, name: Hashable) -> Column:
        """One of them."""
        ...

    def record(self, values: Mapping[Hashable, Any]) -> Any:
        """Features of a record as a training function would see them, for an attack: a row, or a dict."""
        ...

    def cell(self, name: Hashable, value: Any) -> Any:
        """A value as it is read from column `name`."""
        ...

    def edited(self, values: Mapping[Hashable, Any], replaced: int | None, copies: int = 1) -> Any:
        """The table with `copies` rows of these values after it, or one in place of row `replaced`."""
        ...

    def selected(self, at: Sequence[int]) -> Any:
        """The rows at these positions."""
        ...


@dataclass(frozen=True, eq=False)
class TableView:
    """A table taken apart.

    Attributes:
        store: the table.
        features: every column but the label's.
        target: the label's.
    """

    store: Store
    features: tuple[Column, ...]
    target: Column

    @property
    def named(self) -> Array:
        """(d,) bool: which features of the flattened record are positions of names, not numbers."""
        return np.concatenate([np.full(column.size, column.dtype is None) for column in self.features])

    def fitted(self, x: Array) -> Array:
        """`x` (a record's shape) as the columns can hold it, in the same dtype."""
        fitted = np.concatenate([c.fitted(part).ravel() for c, part in self._parts(x)])
        return np.asarray(fitted.astype(x.dtype).reshape(x.shape))

    def with_record(self, x: Array, y: Array, replaced: int | None) -> tuple[Any, tuple[Any, Any]]:
        """The table with this record appended or in place of another, and the record."""
        values = {column.name: column.value(part) for column, part in self._parts(x)}
        label = self.target.value(y.ravel())
        made = self.store.edited({**values, self.target.name: label}, replaced)
        return made, (self.store.record(values), self.store.cell(self.target.name, label))

    def record_at(self, at: int) -> tuple[Any, Any]:
        """Record `at`, as `with_record` returns one."""
        values = {column.name: column.value(column.numbers[at].ravel()) for column in self.features}
        label = self.target.value(self.target.numbers[at].ravel())
        return self.store.record(values), self.store.cell(self.target.name, label)

    def with_copies(self, record: tuple[Any, Any], copies: int) -> Any:
        """The table with `copies` of a record that `with_record` returned after it."""
        return self.store.edited({**self._values(record[0]), self.target.name: record[1]}, None, copies)

    def numbers_of(self, record: tuple[Any, Any], x: Array, y: Array) -> tuple[Array, Array]:
        """A record that `with_record` returned as numbers again, like those of `x` and `y`, the table's own.

        Raises:
            UsageError: a name that the table does not have.
        """
        values = self._values(record[0])
        flat = np.concatenate([column.numbers_of(values[column.name]) for column in self.features])
        label = self.target.numbers_of(record[1])
        if x.dtype.kind in "iub" and not np.isfinite(flat).all():
            raise UsageError("a record with missing values", allowed="a column where others miss one too", got="NaN")
        return flat.astype(x.dtype).reshape(x.shape[1:]), label.astype(y.dtype).reshape(y.shape[1:])

    def _values(self, x: Any) -> dict[Hashable, Any]:
        if is_frame(x):
            return {name: x[name].iloc[0] for name in x.columns}
        return dict(x) if isinstance(x, Mapping) else {self.features[0].name: x}

    def _parts(self, x: Array) -> list[tuple[Column, Array]]:
        ends = np.cumsum([column.size for column in self.features])[:-1]
        return list(zip(self.features, np.split(x.ravel(), ends), strict=True))


def store_of(data: Any) -> Store | None:
    """The store for this kind of table; None if it is none."""
    if is_frame(data):
        from canaries._frames import FrameStore

        return FrameStore(data)
    if is_hugging_face(data):
        from canaries._hugging_face import HuggingFaceStore

        return HuggingFaceStore(data)
    if isinstance(data, Mapping):
        from canaries._mappings import MappingStore

        return MappingStore(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and len(data) and isinstance(_first(data), Mapping):
        from canaries._mappings import ItemStore

        return ItemStore(data)
    return None


def read_table(store: Store, label: Hashable | None) -> tuple[Array, Array, TableView]:
    """x, y and the table taken apart.

    Raises:
        UsageError: no such label column, missing labels, or no other column.
    """
    target_name = label_column(store.names, label)
    rest = tuple(store.column(name) for name in store.names if name != target_name)
    if not rest:
        raise UsageError("a table without features", allowed="a column beside the label's", got=str(target_name))
    target = store.column(target_name)
    if target.missing and np.isnan(target.numbers).any():
        raise UsageError(f"labels in {target_name!r} are missing", allowed="one a record", remedy="drop these records")
    view = TableView(store, rest, target)
    return block_of(rest), target.numbers, view


def _first(data: Any) -> Any:
    try:
        return data[0]
    except Exception:  # whatever a user's data set makes of an index
        return None
