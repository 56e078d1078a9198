"""Attacks S and P: the threshold comes from records that are nobody's members."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.quantiles import Distribution, Smooth, distribution, least_references, require_smooth
from dpaudit.membership.signals import Signals

__all__ = ["FittedP", "FittedS", "PopulationP", "PopulationS", "loss_at", "population_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Index = NDArray[np.intp]


def population_of(signals: Signals, population: NDArray[np.bool_] | None, attack: str) -> BoolArray:
    """(R,) the population of the signals, or the one given instead.

    Raises:
        UsageError: there is none, it is empty, it does not fit, or a model was trained on some of it.
    """
    chosen = signals.population if population is None else np.asarray(population)
    if chosen is None or (chosen.dtype == bool and not chosen.any()):
        raise UsageError(
            f"{attack} needs records that are nobody's members",
            allowed="signals with a population",
            got="none",
            remedy=f"Signals(..., population=), or {attack}(population=mask)",
        )
    if chosen.dtype != bool or chosen.shape != (signals.records,):
        raise UsageError(
            "population", allowed=f"bool of shape ({signals.records},)", got=f"{chosen.dtype} {chosen.shape}"
        )
    wrong = int(signals.members[:, chosen].any(axis=0).sum())
    if wrong:
        raise UsageError(
            "population records are nobody's members", got=f"{wrong} of them in the training data of some model"
        )
    return chosen


def loss_at(margin: FloatArray) -> FloatArray:
    """The cross-entropy ln(1 + e^-margin) in nats, any shape; 0 at inf, inf at -inf."""
    return np.asarray(np.logaddexp(0.0, -margin))


@dataclass(frozen=True, eq=False)
class PopulationS:
    """Attack S: the threshold depends on the label.

    It is the alpha quantile of the shadow models' losses on population points of that label. A score is minus the
    position of the target's loss among these (see `quantiles`).

    Args:
        smooth: ``linear`` interpolates between order statistics, ``gaussian`` fits a normal distribution to the
            logit of exp(-loss).
        missing: a label without enough population points is refused, or takes all of them ("pool").
        population: (R,) bool; None: that of the signals.

    Reference: Ye, Maddi, Murakonda, Bindschaedler, Shokri 2022 ("Enhanced membership inference attacks"), attack S.
    """

    smooth: Smooth = "linear"
    missing: Literal["refuse", "pool"] = "refuse"
    population: BoolArray | None = None
    name: ClassVar[str] = "S"

    def __post_init__(self) -> None:
        require_smooth(self.smooth)
        if self.missing not in ("refuse", "pool"):
            raise UsageError("missing", allowed="'refuse', 'pool'", got=self.missing)

    def fit(self, shadows: Signals) -> "FittedS":
        """Collects the shadow models' losses on the population, by label.

        Raises:
            UsageError: no labels, no population, or a label of an attacked record without population points.
        """
        pools = self._pools(shadows)
        return self._fitted(shadows, {label: shadows.margin[:, mask].ravel() for label, mask in pools.items()})

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target, all other models being its shadows."""
        pools = self._pools(signals)
        ordered = {}
        for label, mask in pools.items():
            margins, owner = signals.margin[:, mask].ravel(), np.repeat(np.arange(signals.models), mask.sum())
            order = np.argsort(margins, kind="stable")
            ordered[label] = margins[order], owner[order]
        scores = []
        for target in targets:
            rest = {label: margins[owner != target] for label, (margins, owner) in ordered.items()}
            scores.append(self._fitted(signals, rest).score(signals.models_at([target]), records))
        return np.concatenate(scores)

    def _fitted(self, signals: Signals, margins: dict[int, FloatArray]) -> "FittedS":
        references = {}
        for label, drawn in margins.items():
            if len(drawn) < least_references(self.smooth):
                raise UsageError(
                    f"losses on population points of label {label}",
                    allowed=f"at least {least_references(self.smooth)} for smooth={self.smooth!r}",
                    got=len(drawn),
                    remedy="more shadow models or a larger population",
                )
            references[label] = distribution(drawn, self.smooth)
        return FittedS(_labels(signals), references)

    def _pools(self, signals: Signals) -> dict[int, BoolArray]:
        """Population mask of each label that occurs."""
        labels, population = _labels(signals), population_of(signals, self.population, "PopulationS")
        pools = {int(label): population & (labels == label) for label in np.unique(labels)}
        bare = [label for label, mask in pools.items() if not mask.any()]
        if bare and self.missing == "refuse":
            raise UsageError(
                "population points of each label",
                allowed="at least one",
                got=f"none of {len(bare)} of {len(pools)} labels, such as {bare[0]}",
                remedy="a larger population, or PopulationS(missing='pool')",
            )
        return {label: population if label in bare else mask for label, mask in pools.items()}


def _labels(signals: Signals) -> NDArray[np.int64]:
    if signals.labels is None:
        raise UsageError("PopulationS has a threshold for each label", allowed="signals with labels", got="none")
    return signals.labels


@dataclass(frozen=True, eq=False)
class FittedS:
    """A distribution of losses for each label.

    Attributes:
        labels: (R,) of the records.
        references: of each label.
    """

    labels: NDArray[np.int64]
    references: dict[int, Distribution]

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R), minus the position of the loss in that of its label."""
        margins, labels = _asked(target, self.labels, records)
        scores = np.empty_like(margins)
        for label in np.unique(labels):
            scores[:, labels == label] = self.references[int(label)].score(margins[:, labels == label])
        return scores

    def threshold(self, target: Signals, alpha: float, records: Index | None = None) -> FloatArray:
        """(T, R) losses in nats: the alpha quantile for the record's label, the same for all targets."""
        return loss_at(self._margin_at(target, alpha, records))

    def decide(self, target: Signals, alpha: float, records: Index | None = None) -> BoolArray:
        """(T, R): member, at false positive rate `alpha` of records like the population."""
        return np.asarray(_asked(target, self.labels, records)[0] >= self._margin_at(target, alpha, records))

    def _margin_at(self, target: Signals, alpha: float, records: Index | None) -> FloatArray:
        margins, labels = _asked(target, self.labels, records)
        at = {int(label): self.references[int(label)].margin_at(alpha) for label in np.unique(labels)}
        return np.broadcast_to(np.array([at[int(label)] for label in labels]), margins.shape)


@dataclass(frozen=True, eq=False)
class PopulationP:
    """Attack P: the threshold depends on the target.

    It is the alpha quantile of the target's own losses on population points, so shadow models are not needed. A score
    is minus the position of the target's loss among these.

    Args:
        smooth: as `PopulationS`.
        population: (R,) bool; None: that of the signals.

    Reference: Ye et al. 2022, attack P.
    """

    smooth: Smooth = "linear"
    population: BoolArray | None = None
    name: ClassVar[str] = "P"

    def __post_init__(self) -> None:
        require_smooth(self.smooth)

    def fit(self, shadows: Signals) -> "FittedP":
        """Notes the population.

        Raises:
            UsageError: there is none, or too few points for `smooth`.
        """
        population = population_of(shadows, self.population, "PopulationP")
        if population.sum() < least_references(self.smooth):
            raise UsageError(
                "population points", allowed=f"at least {least_references(self.smooth)}", got=int(population.sum())
            )
        return FittedP(self.smooth, population)

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target: no shadow has a say."""
        return self.fit(signals).score(signals.models_at(targets), records)


@dataclass(frozen=True, eq=False)
class FittedP:
    """The population.

    Attributes:
        smooth: how positions between and beyond its losses are found.
        population: (R,) bool.
    """

    smooth: Smooth
    population: BoolArray

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R), minus the position of the loss among those of the same model on the population."""
        margins = target.margin if records is None else target.margin[:, records]
        return np.stack([own.score(row) for own, row in zip(self._references(target), margins, strict=True)])

    def threshold(self, target: Signals, alpha: float, records: Index | None = None) -> FloatArray:
        """(T, R) losses in nats: the alpha quantile for the target, the same for all records."""
        return loss_at(self._margin_at(target, alpha, records))

    def decide(self, target: Signals, alpha: float, records: Index | None = None) -> BoolArray:
        """(T, R): member, at false positive rate `alpha` of records like the population."""
        margins = target.margin if records is None else target.margin[:, records]
        return np.asarray(margins >= self._margin_at(target, alpha, records))

    def _margin_at(self, target: Signals, alpha: float, records: Index | None) -> FloatArray:
        at = np.array([own.margin_at(alpha) for own in self._references(target)])
        return np.broadcast_to(at[:, None], (len(at), target.records if records is None else len(records)))

    def _references(self, target: Signals) -> list[Distribution]:
        return [distribution(row, self.smooth) for row in target.margin[:, self.population]]


def _asked(target: Signals, labels: NDArray[np.int64], records: Index | None) -> tuple[FloatArray, NDArray[np.int64]]:
    """Margins and labels of the records wanted."""
    return (target.margin, labels) if records is None else (target.margin[:, records], labels[records])
