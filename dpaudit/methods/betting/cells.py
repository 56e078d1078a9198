"""Which cell a new score falls into, by its rank among past ones.

A rank only rises with the score. So a past is as good as the scores at which the next cell begins, at most 33 of them,
among which any number of new scores are found at once; few new scores are counted against the past directly.
"""

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.laws import CELL_EDGES, CELLS

__all__ = ["cell_edges", "cells_among", "cells_within", "rank_among"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

_FEW = 1 << 14  # comparisons of a new score with a past one


def cells_among(reference: Array, coins: Mask, values: Array) -> Indices:
    """Cells in [0, CELLS) of new scores among past ones; the last one for NaN.

    Args:
        reference: (audits, past, statistics); NaN is left out.
        coins: (audits, past).
        values: (audits, trials, statistics).
    """
    if reference.shape[1] * values.shape[1] <= _FEW:
        return np.minimum(np.searchsorted(CELL_EDGES, rank_among(reference, coins, values)), CELLS - 1)
    return cells_within(cell_edges(reference, coins), values)


def rank_among(reference: Array, coins: Mask, values: Array) -> Array:
    """Ranks in (0, 1) of new scores among past ones; NaN stays. Arguments as for `cells_among`."""
    below, known = np.empty((2, *values.shape)), np.empty((2, len(reference), 1, reference.shape[2]))
    lower = (reference[:, None] < values[:, :, None]) + 0.5 * (reference[:, None] == values[:, :, None])
    for coin in (0, 1):
        mine = (~np.isnan(reference) & (coins == coin)[..., None]).astype(np.float64)
        below[coin] = np.einsum("atps,aps->ats", lower, mine)
        known[coin] = mine.sum(axis=1, keepdims=True)
    return np.where(np.isnan(values), np.nan, _rank(below, known))


def cell_edges(reference: Array, coins: Mask) -> Array:
    """(audits, statistics, CELLS - 1): the least score of each cell but the first; NaN where none is so high."""
    audits, _, statistics = reference.shape
    edges = np.empty((audits, statistics, CELLS - 1))
    for a, s in np.ndindex(audits, statistics):
        edges[a, s] = _edges(reference[a, :, s], coins[a])
    return edges


def cells_within(edges: Array, values: Array) -> Indices:
    """Cells of (audits, trials, statistics) scores by the `cell_edges` of their past; the last one for NaN."""
    cells = np.empty(values.shape, dtype=np.intp)
    for a, s in np.ndindex(edges.shape[:2]):
        cells[a, :, s] = np.searchsorted(edges[a, s], values[a, :, s], "right")
    return cells


def _edges(reference: Array, coins: Mask) -> Array:
    """Of one audit's statistic: a rank is flat between past scores, and has a value of its own at each."""
    worlds = [np.sort(reference[(coins == coin) & ~np.isnan(reference)]) for coin in (False, True)]
    points = np.unique(np.concatenate(worlds))
    below = np.empty((2, 2 * len(points) + 1))  # between points at even places, at them at odd ones
    for coin, scores in enumerate(worlds):
        left, right = (np.searchsorted(scores, points, side) for side in ("left", "right"))
        below[coin, :-1:2], below[coin, 1::2], below[coin, -1] = left, (left + right) / 2, len(scores)
    cells = np.searchsorted(CELL_EDGES, _rank(below, np.array([[len(scores)] for scores in worlds])))
    begins = np.searchsorted(cells, np.arange(1, CELLS))  # the first step in each cell or beyond it
    beyond = np.concatenate([[-np.inf], points])  # an even step begins right above the point before it
    with np.errstate(over="ignore"):
        above = np.where(beyond < np.inf, np.nextafter(beyond, np.inf), np.nan)
    above[0] = -np.inf
    starts = np.full(len(cells) + 1, np.nan)
    starts[:-1:2], starts[1:-1:2] = above, points
    return starts[begins]


def _rank(below: Array, known: Array) -> Array:
    return np.asarray(((below + 0.5) / (known + 1)).mean(axis=0))
