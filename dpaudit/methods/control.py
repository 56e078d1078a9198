"""What an audit's own scores say about its power: the positive control, and the cost of a test of a fixed size."""

from typing import Any

import numpy as np

from dpaudit.claim import Claim
from dpaudit.evidence import TestResult
from dpaudit.methods.betting import Betting
from dpaudit.methods.clopper_pearson import ClopperPearson
from dpaudit.methods.protocol import Method
from dpaudit.methods.suspects import ClaimSuspect, SeenSuspect
from dpaudit.methods.trials_needed import power_in, trials_needed
from dpaudit.scores import Scores

__all__ = ["fixed_size_trials", "positive_control"]

_REVERSED = " (reversed)"


def positive_control(
    method: Method, claim: Claim, scores: Scores, test: TestResult, confidence: float
) -> dict[str, Any]:
    """The probability with which these trials would have refuted the claim, had the noise been half as large.

    Half the noise doubles the separation of a statistic whose spread is noise. So the statistic that was best, with
    its separation d' (difference of means over the pooled standard deviation) doubled and taken as Gaussian, is
    audited again 25 to 200 times with as many trials (`power_in`). An estimate: it does not enter the verdict.

    Returns:
        "suspect", in words, and "probability"; empty if no statistic stands out, or the method is the user's own.
    """
    columns = _best_column(scores, test)
    if columns is None or not isinstance(method, (Betting, ClopperPearson)):
        return {}
    inside, outside = (column[np.isfinite(column)] for column in columns)
    if min(len(inside), len(outside)) < 2:
        return {}
    spread = float(np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2))
    gap = float(inside.mean() - outside.mean())
    if not (0 < spread < np.inf and 0 < gap < np.inf):
        return {}
    separation = gap / spread
    suspect = ClaimSuspect(Claim.gaussian(mu=2 * separation, adjacency=claim.adjacency))
    chance = power_in(method, claim, suspect, confidence=confidence, trials=len(scores))
    return {
        "suspect": f"half the noise ({test.statistic} at d' {2 * separation:.2f} instead of {separation:.2f})",
        "probability": chance,
    }


def fixed_size_trials(claim: Claim, scores: Scores, test: TestResult, confidence: float) -> int | None:
    """Trials a fixed-size test (Clopper-Pearson on the profile, rank grid) would have had to declare, 80 % power.

    By drawing again from the scores of the statistic that refuted; None if there is none, or it takes too many.
    """
    columns = _best_column(scores, test)
    if columns is None or not all(len(column) for column in columns):
        return None
    inside, outside = (np.where(np.isnan(column), -np.inf, column) for column in columns)
    suspect = SeenSuspect(inside, outside)
    return trials_needed(ClopperPearson(), claim, suspect, confidence=confidence, power=0.8).at_power


def _best_column(scores: Scores, test: TestResult) -> tuple[Any, Any] | None:
    """(included, excluded) scores of the best statistic, turned so that higher is more likely included."""
    if test.statistic is None:
        return None
    name = test.statistic.removesuffix(_REVERSED)
    column = scores.values[:, scores.names.index(name)] * (-1 if test.statistic.endswith(_REVERSED) else 1)
    mask = scores.included_mask
    return column[mask & ~scores.lost], column[~mask & ~scores.lost]
