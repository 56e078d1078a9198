"""True positive rates at low false positive rates, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.membership.bootstrap import MODELS_FOR_BOOTSTRAP, resampled_tprs
from dpaudit.membership.roc import OperatingPoint, Roc

__all__ = ["Rate", "rates"]

FloatArray = NDArray[np.float64]


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
    if len(scores) >= MODELS_FOR_BOOTSTRAP:
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
