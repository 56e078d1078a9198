"""The small values a membership report is made of: counts and curves, nothing that leads back to a record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dpaudit.membership.decisions import Decisions
from dpaudit.membership.roc import AucInterval, OperatingPoint
from dpaudit.membership.vulnerability import RecordVulnerability
from dpaudit.report.membership.rates import Rate
from dpaudit.report.plots.axis import ScoreAxis

__all__ = ["AttackResult", "Histogram", "ModelRow", "RecordTable", "Setting", "Skipped"]

FloatArray = NDArray[np.float64]

_FEWEST_BINS, _MOST_BINS = 16, 60


@dataclass(frozen=True)
class Setting:
    """What was attacked.

    Attributes:
        models: M, all of them.
        targets: T, those attacked.
        records: R, the attacked ones.
        population: records of reference, in no model.
        least_inside: the fewest of the M models that an attacked record is in.
        most_inside: the most.
        members: (target, record) pairs with the record in the target's training data.
        nonmembers: the others.
        augmentations: how many versions of each record the models were asked about, 1: itself.
        accuracy: share of members and of non-members that the targets label rightly; None without labels or outputs.
        loss: mean loss of members and of non-members in nats.
    """

    models: int
    targets: int
    records: int
    population: int
    least_inside: int
    most_inside: int
    members: int
    nonmembers: int
    augmentations: int
    accuracy: tuple[float, float] | None
    loss: tuple[float, float]

    @property
    def least_fpr(self) -> float:
        """1 / non-members: the smallest false positive rate above 0 that can be seen."""
        return 1.0 / self.nonmembers

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        made = asdict(self)
        for name in ("accuracy", "loss"):
            pair = made.pop(name)
            made[name] = None if pair is None else {"members": pair[0], "nonmembers": pair[1]}
        return {**made, "least_fpr": self.least_fpr}


@dataclass(frozen=True, eq=False)
class Histogram:
    """Finite values of members and of non-members, counted in bins on an axis that suits them.

    Attributes:
        axis: maps values to positions.
        inside: (B,) members in each bin.
        outside: (B,) non-members in each bin.
        missing: members and non-members that are not finite.
    """

    axis: ScoreAxis
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    missing: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, values: FloatArray, members: NDArray[np.bool_]) -> Self | None:
        """Of values and members of any one shape; None where no value is finite."""
        finite = np.isfinite(values)
        drawn = values[finite]
        if not drawn.size:
            return None
        axis = ScoreAxis.fitting(drawn)
        bins = axis.bins(int(np.clip(2 * np.sqrt(drawn.size), _FEWEST_BINS, _MOST_BINS)))
        inside, outside = (
            np.histogram(axis.positions(values[finite & side]), bins)[0].astype(np.int64)
            for side in (members, ~members)
        )
        missing = int((~finite & members).sum()), int((~finite & ~members).sum())
        return cls(axis, inside, outside, missing)


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What one attack came to.

    Attributes:
        name: of the attack.
        auc: of the scores of all targets together.
        interval: of the AUC.
        best: the point of largest balanced accuracy, found on these very scores.
        rates: at several false positive rates.
        decisions: what the attack itself called members, without having seen the truth; None: it only ranks.
        curve: false and true positive rates of some points of the ROC.
        histogram: of its scores.
        model_aucs: (T,) of each target alone; NaN for one without members, or without non-members.
    """

    name: str
    auc: float
    interval: AucInterval
    best: OperatingPoint
    rates: tuple[Rate, ...]
    decisions: Decisions | None
    curve: tuple[FloatArray, FloatArray]
    histogram: Histogram | None
    model_aucs: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        decided, aucs = self.decisions, self.model_aucs[np.isfinite(self.model_aucs)]
        return {
            "attack": self.name,
            "auc": self.auc,
            "auc_interval": self.interval._asdict(),
            "balanced_accuracy": self.best.balanced_accuracy,
            "advantage": self.best.advantage,
            "best": self.best.to_dict(),
            "tpr_at_fpr": [rate.to_dict() for rate in self.rates],
            "decisions": None if decided is None else {**asdict(decided), **_shares(decided)},
            "model_auc": {"least": aucs.min(), "median": np.median(aucs), "most": aucs.max()} if aucs.size else None,
            "curve": {"fpr": self.curve[0], "tpr": self.curve[1]},
        }


@dataclass(frozen=True)
class Skipped:
    """An attack that does not apply to these signals, and why not."""

    attack: str
    reason: str


@dataclass(frozen=True)
class ModelRow:
    """A target model.

    Attributes:
        model: its number.
        auc: of the strongest attack on it alone.
        members: how many of the attacked records it was trained on.
    """

    model: int
    auc: float
    members: int


@dataclass(frozen=True, eq=False)
class RecordTable:
    """Everything there is about single records. It discloses membership itself: a redacted report has none.

    Attributes:
        strongest: the attack with the largest AUC.
        vulnerability: of each attack, by name.
        top: the records most vulnerable to the strongest attack; where there are too few targets to tell, the members
            that it ranks highest.
        labels: (R,); None: not known.
        loss_inside: (R,) mean loss under the targets trained on the record, NaN without any.
        loss_outside: (R,) under the others.
        score_inside: of each attack, (R,) mean score under the targets trained on the record, NaN without any.
        score_outside: (R,) under the others.
    """

    strongest: str
    vulnerability: Mapping[str, RecordVulnerability]
    top: tuple[Mapping[str, Any], ...]
    labels: NDArray[np.int64] | None
    loss_inside: FloatArray
    loss_outside: FloatArray
    score_inside: Mapping[str, FloatArray]
    score_outside: Mapping[str, FloatArray]

    def rows(self) -> list[dict[str, Any]]:
        """One a record, for a table; None where there is nothing to say."""
        first = self.vulnerability[self.strongest]
        columns: dict[str, Any] = {"record": first.records}
        if self.labels is not None:
            columns["label"] = self.labels
        columns |= {"targets inside": first.inside, "targets outside": first.outside}
        columns |= {"mean loss inside": self.loss_inside, "mean loss outside": self.loss_outside}
        both = (first.inside > 0) & (first.outside > 0)
        for name, found in self.vulnerability.items():
            columns[f"{name}: AUC"] = np.where(both, found.auc, np.nan)
            columns[f"{name}: mean score inside"] = self.score_inside[name]
            columns[f"{name}: mean score outside"] = self.score_outside[name]
        return [
            {name: None if column[row] != column[row] else column[row].item() for name, column in columns.items()}
            for row in range(len(first.records))
        ]


def _shares(decided: Decisions) -> dict[str, float]:
    return {
        "precision": decided.precision,
        "recall": decided.recall,
        "false_positive_rate": decided.false_positive_rate,
        "balanced_accuracy": decided.accuracy,
    }
