"""What the ROC of pooled scores would be for other target models: a bootstrap over models, not records."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS_FOR_BOOTSTRAP", "resampled_aucs", "resampled_tprs"]

FloatArray = NDArray[np.float64]

MODELS_FOR_BOOTSTRAP = 10
"""With fewer target models their draws say little."""

_BINS = 4096
_THRESHOLDS = 2000
_AT_ONCE = 64


def resampled_aucs(
    scores: NDArray[np.float64], members: NDArray[np.bool_], *, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """AUCs of the pooled scores of T models drawn with replacement from these T.

    All scores of a model are drawn together, so that what they share counts as one observation. Scores are counted in
    at most 4096 bins of about equal content, ties within a bin counting half: exact for fewer distinct scores, and
    within 1 / 4096 of it for more.

    Args:
        scores: (T, R).
        members: (T, R).
        resamples: number of draws.
        seed: of the draws.

    Returns:
        (resamples,), without draws that happen to hold no member or no non-member.
    """
    ordered = np.sort(scores, axis=None)
    edges = np.unique(ordered)
    if len(edges) > _BINS:
        edges = np.unique(ordered[np.linspace(0, ordered.size - 1, _BINS, dtype=np.intp)])
    inside, outside = np.zeros((2, len(scores), len(edges) + 1))
    for row, (mine, held) in enumerate(zip(scores, members, strict=True)):
        places = np.searchsorted(edges, mine, "left")
        inside[row] = np.bincount(places[held], minlength=len(edges) + 1)
        outside[row] = np.bincount(places[~held], minlength=len(edges) + 1)
    models = len(scores)
    weights = np.random.default_rng(seed).multinomial(models, np.full(models, 1 / models), size=resamples)
    found = []
    for start in range(0, resamples, _AT_ONCE):
        some = weights[start : start + _AT_ONCE].astype(np.float64)
        above, below = some @ inside, some @ outside
        pairs = above.sum(axis=1) * below.sum(axis=1)
        won = (above * (below.cumsum(axis=1) - below / 2)).sum(axis=1)
        found.append(won[pairs > 0] / pairs[pairs > 0])
    return np.concatenate(found)


def resampled_tprs(
    scores: FloatArray, members: NDArray[np.bool_], fprs: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> FloatArray:
    """TPR of the pooled scores of T models drawn with replacement from these T, at each false positive rate.

    Thresholds are at most 2000 scores of non-members, dense where few score higher: every one of them up to some
    250 non-members, and within about 1 % of the false positive rate for millions.

    Args:
        scores: (T, R).
        members: (T, R).
        fprs: (F,) allowed.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        (resamples, F), without draws that happen to hold no member or no non-member.
    """
    above = _thresholds(scores[~members])
    counts = np.zeros((2, len(scores), len(above)))
    for model, (mine, held) in enumerate(zip(scores, members, strict=True)):
        for side, values in enumerate((mine[held], mine[~held])):
            counts[side, model] = len(values) - np.searchsorted(np.sort(values), above, "right")
    models = len(scores)
    weights = np.random.default_rng(seed).multinomial(models, np.full(models, 1 / models), size=resamples)
    found = []
    for start in range(0, resamples, _AT_ONCE):
        true, false = (weights[start : start + _AT_ONCE].astype(np.float64) @ side for side in counts)
        kept = (true[:, -1] > 0) & (false[:, -1] > 0)
        true, false = (side[kept] / side[kept, -1:] for side in (true, false))
        reached = np.stack([(false <= fpr).sum(axis=1) - 1 for fpr in fprs], axis=1)  # it only grows; 0 at first
        found.append(np.take_along_axis(true, reached, axis=1))
    return np.concatenate(found)


def _thresholds(nonmembers: FloatArray) -> FloatArray:
    """Scores that a member has to exceed, falling; the last one everybody exceeds."""
    ordered = np.sort(nonmembers)[::-1]
    places = np.unique(np.geomspace(1, len(ordered), _THRESHOLDS).astype(np.intp)) - 1
    return np.append(np.unique(ordered[places])[::-1], -np.inf)
