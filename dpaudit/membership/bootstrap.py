"""What the AUC of pooled scores would be for other target models: a bootstrap over models, not records."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["resampled_aucs"]

_BINS = 4096
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
