"""Pandas DataFrames: rows that keep every column's dtype, categories and missing values, and the index. No import."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from canaries._columns import Column, named_column, numeric_column
from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class FrameStore:
    """A DataFrame as a `Store`.

    Raises:
        UsageError: two columns of one name, or no records.
    """

    frame: Any

    def __post_init__(self) -> None:
        if not self.frame.columns.is_unique:
            raise UsageError("columns of the DataFrame", allowed="each name once", got=str(list(self.frame.columns)))
        if len(self.frame) == 0:
            raise UsageError("the data set is empty", allowed="at least one record", got="no rows")

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Of the columns, in their order."""
        return tuple(self.frame.columns)

    def column(self, name: Hashable) -> Column:
        """Numbers, also nullable ones, as numbers; categories in their order; anything else by its values."""
        series = self.frame[name]
        dtype, absent = series.dtype, series.isna().to_numpy()
        if isinstance(dtype, np.dtype) and dtype.kind in "iubf":
            return numeric_column(name, series.to_numpy())
        stored = getattr(dtype, "numpy_dtype", None)  # of a nullable dtype
        if isinstance(stored, np.dtype) and stored.kind in "iubf":
            if absent.any():
                numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
                return numeric_column(name, numbers, stored, missing=True)
            return numeric_column(name, series.to_numpy(dtype=stored), missing=True)
        values = [None if gone else value for value, gone in zip(series.tolist(), absent, strict=True)]
        return named_column(name, values, getattr(dtype, "categories", None))

    def record(self, values: Mapping[Hashable, Any]) -> Any:
        """A frame of one row, without the label."""
        return self._rows(values, self.frame.index[:1]).loc[:, list(values)].reset_index(drop=True)

    def cell(self, name: Hashable, value: Any) -> Any:
        """As it is."""
        return value

    def edited(self, values: Mapping[Hashable, Any], replaced: int | None, copies: int = 1) -> Any:
        """New rows get index labels that go on from the last; a replaced row keeps its own."""
        from pandas import concat

        frame, index = self.frame, self.frame.index
        if replaced is not None:
            row = self._rows(values, index[[replaced]])
            made = concat([frame.iloc[:replaced], row, frame.iloc[replaced + 1 :]])
            made.index = index
        else:
            more = self._further(copies)
            made = concat([frame, self._rows(values, more)])
            made.index = index.append(more).rename(index.name)
        made.attrs = dict(frame.attrs)
        return made

    def selected(self, at: Sequence[int]) -> Any:
        """``iloc``."""
        return self.frame.iloc[list(at)]

    def _rows(self, values: Mapping[Hashable, Any], index: Any) -> Any:
        """A frame with these columns' dtypes, one row an index label; columns without a value as in the first row."""
        from pandas import array

        row = self.frame.iloc[[0] * len(index)].copy()
        for at, name in enumerate(self.names):
            if name in values:
                dtype = self.frame[name].dtype
                cells = [values[name]] * len(index)
                row.isetitem(
                    at,
                    np.array(cells, dtype)
                    if isinstance(dtype, np.dtype) and dtype.kind in "iubf"
                    else array(cells, dtype=dtype),
                )
        row.index = index
        return row

    def _further(self, copies: int) -> Any:
        from pandas import Index, RangeIndex

        index = self.frame.index
        if isinstance(index, RangeIndex):
            return RangeIndex(index.stop, index.stop + copies * index.step, index.step, name=index.name)
        if getattr(index.dtype, "kind", "O") in "iu" and index.nlevels == 1:
            first = int(index.max()) + 1
            return Index(np.arange(first, first + copies), dtype=index.dtype, name=index.name)
        raise UsageError(
            "which label the canary's row gets in this index is not clear",
            allowed="an index of whole numbers",
            got=f"{type(index).__name__} of {index.dtype}",
            remedy="frame.reset_index(), or Adjacency.REPLACE_ONE",
        )
