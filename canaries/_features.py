"""What recipes need to know about the features of a data set."""

import numpy as np
from numpy.typing import NDArray

from canaries._data import Array, Records
from dpaudit.errors import UsageError

Floats = NDArray[np.float64]


def value_range(records: Records) -> tuple[float, float]:
    """Smallest and largest finite feature value.

    Raises:
        UsageError: no feature value is finite.
    """
    finite = records.x[np.isfinite(records.x)]
    if finite.size == 0:
        raise UsageError("no feature value of the data is finite", allowed="finite features", got="NaN or infinity")
    return float(finite.min()), float(finite.max())


def typical_norm(records: Records) -> float:
    """Median Euclidean norm of a record; 1 where that is 0 or not finite."""
    median = float(np.median(np.linalg.norm(flat(records).astype(np.float64), axis=1)))
    return median if np.isfinite(median) and median > 0 else 1.0


def flat(records: Records) -> Array:
    """The records as (n, d)."""
    return np.reshape(records.x, (len(records), -1))


def constant_features(records: Records) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices into the flattened record: features that are 0 everywhere, and those constant at another value."""
    rows = flat(records)
    constant = np.all(rows == rows[0], axis=0)
    if records.table is not None:
        constant &= ~records.table.named  # the only name of a column is no feature that could be another number
    zero = constant & (rows[0] == 0)
    return np.flatnonzero(zero), np.flatnonzero(constant & ~zero & np.isfinite(rows[0]))


def unit(vector: Array) -> Floats | None:
    """`vector` flattened, float64, norm 1; None if it is zero or not finite."""
    wide = np.asarray(vector, dtype=np.float64).ravel()
    largest = float(np.abs(wide).max(initial=0.0))
    if not 0.0 < largest < np.inf:
        return None
    scaled = wide / largest  # squares of 1e200 would overflow
    return scaled / float(np.linalg.norm(scaled))
