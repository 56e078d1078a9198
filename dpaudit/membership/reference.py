"""Attacks R and L: the threshold of a record comes from models that were not trained on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.population import loss_at
from dpaudit.membership.quantiles import Distribution, Smooth, distribution, least_references, require_smooth
from dpaudit.membership.signals import Signals

__all__ = ["FittedR", "FittedReferences", "LeaveOneOutL", "ReferenceR", "References"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Index = NDArray[np.intp]

References = Sequence[Signals] | Callable[[int], Signals]
"""Reference models of each target: those of target t are ``references[t]``, or ``references(t)``."""


@dataclass(frozen=True)
class ReferenceR:
    """Attack R: the threshold depends on the record.

    It is the alpha quantile of the record's losses under reference models that were not trained on it. A score is
    minus the position of the target's loss among these (see `quantiles`).

    Args:
        smooth: ``linear`` interpolates between order statistics, ``gaussian`` fits a normal distribution to the
            logit of exp(-loss), which is the better choice for few models.
        missing: a record with too few such models is refused, or takes the references of all attacked records
            ("pool").

    Reference: Ye, Maddi, Murakonda, Bindschaedler, Shokri 2022 ("Enhanced membership inference attacks"), attack R.
    """

    smooth: Smooth = "linear"
    missing: Literal["refuse", "pool"] = "refuse"
    name: ClassVar[str] = "R"

    def __post_init__(self) -> None:
        require_smooth(self.smooth)
        if self.missing not in ("refuse", "pool"):
            raise UsageError("missing", allowed="'refuse', 'pool'", got=self.missing)

    def fit(self, shadows: Signals) -> "FittedR":
        """Takes the losses of each record under the shadow models not trained on it.

        Raises:
            UsageError: too few of them for some attacked record.
        """
        return self._fit(shadows, least_references(self.smooth))

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target, all other models being its shadows: a target not trained on a record is left out of it.

        With ``missing="pool"`` the pooled references keep what the target says of other records.
        """
        fitted = self._fit(signals, least_references(self.smooth) + 1)
        return fitted.scores(signals.margin[targets], records, ~signals.members[targets])

    def _fit(self, shadows: Signals, least: int) -> "FittedR":
        outside = ~shadows.members
        few = outside.sum(axis=0) < least  # no population record, which no model was trained on
        wrong = int(few.sum())
        if wrong and self.missing == "refuse":
            raise UsageError(
                f"models not trained on a record, for ReferenceR(smooth={self.smooth!r})",
                allowed=f"at least {least} of each attacked record",
                got=f"fewer for {wrong} of {int(shadows.attacked.sum())} records",
                remedy="more shadow models, each record in half of them; or ReferenceR(missing='pool')",
            )
        pooled = None
        if few.any():
            drawn = shadows.margin[outside & shadows.attacked]
            if len(drawn) < least:
                raise UsageError("models not trained on a record", allowed=f"at least {least}", got=len(drawn))
            pooled = distribution(drawn, self.smooth)
        # by record, since one record after the other is sorted
        return FittedR(
            self.smooth, np.ascontiguousarray(shadows.margin.T), np.ascontiguousarray(outside.T), few, pooled
        )


@dataclass(frozen=True, eq=False)
class FittedR:
    """Reference margins of each record.

    Attributes:
        smooth: how positions between and beyond them are found.
        margins: (R, M) of all shadow models.
        outside: (R, M) whether a model was not trained on the record.
        few: (R,) too few such models: the pooled references are taken.
        pooled: references of all attacked records; None: needed nowhere.
    """

    smooth: Smooth
    margins: FloatArray
    outside: BoolArray
    few: BoolArray
    pooled: Distribution | None

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R), minus the position of the loss in that of its record."""
        return self.scores(target.margin, records)

    def scores(self, margins: FloatArray, records: Index | None, own: BoolArray | None = None) -> FloatArray:
        """As `score`, of margins (T, all records); `own`: the target itself is among the references, left out."""
        asked = np.arange(margins.shape[1]) if records is None else records
        scores = np.empty((len(asked), len(margins)))
        for place, record in enumerate(asked):
            scores[place] = self._references(record).score(margins[:, record], None if own is None else own[:, record])
        return np.ascontiguousarray(scores.T)

    def threshold(self, target: Signals, alpha: float, records: Index | None = None) -> FloatArray:
        """(T, R) losses in nats: the alpha quantile for the record, the same for all targets."""
        return loss_at(np.broadcast_to(self._margin_at(alpha, target, records), self._shape(target, records)))

    def decide(self, target: Signals, alpha: float, records: Index | None = None) -> BoolArray:
        """(T, R): member, at false positive rate `alpha` of targets that are like the shadow models."""
        margins = target.margin if records is None else target.margin[:, records]
        return np.asarray(margins >= self._margin_at(alpha, target, records))

    def _margin_at(self, alpha: float, target: Signals, records: Index | None) -> FloatArray:
        asked = np.arange(target.records) if records is None else records
        return np.array([self._references(record).margin_at(alpha) for record in asked])

    def _shape(self, target: Signals, records: Index | None) -> tuple[int, int]:
        return target.models, target.records if records is None else len(records)

    def _references(self, record: int) -> Distribution:
        if self.few[record] and self.pooled is not None:
            return self.pooled
        return distribution(self.margins[record, self.outside[record]], self.smooth)


@dataclass(frozen=True, eq=False)
class LeaveOneOutL:
    """Attack L: the threshold depends on target and record.

    It is the alpha quantile of the record's losses under models retrained on the target's training data without that
    record: the ideal reference, which needs the data. It ignores the shadow models.

    Args:
        references: of target t, ``references[t]`` or ``references(t)``: signals (K, R) in whose column r stand K
            models retrained without record r (different models in different columns; `members` False there).
        smooth: as `ReferenceR`.

    Reference: Ye et al. 2022, attack L.
    """

    references: References
    smooth: Smooth = "linear"
    name: ClassVar[str] = "L"

    def __post_init__(self) -> None:
        require_smooth(self.smooth)

    def fit(self, shadows: Signals) -> "FittedReferences":
        """Nothing to learn from shadow models."""
        return FittedReferences(self.references, self.smooth, self.name)

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of the targets numbered `targets`, each against its own references."""
        fitted = FittedReferences(self.references, self.smooth, self.name)
        return np.concatenate([fitted.of(int(t)).score(signals.models_at([t]), records) for t in targets])


@dataclass(frozen=True, eq=False)
class FittedReferences:
    """Reference models of each target, as attacks L and D have them.

    Attributes:
        references: of target t, ``references[t]`` or ``references(t)``.
        smooth: as `ReferenceR`.
        attack: its name, for messages.
    """

    references: References
    smooth: Smooth
    attack: str

    def of(self, target: int) -> FittedR:
        """The references of one target.

        Raises:
            UsageError: there are none, or too few models not trained on some record.
        """
        if not callable(self.references) and target >= len(self.references):
            raise UsageError(
                f"references of attack {self.attack}",
                allowed="signals for each target, in their order",
                got=f"{len(self.references)}, and a target number {target}",
            )
        held = self.references(target) if callable(self.references) else self.references[target]
        return ReferenceR(self.smooth).fit(held)

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R), minus the position of the loss among those of this target's references for that record."""
        return np.concatenate([own.score(one, records) for own, one in self._each(target)])

    def threshold(self, target: Signals, alpha: float, records: Index | None = None) -> FloatArray:
        """(T, R) losses in nats: the alpha quantile for target and record."""
        return np.concatenate([own.threshold(one, alpha, records) for own, one in self._each(target)])

    def decide(self, target: Signals, alpha: float, records: Index | None = None) -> BoolArray:
        """(T, R): member, at level `alpha`."""
        return np.concatenate([own.decide(one, alpha, records) for own, one in self._each(target)])

    def _each(self, target: Signals) -> list[tuple[FittedR, Signals]]:
        return [(self.of(t), target.models_at([t])) for t in range(target.models)]
