"""Receiver operating characteristic of membership scores, kept as counts."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtri

from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.intervals import lower_limit, upper_limit
from dpaudit.membership.bootstrap import MODELS_FOR_BOOTSTRAP, resampled_aucs

__all__ = ["AucInterval", "OperatingPoint", "Roc"]

FloatArray = NDArray[np.float64]


class AucInterval(NamedTuple):
    """A two-sided confidence interval of an AUC.

    Attributes:
        low: lower end.
        high: upper end.
        confidence: nominal.
        method: how it was found, in words.
    """

    low: float
    high: float
    confidence: float
    method: str


@dataclass(frozen=True)
class OperatingPoint:
    """What saying "member" at a threshold comes to.

    Attributes:
        threshold: member where the score is at least this; inf: nobody is.
        true_positives: members said to be.
        false_positives: non-members said to be.
        members: of the evaluation.
        nonmembers: of the evaluation.
        confidence: of `tpr_interval`.
    """

    threshold: float
    true_positives: int
    false_positives: int
    members: int
    nonmembers: int
    confidence: float = 0.95

    @property
    def tpr(self) -> float:
        """True positive rate: recall."""
        return self.true_positives / self.members

    @property
    def fpr(self) -> float:
        """False positive rate attained, which may lie below the one asked for."""
        return self.false_positives / self.nonmembers

    @property
    def precision(self) -> float:
        """Share of members among those said to be, for the evaluation's share of members; 0 where nobody is."""
        return self.true_positives / max(self.true_positives + self.false_positives, 1)

    @property
    def balanced_accuracy(self) -> float:
        """(TPR + TNR) / 2."""
        return (self.tpr + 1.0 - self.fpr) / 2.0

    @property
    def advantage(self) -> float:
        """TPR - FPR, Yeom et al. 2018, definition 4."""
        return self.tpr - self.fpr

    @property
    def tpr_interval(self) -> tuple[float, float]:
        """Clopper-Pearson, two-sided, for independent members at a threshold fixed beforehand.

        Records of one model are not quite independent, and a threshold found on these very scores is not fixed.
        """
        each = (1.0 - self.confidence) / 2.0
        low = lower_limit(self.true_positives, self.members, each)
        return float(low), float(upper_limit(self.true_positives, self.members, each))

    def to_dict(self) -> dict[str, object]:
        """For JSON; a threshold of inf is null."""
        return {
            "threshold": self.threshold if np.isfinite(self.threshold) else None,
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "members": self.members,
            "nonmembers": self.nonmembers,
            "tpr": self.tpr,
            "fpr": self.fpr,
            "precision": self.precision,
            "tpr_interval": list(self.tpr_interval),
            "confidence": self.confidence,
        }


@dataclass(frozen=True, eq=False, repr=False)
class Roc:
    """All operating points of a set of scores; made by `of`.

    Attributes:
        thresholds: (K,) the distinct scores, descending; member where the score is at least this.
        true_positives: (K,) members with such scores.
        false_positives: (K,) non-members with such scores.
        by_model: the scores and members (T, R), where they came model by model.
    """

    thresholds: FloatArray
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    by_model: tuple[FloatArray, NDArray[np.bool_]] | None = field(default=None)

    @classmethod
    def of(cls, scores: ArrayLike, members: ArrayLike) -> Self:
        """Of scores (n,), or (T, R) with a row for each target model, and bool `members` of that shape.

        Raises:
            UsageError: shapes that differ, NaN, no members or no non-members.
        """
        values, held = np.asarray(scores, dtype=np.float64), np.asarray(members)
        if values.shape != held.shape or values.ndim not in (1, 2) or held.dtype != bool:
            raise UsageError(
                "scores and members",
                allowed="(n,) or (T, R) both, members bool",
                got=f"scores {values.shape}, members {held.dtype} {held.shape}",
            )
        missing = int(np.isnan(values).sum())
        if missing:
            raise UsageError("scores", allowed="numbers", got=f"{missing} of {values.size} are NaN")
        inside = int(held.sum())
        if inside in (0, held.size):
            raise UsageError("a ROC", allowed="members and non-members", got=f"{inside} members of {held.size} scores")
        order = np.argsort(values, axis=None)[::-1]
        sorted_scores, sorted_members = values.ravel()[order], held.ravel()[order]
        last = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]), held.size - 1)  # of each tie
        true = np.cumsum(sorted_members, dtype=np.int64)[last]
        return cls(sorted_scores[last], true, last + 1 - true, (values, held) if values.ndim == 2 else None)

    @property
    def members(self) -> int:
        """How many scores are of members."""
        return int(self.true_positives[-1])

    @property
    def nonmembers(self) -> int:
        """How many are not."""
        return int(self.false_positives[-1])

    @property
    def fpr(self) -> FloatArray:
        """(K + 1,) false positive rates, from 0 to 1."""
        return np.append(0.0, self.false_positives / self.nonmembers)

    @property
    def tpr(self) -> FloatArray:
        """(K + 1,) true positive rates, from 0 to 1."""
        return np.append(0.0, self.true_positives / self.members)

    @cached_property
    def auc(self) -> float:
        """Probability that a member's score exceeds a non-member's, ties counting half."""
        members, nonmembers = self._steps()
        return float(members @ (nonmembers.sum() - np.cumsum(nonmembers) + nonmembers / 2)) / (
            self.members * self.nonmembers
        )

    def auc_interval(
        self, confidence: float = 0.95, method: Literal["auto", "delong", "bootstrap"] = "auto", *, seed: int = 0
    ) -> AucInterval:
        """Where the AUC of the population may lie.

        ``delong`` takes all scores as independent (DeLong, DeLong, Clarke-Pearson 1988; normal on the logit of the
        AUC): about other records for a single model. ``bootstrap`` draws target models with replacement (percentiles
        of 1000 draws): about other trainings on these records, whose scores depend on each other through what the
        models share. ``auto`` is the bootstrap for 10 models or more.
        Where DeLong's variance is 0, the interval is exact for min(members, non-members) disjoint pairs: binomial at
        an AUC of 0 or 1, Hoeffding's between.

        Raises:
            UsageError: ``bootstrap`` without at least 2 models.
        """
        each = (1.0 - require_confidence(confidence)) / 2.0
        models = 0 if self.by_model is None else len(self.by_model[0])
        if method not in ("auto", "delong", "bootstrap"):
            raise UsageError("method", allowed="'auto', 'delong', 'bootstrap'", got=method)
        if method == "bootstrap" and models < 2:
            raise UsageError("a bootstrap over target models", allowed="scores (T, R) of T >= 2 models", got=models)
        if self.by_model is not None and (
            method == "bootstrap" or (method == "auto" and models >= MODELS_FOR_BOOTSTRAP)
        ):
            drawn = resampled_aucs(*self.by_model, seed=seed)
            low, high = np.quantile(drawn, [each, 1.0 - each])
            return AucInterval(float(low), float(high), confidence, f"bootstrap over {models} target models")
        spread = np.sqrt(self._delong_variance())
        pairs = min(self.members, self.nonmembers)
        if self.auc in (0.0, 1.0):
            won = round(self.auc * pairs)
            ends = float(lower_limit(won, pairs, each)), float(upper_limit(won, pairs, each))
            return AucInterval(*ends, confidence, "Clopper-Pearson on disjoint pairs")
        if spread == 0.0:
            half = np.sqrt(-np.log(each) / (2.0 * pairs))
            ends = float(max(0.0, self.auc - half)), float(min(1.0, self.auc + half))
            return AucInterval(*ends, confidence, "Hoeffding on disjoint pairs")
        half = -ndtri(each) * spread / (self.auc * (1.0 - self.auc))
        ends = float(expit(logit(self.auc) - half)), float(expit(logit(self.auc) + half))
        return AucInterval(*ends, confidence, "DeLong, scores as if independent")

    def tpr_at(self, fpr: float, confidence: float = 0.95) -> OperatingPoint:
        """The point of largest TPR whose FPR is at most `fpr`: a step of the curve, nothing interpolated."""
        allowed = require_probability("fpr", fpr)
        # compared as rates: fpr * nonmembers may be rounded to the wrong side of a whole number
        reached = int(np.searchsorted(self.false_positives / self.nonmembers, allowed, "right"))
        return self._point(reached - 1, require_confidence(confidence))

    def at(self, threshold: float, confidence: float = 0.95) -> OperatingPoint:
        """The point at a threshold, such as one fixed on other scores."""
        reached = int(np.searchsorted(-self.thresholds, -float(threshold), "right"))
        point = self._point(reached - 1, require_confidence(confidence))
        return OperatingPoint(
            float(threshold),
            point.true_positives,
            point.false_positives,
            self.members,
            self.nonmembers,
            point.confidence,
        )

    @property
    def best(self) -> OperatingPoint:
        """The point of largest balanced accuracy and advantage: found on these very scores, hence flattering."""
        return self._point(int(np.argmax(np.diff([self.fpr, self.tpr], axis=0))) - 1, 0.95)

    @property
    def balanced_accuracy(self) -> float:
        """At `best`; at least .5."""
        return self.best.balanced_accuracy

    @property
    def advantage(self) -> float:
        """Largest TPR - FPR; at least 0."""
        return self.best.advantage

    def curve(self, points: int = 400) -> tuple[FloatArray, FloatArray]:
        """FPR and TPR of at most `points` points of the curve, for a picture with linear or logarithmic axes.

        Both ends of each flight of steps that matters at that resolution; every point is one of the curve's.
        """
        fpr, tpr = self.fpr, self.tpr
        if len(fpr) <= points:
            return fpr, tpr
        half = max(points // 4, 2)
        wanted = np.append(np.linspace(0.0, 1.0, half), np.geomspace(1.0 / self.nonmembers, 1.0, half))
        upper = np.searchsorted(fpr, wanted, "right") - 1
        rising = np.searchsorted(tpr, np.linspace(0.0, 1.0, half), "left")
        kept = np.unique(np.concatenate([upper, rising, [0, len(fpr) - 1]]))
        return fpr[kept], tpr[kept]

    def _point(self, place: int, confidence: float) -> OperatingPoint:
        if place < 0:
            return OperatingPoint(np.inf, 0, 0, self.members, self.nonmembers, confidence)
        return OperatingPoint(
            float(self.thresholds[place]),
            int(self.true_positives[place]),
            int(self.false_positives[place]),
            self.members,
            self.nonmembers,
            confidence,
        )

    def _steps(self) -> tuple[FloatArray, FloatArray]:
        """Members and non-members at each distinct score."""
        members = np.diff(self.true_positives, prepend=0).astype(np.float64)
        return members, np.diff(self.false_positives, prepend=0).astype(np.float64)

    def _delong_variance(self) -> float:
        """Of the AUC: the spread of the placements of members among non-members and the other way round."""
        members, nonmembers = self._steps()
        above = np.cumsum(nonmembers) - nonmembers / 2  # non-members that score at least as much, half of ties
        of_members = 1.0 - above / self.nonmembers
        of_nonmembers = (np.cumsum(members) - members / 2) / self.members
        total = 0.0
        for placement, count, size in (
            (of_members, members, self.members),
            (of_nonmembers, nonmembers, self.nonmembers),
        ):
            total += float(count @ np.square(placement - self.auc)) / (max(size - 1, 1) * size)
        return total

    def __repr__(self) -> str:
        return f"Roc(auc={self.auc:.4f}, {self.members} members, {self.nonmembers} non-members)"
