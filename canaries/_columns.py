"""One column of a table as numbers, and one value of it from numbers."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from canaries._data import Array, cast, to_numpy
from dpaudit.errors import UsageError

_EXACT = 2**53  # whole numbers up to here are floats too


@dataclass(frozen=True, eq=False)
class Column:
    """A column that recipes can work with.

    Attributes:
        name: as the table has it.
        numbers: (n, ...) its values: numbers as they are, anything else as the position in `values`; NaN is missing.
        dtype: of a number that is written back; None for anything else.
        values: of a column without numbers: its distinct values, as far as they can be in order.
        missing: whether a missing value that is no floating NaN may be written: in nullable numbers, and among names
            where there is one already.
    """

    name: Hashable
    numbers: Array
    dtype: np.dtype[Any] | None
    values: tuple[Any, ...] = ()
    missing: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return tuple(self.numbers.shape[1:])

    @property
    def size(self) -> int:
        """Numbers in one value."""
        return int(np.prod(self.shape))

    def fitted(self, numbers: Array) -> Array:
        """`numbers` (size,) as this column can hold them: whole where it must be, positions of values it knows.

        Raises:
            UsageError: a missing value where there is none, or a number that does not fit.
        """
        if self.dtype is None:
            return self._whole(numbers, 0, len(self.values) - 1)
        if self.dtype.kind == "b":
            return self._whole(numbers, 0, 1)
        if self.dtype.kind in "iu":
            whole = self._whole(numbers, None, None)
            cast(whole[whole == whole], self.dtype, f"column {self.name!r} of the canary")  # without NaN
            return whole
        return cast(numbers, self.dtype, f"column {self.name!r} of the canary")

    def value(self, numbers: Array) -> Any:
        """What stands in the table for `numbers` (size,), which are `fitted`; None for a missing value."""
        if self.dtype is None or self.missing:
            one = numbers.item()
            if np.isnan(one):
                return None
            return self.values[int(one)] if self.dtype is None else self.dtype.type(one)
        shaped = numbers.astype(self.dtype).reshape(self.shape)
        return shaped if self.shape else shaped[()]

    def numbers_of(self, value: Any) -> Array:
        """(size,) numbers for what stands in the table.

        Raises:
            UsageError: a name that this column does not know.
        """
        if _absent(value) and self.missing:
            return np.array([np.nan])
        if self.dtype is not None and not _absent(value):
            return to_numpy(value).ravel()
        if self.dtype is not None and self.dtype.kind == "f":
            return np.full(self.size, np.nan)
        if not _absent(value) and value in self.values:
            return np.array([self.values.index(value)])
        raise UsageError(
            f"value of column {self.name!r}",
            allowed=", ".join(map(str, self.values)),
            got=str(value),
            remedy="a record whose values others have too",
        )

    def _whole(self, numbers: Array, low: int | None, high: int | None) -> Array:
        if numbers.dtype.kind in "iub":
            return numbers if low is None else np.clip(numbers, low, high)
        known = ~np.isnan(numbers)
        if not known.all() and not self.missing:
            raise UsageError(
                f"column {self.name!r} of the canary cannot be missing",
                allowed="values of a column that holds whole numbers or names",
                got="NaN",
                remedy="another recipe, or a float column",
            )
        whole = np.rint(numbers) if low is None else np.clip(np.rint(numbers), low, high)
        return np.asarray(np.where(known, whole, np.nan))


def _absent(value: Any) -> bool:
    """None, or NaN of any library; never an array."""
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        return False
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA, which is neither
        return True


def numeric_column(name: Hashable, numbers: Array, dtype: np.dtype[Any] | None = None, missing: bool = False) -> Column:
    """A column of numbers; `dtype` where it is stored as another one than `numbers` are."""
    return Column(name, numbers, numbers.dtype if dtype is None else dtype, (), missing)


def named_column(name: Hashable, values: Sequence[Any], order: Iterable[Any] | None = None) -> Column:
    """A column of anything that can be told apart: strings, dates, categories. None is missing.

    Args:
        name: of the column.
        values: one a record.
        order: of the distinct values; None sorts them, or keeps the order of appearance where they do not sort.

    Raises:
        UsageError: values that cannot be told apart, such as lists.
    """
    try:
        seen = dict.fromkeys(value for value in values if value is not None)
    except TypeError:
        raise UsageError(
            f"column {name!r} holds what no recipe can work with",
            allowed="numbers, arrays of one shape, or values such as strings",
            got=type(next(value for value in values if value is not None)).__name__,
            remedy="pad lists to one length, or leave the column out",
        ) from None
    if order is None:
        try:
            distinct = sorted(seen)
        except TypeError:
            distinct = list(seen)
    else:
        distinct = [value for value in order if value in seen]
    at = {value: i for i, value in enumerate(distinct)}
    missing = any(value is None for value in values)
    numbers = np.array([np.nan if value is None else at[value] for value in values], float if missing else int)
    return Column(name, numbers, None, tuple(distinct), missing)


def block_of(columns: Sequence[Column]) -> Array:
    """The columns side by side: (n, ...) of one column as it is, (n, d) of several, in a dtype that holds them all.

    Raises:
        UsageError: whole numbers that a common dtype would round.
    """
    if len(columns) == 1:
        return columns[0].numbers
    dtype = np.result_type(*(column.numbers.dtype for column in columns))
    dtype = np.dtype(np.int64) if dtype.kind == "b" else dtype
    for column in columns:
        numbers = column.numbers
        if dtype.kind == "f" and numbers.dtype.kind in "iu" and numbers.size and np.abs(numbers).max() > _EXACT:
            raise UsageError(
                f"column {column.name!r} holds numbers too large to stand beside fractions",
                allowed=f"whole numbers up to {_EXACT}",
                got=f"up to {np.abs(numbers).max()}",
                remedy="leave out identifiers",
            )
    return np.concatenate([c.numbers.reshape(len(c.numbers), -1).astype(dtype) for c in columns], axis=1)
