"""Decisions "member" or not, counted: precision and recall, for all records and for each class."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError, require_probability

__all__ = ["Decisions", "Threshold", "calibrate"]


@dataclass(frozen=True)
class Decisions:
    """How many members and non-members an attack called members.

    Attributes:
        true_positives: members called members.
        members: all members.
        false_positives: non-members called members.
        non_members: all non-members.
        prior: the share of members that precision is stated for; None: as they were counted. Published figures are
            for as many members as non-members, .5.
    """

    true_positives: int
    members: int
    false_positives: int
    non_members: int
    prior: float | None = 0.5

    @classmethod
    def of(cls, called: Any, members: Any, prior: float | None = 0.5) -> Self:
        """From bool arrays of one shape: what the attack says, and what is so.

        Raises:
            UsageError: shapes differ.
        """
        called, members = np.asarray(called, dtype=bool), np.asarray(members, dtype=bool)
        if called.shape != members.shape:
            raise UsageError("decisions", allowed=f"the shape of the members, {members.shape}", got=called.shape)
        positives = int((called & members).sum()), int(members.sum())
        return cls(*positives, int((called & ~members).sum()), int((~members).sum()), prior)

    @classmethod
    def by_class(
        cls, called: Any, members: Any, labels: NDArray[np.int64], prior: float | None = 0.5
    ) -> dict[int, Self]:
        """For each label the decisions on its records; `called` and `members` are (..., R), `labels` (R,)."""
        called, members = np.asarray(called, dtype=bool), np.asarray(members, dtype=bool)
        classes = np.unique(labels).tolist()
        return {c: cls.of(called[..., labels == c], members[..., labels == c], prior) for c in classes}

    @property
    def recall(self) -> float:
        """Share of members called members (true positive rate); NaN without members."""
        return self.true_positives / self.members if self.members else float("nan")

    @property
    def false_positive_rate(self) -> float:
        """Share of non-members called members; NaN without non-members."""
        return self.false_positives / self.non_members if self.non_members else float("nan")

    @property
    def precision(self) -> float:
        """Share of members among those called members, at `prior`; NaN where nobody was called one."""
        if self.prior is None:
            positives = self.true_positives + self.false_positives
            return self.true_positives / positives if positives else float("nan")
        right, wrong = self.prior * self.recall, (1 - self.prior) * self.false_positive_rate
        return right / (right + wrong) if right + wrong > 0 else float("nan")

    @property
    def accuracy(self) -> float:
        """Balanced accuracy: the mean of recall and of the share of non-members not called members."""
        return (self.recall + 1 - self.false_positive_rate) / 2

    def __str__(self) -> str:
        counts = f"{self.true_positives} of {self.members} members, {self.false_positives} of {self.non_members} others"
        return f"precision {self.precision:.3f}, recall {self.recall:.3f} ({counts})"


@dataclass(frozen=True)
class Threshold:
    """A threshold on scores, and how it did where it was chosen.

    Attributes:
        value: a record is called a member where its score is at least this.
        on: the decisions it made there; on the same scores that chose it, so the precision is on the bright side.
    """

    value: float
    on: Decisions

    def decide(self, scores: Any) -> NDArray[np.bool_]:
        """Bool array of the shape of `scores`."""
        called: NDArray[np.bool_] = np.asarray(scores, dtype=np.float64) >= self.value
        return called


def calibrate(scores: Any, members: Any, precision: float, prior: float | None = 0.5) -> Threshold:
    """The threshold with the largest recall among those that reach a precision, on a shadow target.

    Args:
        scores: of a shadow target's records, any shape; higher where membership is more likely.
        members: bool, the same shape.
        precision: wanted, in (0, 1].
        prior: share of members that precision is meant for; None: as in `members`.

    Raises:
        UsageError: no members or no non-members, NaN scores, or a precision that no threshold reaches.

    Reference: Leino, Fredrikson 2020 (calibrating for precision).
    """
    wanted = require_probability("precision", precision, zero=False)
    flat, inside = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(members, dtype=bool).ravel()
    if flat.shape != inside.shape or np.isnan(flat).any() or inside.all() or not inside.any():
        raise UsageError(
            "scores to calibrate on",
            allowed="numbers, of members and of non-members both",
            got=f"{flat.size} scores ({int(np.isnan(flat).sum())} NaN), {int(inside.sum())} of {inside.size} members",
        )
    order = np.argsort(-flat, kind="stable")
    ranked = flat[order]
    ends = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), flat.size - 1)  # equal scores stand or fall together
    true, false = np.cumsum(inside[order])[ends], np.cumsum(~inside[order])[ends]
    held, others = int(inside.sum()), int((~inside).sum())
    share = 0.5 if prior is None else prior
    right, wrong = (true, false) if prior is None else (share * true / held, (1 - share) * false / others)
    reached = np.flatnonzero(right / (right + wrong) >= wanted)
    if not reached.size:
        best = float((right / (right + wrong)).max())
        raise UsageError(
            "no threshold reaches this precision on the shadow target", allowed=f"at most {best:.4g}", got=precision
        )
    last = int(reached[-1])
    return Threshold(float(ranked[ends[last]]), Decisions(int(true[last]), held, int(false[last]), others, prior))
