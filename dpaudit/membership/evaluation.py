"""Attacks on every model in turn, all the others being its shadow models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.protocol import Attack
from dpaudit.membership.roc import Roc
from dpaudit.membership.signals import Signals

__all__ = ["Evaluation", "LeavesOneOut", "evaluate"]

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

_FORMAT = 1


@runtime_checkable
class LeavesOneOut(Protocol):
    """An attack that scores many targets faster than one by one, with the same result."""

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """(T, R): row t is ``fit(signals.without(targets[t])).score(signals.models_at([targets[t]]), records)``."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Scores of each attack on each target, and what they come to.

    This is about population membership: how much models leak about their records. It neither contradicts nor supports
    a claim of differential privacy.

    Attributes:
        scores: for each attack, by name, (T, R), higher where membership is more likely.
        members: (T, R) the truth.
        targets: (T,) numbers of the target models.
        records: (R,) numbers of the attacked records.
    """

    scores: Mapping[str, FloatArray]
    members: NDArray[np.bool_]
    targets: Index
    records: Index

    @property
    def names(self) -> tuple[str, ...]:
        """Of the attacks, in their order."""
        return tuple(self.scores)

    def of(self, attack: str) -> FloatArray:
        """(T, R) scores of one attack.

        Raises:
            UsageError: no such attack.
        """
        if attack not in self.scores:
            raise UsageError("attack", allowed=", ".join(self.names), got=attack)
        return self.scores[attack]

    def roc(self, attack: str) -> Roc:
        """Of the scores of all targets together, one threshold for all of them."""
        return Roc.of(self.of(attack), self.members)

    def model_roc(self, attack: str, place: int) -> Roc:
        """Of one target, `place` counting from 0 in `targets`."""
        return Roc.of(self.of(attack)[place], self.members[place])

    def model_aucs(self, attack: str) -> FloatArray:
        """(T,) AUC of each target alone; NaN for one with no members, or nothing else, among the records."""
        scores = self.of(attack)
        inside = self.members.sum(axis=1)
        fit = (inside > 0) & (inside < len(self.records))
        pairs = zip(scores, self.members, fit, strict=True)
        return np.array([Roc.of(row, held).auc if good else np.nan for row, held, good in pairs])

    def to_dict(
        self, *, fprs: Sequence[float] = (0.1, 0.01, 0.001), confidence: float = 0.95, records: bool = False
    ) -> dict[str, Any]:
        """For JSON: AUC with interval, balanced accuracy, advantage, TPR at low FPR, per model and pooled, curves.

        Args:
            fprs: false positive rates to give the TPR at.
            confidence: of the intervals.
            records: add scores, members and numbers of every record. They disclose membership themselves, so a
                report that is passed on is better without.
        """
        told: dict[str, Any] = {
            "format": _FORMAT,
            "kind": "population membership; no conclusion about differential privacy",
            "targets": len(self.targets),
            "records": len(self.records),
            "members": int(self.members.sum()),
            "attacks": {name: self._attack(name, fprs, confidence) for name in self.names},
        }
        if records:
            told["per_record"] = {
                "targets": self.targets.tolist(),
                "records": self.records.tolist(),
                "members": self.members.tolist(),
                "scores": {name: scores.tolist() for name, scores in self.scores.items()},
            }
        return told

    def _attack(self, name: str, fprs: Sequence[float], confidence: float) -> dict[str, Any]:
        roc, aucs = self.roc(name), self.model_aucs(name)
        interval, best = roc.auc_interval(confidence), roc.best
        false, true = roc.curve()
        return {
            "auc": roc.auc,
            "auc_interval": interval._asdict(),
            "balanced_accuracy": best.balanced_accuracy,
            "advantage": best.advantage,
            "best": best.to_dict(),
            "at_fpr": [{"asked": fpr, **roc.tpr_at(fpr, confidence).to_dict()} for fpr in fprs],
            "model_aucs": [None if np.isnan(auc) else float(auc) for auc in aucs],
            "curve": {"fpr": false.tolist(), "tpr": true.tolist()},
        }

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(self.names)}; {len(self.targets)} targets, {len(self.records)} records)"


def evaluate(
    attacks: Attack | Sequence[Attack],
    signals: Signals,
    targets: ArrayLike | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Each target model in turn is attacked with all other models as its shadows, on the records not in the population.

    Where each record is in exactly half of the models, a target's own side is one model short when its turn comes, so
    that attacks with means on both sides lie a little below 1/2 where nothing leaks: LiRA online .488 with 16 models,
    .496 with 64 (Bernoulli masks: .50). The error is on the side of too small a leak.

    Args:
        attacks: one or several, of different names.
        signals: of all models.
        targets: numbers of the models to attack, or a bool mask; None: all. The others still serve as shadows.
        progress: told (attacks on targets done, of how many).

    Raises:
        UsageError: fewer than two models, targets that are none, attacks of the same name, scores that are not finite.
    """
    each = tuple(attacks) if isinstance(attacks, Sequence) else (attacks,)
    names = [attack.name for attack in each]
    if not names or len(set(names)) < len(names):
        raise UsageError(
            "attacks",
            allowed="at least one, of different names",
            got=", ".join(names) or "none",
            remedy="evaluate those of one name apart",
        )
    if signals.models < 2:
        raise UsageError("signals", allowed="a target and at least one shadow model", got=f"{signals.models} models")
    chosen, records = _targets(targets, signals.models), np.flatnonzero(signals.attacked)
    if not len(records):
        raise UsageError("records to attack", allowed="at least one outside the population", got="none")
    total, scores = len(each) * len(chosen), {}
    for place, attack in enumerate(each):
        done = place * len(chosen)
        if isinstance(attack, LeavesOneOut):
            found = attack.score_each(signals, chosen, records)
        else:
            rows = []
            for target in chosen:
                rows.append(attack.fit(signals.without(int(target))).score(signals.models_at([target]), records))
                if progress is not None:
                    progress(done + len(rows), total)
            found = np.concatenate(rows)
        scores[attack.name] = _checked(attack.name, found, (len(chosen), len(records)))
        if progress is not None:
            progress(done + len(chosen), total)
    return Evaluation(scores, signals.members[np.ix_(chosen, records)], chosen, records)


def _targets(given: ArrayLike | None, models: int) -> Index:
    if given is None:
        return np.arange(models)
    asked = np.atleast_1d(np.asarray(given))
    if asked.dtype == bool and asked.shape == (models,):
        asked = np.flatnonzero(asked)
    if asked.dtype.kind not in "iu" or asked.ndim != 1 or not len(asked) or asked.min() < 0 or asked.max() >= models:
        raise UsageError("targets", allowed=f"numbers in [0, {models}), or a mask ({models},)", got=given)
    if len(np.unique(asked)) < len(asked):
        raise UsageError("targets", allowed="each model once", got=given)
    return asked.astype(np.intp)


def _checked(name: str, scores: Any, shape: tuple[int, int]) -> FloatArray:
    found = np.asarray(scores, dtype=np.float64)
    wrong = int((~np.isfinite(found)).sum())
    if found.shape != shape or wrong:
        raise UsageError(
            f"scores of attack {name}",
            allowed=f"finite numbers of shape {shape}",
            got=f"shape {found.shape}, {wrong} of them not finite",
        )
    return found
