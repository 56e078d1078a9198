"""From scores of attacks to what a report says of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.membership.agreement import Agreement, agreement_between
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.evaluation import Evaluation
from dpaudit.membership.signals import Signals
from dpaudit.membership.vulnerability import most_vulnerable_models, record_vulnerability
from dpaudit.report.membership.parts import AttackResult, Histogram, ModelRow, RecordTable, Setting
from dpaudit.report.membership.rates import rates

__all__ = ["FPRS", "measure"]

FPRS = (0.1, 0.01, 0.001)
_AGREE_AT = 0.1  # Ye et al. 2022 compare attacks at a fixed false positive rate
_TOP = 20


def measure(
    evaluation: Evaluation,
    signals: Signals,
    *,
    decisions: Mapping[str, Decisions] | None = None,
    confidence: float = 0.95,
    fprs: Sequence[float] = FPRS,
    redact: bool = False,
) -> dict[str, Any]:
    """The measured attributes of a `MembershipReport`: setting, attacks, agreement, models, losses, records.

    Args:
        evaluation: scores of all attacks.
        signals: what they were made of.
        decisions: of attacks that decide by themselves, by name.
        confidence: of the intervals.
        fprs: false positive rates to give the true positive rate at.
        redact: leave out all there is about single records.

    Raises:
        UsageError: no members, or no non-members, among the attacked records.
    """
    own = signals.models_at(evaluation.targets).records_at(evaluation.records)
    attacks = tuple(_result(evaluation, n, (decisions or {}).get(n), confidence, fprs) for n in evaluation.names)
    strongest = max(attacks, key=lambda attack: attack.auc).name
    agreement: Agreement | None = agreement_between(evaluation, _AGREE_AT) if len(attacks) > 1 else None
    return {
        "setting": _setting(evaluation, signals, own),
        "attacks": attacks,
        "agreement": agreement,
        "models": tuple(ModelRow(**row) for row in most_vulnerable_models(evaluation, strongest, _TOP)),
        "losses": Histogram.of(own.loss, evaluation.members),
        "records": None if redact else _records(evaluation, own, strongest),
    }


def _result(
    evaluation: Evaluation, name: str, decided: Decisions | None, confidence: float, fprs: Sequence[float]
) -> AttackResult:
    roc = evaluation.roc(name)
    return AttackResult(
        name=name,
        auc=roc.auc,
        interval=roc.auc_interval(confidence),
        best=roc.best,
        rates=rates(evaluation.of(name), evaluation.members, roc, fprs, confidence),
        decisions=decided,
        curve=roc.curve(),
        histogram=Histogram.of(evaluation.of(name), evaluation.members),
        model_aucs=evaluation.model_aucs(name),
    )


def _setting(evaluation: Evaluation, signals: Signals, own: Signals) -> Setting:
    members = evaluation.members
    inside = signals.coverage.inside[evaluation.records]
    accuracy = None
    if own.labels is not None and own.outputs is not None:
        right = own.outputs.argmax(axis=2) == own.labels
        accuracy = float(right[members].mean()), float(right[~members].mean())
    return Setting(
        models=signals.models,
        targets=len(evaluation.targets),
        records=len(evaluation.records),
        population=0 if signals.population is None else int(signals.population.sum()),
        least_inside=int(inside.min()),
        most_inside=int(inside.max()),
        members=int(members.sum()),
        nonmembers=int((~members).sum()),
        augmentations=signals.augmentations,
        accuracy=accuracy,
        loss=(float(own.loss[members].mean()), float(own.loss[~members].mean())),
    )


def _records(evaluation: Evaluation, own: Signals, strongest: str) -> RecordTable:
    found = {name: record_vulnerability(evaluation, name) for name in evaluation.names}
    members, each = evaluation.members, {name: evaluation.of(name) for name in evaluation.names}
    return RecordTable(
        strongest=strongest,
        vulnerability=found,
        top=tuple(found[strongest].top(_TOP) or _ranked_first(evaluation, strongest)),
        labels=own.labels,
        loss_inside=_mean(own.loss, members),
        loss_outside=_mean(own.loss, ~members),
        score_inside={name: _mean(scores, members) for name, scores in each.items()},
        score_outside={name: _mean(scores, ~members) for name, scores in each.items()},
    )


def _ranked_first(evaluation: Evaluation, strongest: str) -> list[dict[str, Any]]:
    scores = np.where(evaluation.members, evaluation.of(strongest), -np.inf)
    count = min(_TOP, int(evaluation.members.sum()))
    places = np.argsort(-scores, axis=None, kind="stable")[:count]
    models, records = np.unravel_index(places, scores.shape)
    return [
        {
            "record": int(evaluation.records[record]),
            "model": int(evaluation.targets[model]),
            "score": float(scores[model, record]),
        }
        for model, record in zip(models, records, strict=True)
    ]


def _mean(values: NDArray[np.float64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(R,) over the models of each record that are meant; NaN where there are none."""
    count = which.sum(axis=0)
    total = np.where(which, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
