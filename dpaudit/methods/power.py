"""What the configured test could see at best, before any training is spent."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.protocol import Method
from dpaudit.scores import Scores

__all__ = ["perfect_scores", "perfect_trials"]


def perfect_scores(included_mask: NDArray[np.bool_], statistics: int = 1) -> Scores:
    """The scores of an adversary who is never wrong: score = coin, in every statistic."""
    columns = np.repeat(included_mask.astype(np.float64)[:, None], statistics, axis=1)
    return Scores.from_table(columns, included_mask, [f"perfect_{i}" for i in range(statistics)])


def perfect_trials(
    method: Method, claim: Claim, confidence: float, included_mask: NDArray[np.bool_], *, statistics: int = 1
) -> int | None:
    """The least number of these trials in which perfect scores refute the claim; None if they do not in all of them.

    This is the configured test itself, fed score = coin (DECISIONS 12): if it does not refute from perfect scores,
    no adversary can make it refute, and the audit is INCONCLUSIVE before it starts. For a method of a fixed size it
    is the least size to declare, by bisection. A method that knows its threshold or its statistic beforehand says
    itself what never being wrong means: ``method.perfect(included_mask, statistics) -> Scores``.
    """
    perfect: Callable[[NDArray[np.bool_], int], Scores] = getattr(method, "perfect", perfect_scores)

    def needed(size: int) -> int | None:
        mask = included_mask[:size]
        if size == 0 or mask.all() or not mask.any():
            return None
        try:
            result = method.test(perfect(mask, statistics), claim, confidence)
        except UsageError:  # too few for a method that sets some aside
            return None
        return result.trials_used if result.refuted else None

    found = needed(len(included_mask))
    if found is None or method.anytime:
        return found
    low, high = 0, found
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if needed(middle) is not None else (middle, high)
    return high
