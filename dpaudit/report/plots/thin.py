"""Fewer points for the same picture: what a curve of a hundred thousand trials shows fits into a few thousand."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["thin_path", "thin_staircase"]

Array = NDArray[np.float64]

_CELLS = 1000  # a side; figures are drawn some 400 points wide
_SPANS = 1000


def thin_staircase(x: Array, y: Array) -> tuple[Array, Array]:
    """Points of a curve that never falls, on logarithmic axes: those that enter another thousandth of either axis.

    Args:
        x: (n,) positive, not decreasing.
        y: (n,) likewise.

    Returns:
        both, at most about 2,000 points of the curve, the first and the last among them.
    """
    if len(x) <= 2 * _CELLS:
        return x, y
    cells = np.stack([_cell(x), _cell(y)])
    kept = np.any(np.diff(cells, axis=1) != 0, axis=0)
    # Both ends of each jump: a long step that lost its near end would start too early.
    which = np.concatenate([[True], kept]) | np.concatenate([kept, [True]])
    return x[which], y[which]


def thin_path(x: NDArray[np.generic], y: Array) -> tuple[NDArray[np.generic], Array]:
    """Points of a path over trials: of each thousandth of them the first, the lowest, the highest and the last.

    Args:
        x: (n,) increasing.
        y: (n,) finite.

    Returns:
        both, at most 4,000 points of the path.
    """
    if len(x) <= 4 * _SPANS:
        return x, y
    edges = np.linspace(0, len(x), _SPANS + 1).astype(np.int64)
    which = np.unique([(a, a + y[a:b].argmin(), a + y[a:b].argmax(), b - 1) for a, b in pairwise(edges)])
    return x[which], y[which]


def _cell(values: Array) -> NDArray[np.int64]:
    place = np.log(values)
    low, high = float(place[0]), float(place[-1])
    return np.floor((place - low) / max(high - low, 1e-300) * _CELLS).astype(np.int64)
