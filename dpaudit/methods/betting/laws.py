"""Laws of a score's rank: what the rank view expects of a statistic, whatever its scale.

A rank is where a score stands among past ones, .5 (F_out + F_in), uniform on [0, 1] over both worlds together. It
falls into one of 34 cells. A law gives, per cell, the probability of the cell with either coin: (cells, 2), sum 1.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

__all__ = ["CELLS", "CELL_EDGES", "FAMILIES", "SHIFTS", "WIDTHS", "laws_from_odds", "standing_laws"]

Array = NDArray[np.float64]

_FROM_MIDDLE = np.array(
    [0, 0.02, 0.05, 0.09, 0.14, 0.19, 0.24, 0.29, 0.335, 0.375, 0.41, 0.44, 0.46, 0.475, 0.485, 0.4925, 0.4975]
)
CELL_EDGES = 0.5 + np.concatenate([-_FROM_MIDDLE[:0:-1], _FROM_MIDDLE])
CELLS = len(CELL_EDGES) + 1
WIDTHS = np.diff(np.concatenate([[0.0], CELL_EDGES, [1.0]]))
SHIFTS = 0.03 * 1.22 ** np.arange(31)  # distance of two Gaussians in standard deviations, up to 11.7
FAMILIES = 5  # shifts; capped shifts; rare leaks upwards; rare leaks downwards; the claim's own shape (outlook.py)
_LEAKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
_DOUBT = 1e-3  # no cell is ever certain


def laws_from_odds(log_odds: Array, ranks: Array) -> Array:
    """(..., CELLS, 2) from ln P(in)/P(out) (..., points) at increasing `ranks` (points,)."""
    cell = np.searchsorted(CELL_EDGES, ranks)
    within = (cell[:, None] == np.arange(CELLS)) * np.gradient(ranks)[:, None]
    share = expit(np.clip(log_odds, -30, 30)) @ (within / within.sum(axis=0))
    return _doubted(np.stack([WIDTHS * (1 - share), WIDTHS * share], axis=-1))


@lru_cache(maxsize=1)
def standing_laws() -> tuple[Array, NDArray[np.intp]]:
    """(laws, CELLS, 2) that every claim is compared with, and the family of each; the first are the `SHIFTS`."""
    shifts = np.array([_leak(1.0, mu) for mu in SHIFTS])
    mass = shifts.sum(axis=2)
    odds = np.log(np.maximum(shifts[..., 1], 1e-300) / np.maximum(shifts[..., 0], 1e-300))
    capped = []
    for cap in 0.08 * 1.35 ** np.arange(15):
        felt = np.flatnonzero(np.abs(odds).max(axis=1) > 1.3 * cap)[::2]
        share = expit(np.clip(odds[felt], -cap, cap))
        capped.append(np.stack([mass[felt] * (1 - share), mass[felt] * share], axis=-1))
    rare = np.array([_leak(p, mu) for p in _LEAKS for mu in (1.0, 2.0, 4.0, 12.0)])
    members = [shifts, np.concatenate(capped), rare, rare[:, ::-1, ::-1]]
    return _doubted(np.concatenate(members)), np.repeat(np.arange(len(members)), [len(m) for m in members])


def _leak(p: float, mu: float) -> Array:
    """OUT is N(0, 1); IN is that too, but N(mu, 1) with probability p."""
    x = np.linspace(-9, 9 + mu, 6001)
    edges = np.interp(CELL_EDGES, (ndtr(x) + (1 - p) * ndtr(x) + p * ndtr(x - mu)) / 2, x)
    below = np.stack([ndtr(edges), (1 - p) * ndtr(edges) + p * ndtr(edges - mu)], axis=-1)
    return np.diff(np.concatenate([[[0.0, 0.0]], below, [[1.0, 1.0]]]), axis=0) / 2


def _doubted(laws: Array) -> Array:
    return np.asarray((1 - _DOUBT) * laws + _DOUBT * laws.sum(axis=-1, keepdims=True) / 2)
