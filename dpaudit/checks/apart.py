"""Whether a record's gradient depends on the other records of its batch: clipping bounds nothing where it does."""

from collections.abc import Iterator

import numpy as np

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, Pair, View
from dpaudit.checks.observe.seen import FloatArray

__all__ = ["apart"]

_CLOSE = 0.03  # of the row's own norm plus C: products of other batch sizes round differently, in bfloat16 by 1 %


def apart(view: View) -> Iterator[Finding]:
    """Per-record gradients before clipping must be the same with and without another record in the batch."""
    pairs = [pair for pair in view.pairs() if not pair.replaced and pair.without.rows is not None]
    if not pairs:
        raise CannotSee("per-record gradients were not seen")
    worst = max(pairs, key=_strayed)
    strayed = _strayed(worst)
    if strayed > 1:
        yield Finding(
            "records apart",
            "fault",
            f"{worst.what} in the batch changes the gradients of others, by {strayed * _CLOSE:.2g} of their norm",
            "each record's gradient by itself",
            cause="batch normalisation, or data standardised by the data set at hand",
            remedy="GroupNorm or LayerNorm; public constants in preprocessing",
        )
        return
    yield Finding(
        "records apart", "ok", "no record changes the gradients of others", "each record's gradient by itself"
    )


def _strayed(pair: Pair) -> float:
    """How far the gradient of some record is from all those of the larger batch, in units of what rounding may do."""
    small, large = pair.without.rows, pair.included.rows
    if small is None or large is None or not len(small):
        return 0.0
    return max((_distance(row, large, pair.without.bound) for row in small), default=0.0)


def _distance(row: FloatArray, rows: FloatArray, bound: float) -> float:
    with np.errstate(all="ignore"):
        nearest = np.nanmin(np.linalg.norm(rows - row, axis=1), initial=np.inf)
        found = float(nearest / (_CLOSE * (float(np.linalg.norm(row)) + bound)))
    return found if np.isfinite(found) else 0.0
