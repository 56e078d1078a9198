"""Counts, means and squared deviations per record, over some of the models, and exactly without one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "blocks"]

_BLOCK = 1 << 20  # numbers of a temporary, 8 MiB each


@dataclass(frozen=True, eq=False)
class Moments:
    """Of R records over the models that count for each; or of (T, R), once for every model left out.

    Attributes:
        count: number of models.
        mean: of their values; 0 where there is none.
        squares: sum of squared deviations from the mean, >= 0.
    """

    count: NDArray[np.intp]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], counted: NDArray[np.bool_]) -> Self:
        """Of each column of `values` (M, R), over the rows `counted` (M, R)."""
        count = counted.sum(axis=0, dtype=np.intp)
        at_least_one = np.maximum(count, 1)
        mean = np.where(counted, values, 0.0).sum(axis=0) / at_least_one
        squares = np.square(np.where(counted, values - mean, 0.0)).sum(axis=0)
        return cls(count, mean, squares)

    def without(self, values: NDArray[np.float64], counted: NDArray[np.bool_]) -> Self:
        """Without one model each: rows `values` (T, R) of the models to leave out, `counted` (T, R) as in `of`.

        Exact but for rounding: mean' = mean - (x - mean) / (n - 1), squares' = squares - (x - mean)(x - mean').
        """
        count = self.count - counted
        apart = values - self.mean
        mean = np.where(counted, self.mean - apart / np.maximum(self.count - 1, 1), self.mean)
        squares = np.where(counted, self.squares - apart * (values - mean), self.squares)
        return type(self)(count, np.where(count > 0, mean, 0.0), np.where(count > 1, np.maximum(squares, 0.0), 0.0))


def blocks(targets: NDArray[np.intp], records: int) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """The targets a few at a time, with their places, so that temporaries (targets, records) stay small."""
    step = max(1, _BLOCK // max(records, 1))
    for start in range(0, len(targets), step):
        place = slice(start, start + step)
        yield place, targets[place]
