"""The attacks of a membership study, named in one place: those that apply, how they are run, what they decide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.difficulty import Difficulty
from dpaudit.membership.evaluation import Evaluation, evaluate
from dpaudit.membership.lira import Lira
from dpaudit.membership.loss import LossThreshold
from dpaudit.membership.population import PopulationP, PopulationS
from dpaudit.membership.protocol import Attack, Fitted
from dpaudit.membership.reference import ReferenceR
from dpaudit.membership.rmia import Rmia
from dpaudit.membership.shadow_attack import ShadowAttack
from dpaudit.membership.signals import Signals
from dpaudit.report.membership.parts import Skipped

__all__ = ["InFolds", "all_attacks", "decisions_of", "run_all_that_apply"]

_FOLDS = 4
_FEW = 64  # models below which attack R's own order statistics are too coarse for small false positive rates


@dataclass(frozen=True)
class InFolds:
    """An attack that is slow to fit, fitted once for each part of the models instead of once for each target.

    The models of a part are attacked with all models of the other parts as their shadows: no target is its own shadow.

    Args:
        attack: any.
        folds: number of parts; as many as models leaves one out at a time.
    """

    attack: Attack
    folds: int = _FOLDS

    @property
    def name(self) -> str:
        """The attack's."""
        return self.attack.name

    @property
    def note(self) -> str:
        """For the report."""
        return f"{self.name} is fitted {self.folds} times, on the models outside each part, not anew for each target"

    def fit(self, shadows: Signals) -> Fitted:
        """The attack's."""
        return self.attack.fit(shadows)

    def score_each(
        self, signals: Signals, targets: NDArray[np.intp], records: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """(T, R) scores of the targets."""
        scores = np.empty((len(targets), signals.records if records is None else len(records)))
        for chosen, fitted in _folds(self.attack, signals, targets, self.folds):
            scores[chosen] = fitted.score(signals.models_at(targets[chosen]), records)
        return scores


def all_attacks(models: int) -> tuple[Attack, ...]:
    """One of each kind that needs no more than signals, set for a number of models."""
    return (
        LossThreshold(),
        PopulationS(),
        PopulationP(),
        ReferenceR(smooth="gaussian" if models < _FEW else "linear"),
        Difficulty(),
        Lira(),
        Lira(mode="offline"),
        Rmia(),
        InFolds(ShadowAttack()),
    )


def run_all_that_apply(
    attacks: Sequence[Attack], signals: Signals, targets: ArrayLike | None
) -> tuple[Evaluation, tuple[Skipped, ...]]:
    """Every attack that these signals allow, and what keeps the others from it.

    Raises:
        UsageError: not even the first applies.
    """
    first, *others = attacks
    found = evaluate(first, signals, targets)
    skipped = []
    for attack in others:
        try:
            scores = evaluate(attack, signals, found.targets).scores
        except UsageError as error:
            skipped.append(Skipped(attack.name, str(error)))
        else:
            found = replace(found, scores={**found.scores, **scores})
    return found, tuple(skipped)


def decisions_of(attacks: Sequence[Attack], signals: Signals, evaluation: Evaluation) -> dict[str, Decisions]:
    """What each attack that knows a threshold of its own calls members; it has not seen the targets' truth."""
    made = {}
    for attack in attacks:
        if attack.name not in evaluation.names:
            continue
        try:
            called = _called(attack, signals, evaluation)
        except UsageError:  # it ranks, but these shadow models tell it no threshold: none was trained on the records
            continue
        if called is not None:
            made[attack.name] = Decisions.of(called, evaluation.members)
    return made


def _called(attack: Attack, signals: Signals, evaluation: Evaluation) -> NDArray[np.bool_] | None:
    match attack.attack if isinstance(attack, InFolds) else attack:
        case ShadowAttack():
            return np.asarray(evaluation.of(attack.name) > 0.5)  # more likely a member than not
        case Lira(mode="online"):
            return np.asarray(evaluation.of(attack.name) > 0.0)  # more likely with the record than without
        case LossThreshold():
            return _decided(attack, signals, evaluation)
        case Difficulty() | Lira() | PopulationP() | PopulationS() | ReferenceR() | Rmia():
            return None  # a matter of the false positive rate one allows
        case _:
            return _decided(attack, signals, evaluation)


def _decided(attack: Attack, signals: Signals, evaluation: Evaluation) -> NDArray[np.bool_] | None:
    """By ``decide(target, records)`` of the fitted attack, if it has that and needs nothing else."""
    called = np.zeros(evaluation.members.shape, dtype=bool)
    for chosen, fitted in _folds(attack, signals, evaluation.targets, _FOLDS):
        decide = getattr(fitted, "decide", None)
        if decide is None or not _takes_two(decide):
            return None
        called[chosen] = decide(signals.models_at(evaluation.targets[chosen]), evaluation.records)
    return called


def _takes_two(decide: Any) -> bool:
    names = list(signature(decide).parameters.values())
    return len(names) >= 2 and names[1].name == "records" and all(p.default is not Parameter.empty for p in names[1:])


def _folds(attack: Attack, signals: Signals, targets: NDArray[np.intp], folds: int) -> Any:
    """Places in `targets`, and the attack fitted on all models but those of the same part."""
    part = np.arange(signals.models) % min(folds, signals.models)
    for each in np.unique(part[targets]):
        yield np.flatnonzero(part[targets] == each), attack.fit(signals.models_at(np.flatnonzero(part != each)))
