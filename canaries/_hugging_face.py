"""Hugging Face data sets: rows in memory, features and format as they were. Imported where one came in."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from canaries._columns import Column, named_column, numeric_column
from canaries._data import Array
from canaries._mappings import one_or_all
from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class HuggingFaceStore:
    """A ``datasets.Dataset`` as a `Store`; nothing is written to a cache.

    Raises:
        UsageError: no records.
    """

    data: Any

    def __post_init__(self) -> None:
        if len(self.data) == 0:
            raise UsageError("the data set is empty", allowed="at least one record", got="no rows")

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Of the columns, in their order."""
        return tuple(self.data.column_names)

    @cached_property
    def _stored(self) -> Any:
        """The rows as an arrow table."""
        return self.data.with_format("arrow")[:]

    def column(self, name: Hashable) -> Column:
        """Numbers, arrays of one shape and images as numbers; anything else by its values."""
        dtype = _dtype_of(self.data.features[name])
        if dtype is not None and (numbers := _block(self._stored.column(name))) is not None:
            return numeric_column(name, numbers.astype(dtype, copy=False))
        values = list(self.data.with_format(None).select_columns([name])[:][name])
        if dtype is None and hasattr(values[0], "getbands"):  # images
            values, dtype = [np.asarray(value) for value in values], np.dtype(np.uint8)
        if dtype is None:
            return named_column(name, values)
        if any(value is None for value in values):
            numbers = np.array([np.nan if value is None else value for value in values], np.float64)
            return numeric_column(name, numbers, dtype, missing=dtype.kind != "f")
        try:
            return numeric_column(name, np.array(values, dtype))
        except ValueError:
            raise UsageError(
                f"lists in column {name!r} differ in length", allowed="one length", remedy="pad or cut them first"
            ) from None

    def record(self, values: Mapping[Hashable, Any]) -> Any:
        """The array of a single column, else a dict."""
        return one_or_all({name: self.cell(name, value) for name, value in values.items()})

    def cell(self, name: Hashable, value: Any) -> Any:
        """Numbers as Python's, arrays as numpy's."""
        return value.item() if isinstance(value, np.generic) else value

    def edited(self, values: Mapping[Hashable, Any], replaced: int | None, copies: int = 1) -> Any:
        """Parts of the data set around the new rows."""
        from datasets import Dataset, concatenate_datasets

        data = self.data
        cells = {name: [self.cell(name, values[name])] * copies for name in self.names}
        rows = Dataset.from_dict(cells, features=data.features, split=data.split)
        at = len(data) if replaced is None else replaced
        around = (range(at), range(at + 1, len(data)))
        before, after = ([data.with_format(None).select(part)] if len(part) else [] for part in around)
        made = concatenate_datasets([*before, rows, *after], info=data.info, split=data.split)
        made.set_format(**data.format)
        return made

    def selected(self, at: Sequence[int]) -> Any:
        """``select``."""
        return self.data.select(list(at))


def _dtype_of(feature: Any) -> np.dtype[Any] | None:
    """Of the numbers in a column; None if it holds something else."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    name = getattr(feature, "dtype", None)
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except TypeError:  # string, date32, ...
        return None
    return dtype if dtype is not None and dtype.kind in "iubf" else None


def _block(column: Any) -> Array | None:
    """An arrow column of numbers, or of lists of one length, as one array; None if there is a gap."""
    import pyarrow as pa
    from pyarrow import compute

    array = column.combine_chunks()
    shape = [len(column)]
    while not isinstance(array, pa.ChunkedArray) and array.null_count == 0:
        kind = array.type
        if isinstance(kind, pa.ExtensionType):
            array = array.storage
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            lengths = compute.unique(compute.list_value_length(array)).to_pylist()
            if len(lengths) != 1:
                return None
            shape.append(lengths[0])
            array = array.flatten()
        else:
            return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(shape)
    return None
