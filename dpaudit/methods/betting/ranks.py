"""The rank view of a statistic: only the order of its scores counts, so heavy tails, ties and infinities are welcome.

A score's rank is .5 (F_out + F_in), each world's share of lower scores, ties by half; of a past score, without itself.
Scores far outside the bulk, as a canary that is rarely sampled leaves them, are counted apart where this foretells
better: their rank alone does not show how far out they are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.experts import PLACES
from dpaudit.methods.betting.laws import CELL_EDGES, CELLS, WIDTHS
from dpaudit.methods.betting.outlook import Outlook

__all__ = ["Tally", "law_posterior", "law_probability_in", "predict", "tally"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

_REACH = 3.5  # interquartile ranges beyond the quartiles: an outlier
_DOUBT = 0.1  # share of every prediction that says nothing, divided by the trials
_EVEN = 50.0  # trials' worth of belief that ranks are uniform
_FIRST = 0.5  # trials' worth of belief in the outermost cell's law, for outliers


class Tally(NamedTuple):
    """What ranks say of (audits, statistics).

    Counts (..., CELLS, 2), of outliers (..., 2 ends, 2 coins), (2, ...) their fences, and whether most scores are ties.
    """

    cells: Array
    outliers: Array
    fences: Array
    tied: Mask


def tally(values: Array, coins: Mask) -> Tally:
    """Ranks of (audits, past, statistics) scores, each among the others, and where outliers begin."""
    audits, past, statistics = values.shape
    order = np.argsort(values, axis=1, kind="stable")  # NaN last
    ordered = np.take_along_axis(values, order, axis=1)
    coin = np.take_along_axis(np.broadcast_to(coins[..., None], values.shape), order, axis=1)
    seen = ~np.isnan(ordered)
    index = np.arange(past)[:, None]
    fresh = np.ones(ordered.shape, dtype=bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    closing = np.ones(ordered.shape, dtype=bool)
    closing[:, :-1] = fresh[:, 1:]
    first = np.maximum.accumulate(np.where(fresh, index, 0), axis=1)  # of the run of ties
    last = np.minimum.accumulate(np.where(closing, index, past - 1)[:, ::-1], axis=1)[:, ::-1]
    rank = np.zeros(ordered.shape)
    for world in (False, True):
        mine = coin == world
        upto = np.concatenate([np.zeros((audits, 1, statistics)), np.cumsum(seen & mine, axis=1)], axis=1)
        below = np.take_along_axis(upto, first, axis=1)
        level = np.take_along_axis(upto, last + 1, axis=1) - below - mine
        others = np.maximum(upto[:, -1:] - mine, 0)  # a NaN score counts nowhere
        rank += (below + 0.5 * level + 0.5) / (others + 1) / 2
    number = seen.sum(axis=1)
    quartiles = [
        np.take_along_axis(ordered, np.round(np.maximum(number - 1, 0) * at).astype(int)[:, None], axis=1)[:, 0]
        for at in (0.25, 0.75)
    ]
    with np.errstate(invalid="ignore", over="ignore"):
        reach = _REACH * (quartiles[1] - quartiles[0])
        fences = np.stack([quartiles[0] - reach, quartiles[1] + reach])
    tied = (~fresh & seen).sum(axis=1) > 0.5 * number - 1
    return Tally(
        count_cells(np.searchsorted(CELL_EDGES, rank), seen, coin), count_outliers(ordered, coin, fences), fences, tied
    )


def count_cells(cells: Indices, seen: Mask, coin: Mask) -> Array:
    """(audits, statistics, CELLS, 2) counts of (audits, trials, statistics) cells and coins, where a score was seen."""
    audits, _, statistics = cells.shape
    which = np.arange(audits)[:, None, None] * statistics + np.arange(statistics)
    at = (which * CELLS + cells) * 2 + coin
    counts = np.bincount(at[seen], minlength=audits * statistics * CELLS * 2)
    return counts.reshape(audits, statistics, CELLS, 2).astype(np.float64)


def count_outliers(values: Array, coin: Mask, fences: Array) -> Array:
    """(audits, statistics, 2, 2): low and high outliers per coin among (audits, trials, statistics) scores."""
    with np.errstate(invalid="ignore"):
        ends = (values < fences[0][:, None]), (values > fences[1][:, None])
    if not any(end.any() for end in ends):
        return np.zeros((len(values), values.shape[2], 2, 2))
    return (
        np.stack([np.stack([(end & (coin == c)).sum(axis=1) for c in (0, 1)], axis=-1) for end in ends], axis=-2) * 1.0
    )


def law_posterior(cells: Array, prior: Array, log_odds_of: Array) -> Array:
    """(audits, statistics, 2, laws): weight of each law, upright and upside down, given the coins in each cell."""
    flat = (*cells.shape[:2], -1)
    views = np.stack([cells.reshape(flat), cells[:, :, ::-1].reshape(flat)], axis=2)
    with np.errstate(divide="ignore"):
        log_weight = views @ log_odds_of.T + np.log(prior)
    weight = np.exp(log_weight - log_weight.max(axis=(2, 3), keepdims=True))
    return np.asarray(weight / weight.sum(axis=(2, 3), keepdims=True))


def law_probability_in(weight: Array, log_odds_of: Array) -> Array:
    """(..., CELLS): P(in | cell), upright, of laws weighted (..., 2, laws)."""
    both = np.exp(log_odds_of)
    upright = (weight[..., 0, :] @ both).reshape(*weight.shape[:-2], CELLS, 2)
    turned = (weight[..., 1, :] @ both).reshape(*weight.shape[:-2], CELLS, 2)[..., ::-1, :]
    mixed = upright + turned
    return np.asarray(mixed[..., 1] / mixed.sum(axis=-1))


def outlier_probability_in(outliers: Array, ends: Array) -> Array:
    """P(in) of an outlier at each end, (..., 2): counts (..., 2, 2), and what is believed of the ends (..., 2)."""
    return np.asarray((outliers[..., 1] + _FIRST * ends) / (outliers.sum(axis=-1) + _FIRST))


def predict(weight: Array, cells: Array, outliers: Array, look: Outlook) -> Array:
    """(rows, PLACES, 2) probability of place and coin: an outlier's place at either end, the cells between.

    Args:
        weight: (rows, 2, laws).
        cells: (rows, CELLS, 2) counts.
        outliers: (rows, 2, 2) counts, zero where they are not counted apart.
        look: the outlook.
    """
    trials = cells.sum(axis=(1, 2))
    doubt = (_DOUBT / (trials + 1))[:, None]
    p_in = (1 - doubt) * law_probability_in(weight, look.log_odds_of) + doubt / 2
    mass = (cells.sum(axis=2) + _EVEN * WIDTHS) / (trials + _EVEN)[:, None]
    number = outliers.sum(axis=2)
    far = (number + 0.1 * (number > 0)) / (trials + 1)[:, None]
    far_in = outlier_probability_in(outliers, p_in[:, [0, -1]])
    mass = np.concatenate([far[:, :1], mass * (1 - far.sum(axis=1, keepdims=True)), far[:, 1:]], axis=1)
    p_in = np.concatenate([far_in[:, :1], p_in, far_in[:, 1:]], axis=1)
    predicted = np.stack([mass * (1 - p_in), mass * p_in], axis=2)
    if predicted.shape[1] != PLACES:
        raise ValueError(f"{predicted.shape[1]} places, not {PLACES}")
    return predicted
