"""True positive rates at low false positive rates, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.membership.roc import OperatingPoint, Roc

__all__ = ["Rate", "rates", "resampled_tprs"]

FloatArray = NDArray[np.float64]

_MODELS_FOR_BOOTSTRAP = 10  # as for the AUC
_THRESHOLDS = 2000
_AT_ONCE = 64


@dataclass(frozen=True)
class Rate:
    """True positive rate at a false positive rate.

    Attributes:
        asked: the false positive rate allowed.
        point: where the ROC is there.
        resolved: whether so small a rate can be seen at all; if not, the point has no false positive.
        low: lower end of an interval of the true positive rate.
        high: upper end.
        method: how the interval was found, in words.
    """

    asked: float
    point: OperatingPoint
    resolved: bool
    low: float
    high: float
    method: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {**self.point.to_dict(), "tpr_interval": [self.low, self.high], "interval_method": self.method}
        return {"asked": self.asked, "resolved": self.resolved, **told}


def rates(
    scores: FloatArray, members: NDArray[np.bool_], roc: Roc, fprs: Sequence[float], confidence: float
) -> tuple[Rate, ...]:
    """The ROC of scores (T, R) at several false positive rates.

    The interval is Clopper-Pearson's, for which all scores are independent. For 10 target models or more it is widened
    to what a bootstrap over the models gives, where that is wider: models differ, and share records.
    """
    each = (1.0 - confidence) / 2.0
    drawn = None
    if len(scores) >= _MODELS_FOR_BOOTSTRAP:
        drawn = np.quantile(resampled_tprs(scores, members, fprs), [each, 1.0 - each], axis=0)
    made = []
    for place, fpr in enumerate(fprs):
        point = roc.tpr_at(fpr, confidence)
        low, high = point.tpr_interval
        method = "Clopper-Pearson, scores as if independent"
        if drawn is not None:
            low, high = min(low, float(drawn[0, place])), max(high, float(drawn[1, place]))
            method = f"the wider of Clopper-Pearson and a bootstrap over {len(scores)} target models"
        made.append(Rate(fpr, point, fpr >= 1.0 / roc.nonmembers, low, high, method))
    return tuple(made)


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
