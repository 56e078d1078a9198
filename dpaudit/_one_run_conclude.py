"""From the finished runs to the report of a one-run audit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit._one_run_game import Played
from dpaudit.claim import Claim
from dpaudit.evidence import Verdict
from dpaudit.methods.one_run_combined import CombinedRuns, perfect_runs
from dpaudit.methods.one_run_method import OneRunMethod
from dpaudit.methods.one_run_planned import HalfTheNoise
from dpaudit.report import Note, TrialCounts
from dpaudit.report.one_run import ONE_RUN_ASSUMES, OneRunReport
from dpaudit.scores import Scores

__all__ = ["Ground", "conclude"]

_FEW = 50
_MOST_CANARIES = 200_000  # in all runs, of which a hundred simulated audits take seconds
_SUSPECT = "ideal canaries through half the noise"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is fixed before the first training.

    Attributes:
        claim, method, confidence, seed: of the audit.
        masks: the coins of each run.
        engine, threat_model, canary, reproduce, fingerprint, versions: for the report.
        pilot: whether trainings before the first looked at canaries and seed.
    """

    claim: Claim
    method: OneRunMethod
    confidence: float
    seed: int
    masks: tuple[NDArray[np.bool_], ...]
    engine: str
    threat_model: str
    canary: str
    reproduce: str
    fingerprint: str
    versions: Mapping[str, str]
    pilot: bool


def conclude(ground: Ground, played: Sequence[Played], start: float) -> OneRunReport:
    """The report on all runs, or on none where not even perfect scores would refute.

    Args:
        ground: what was fixed beforehand.
        played: the runs, in order.
        start: `time.monotonic` when the audit began.
    """
    claim, method, confidence = ground.claim, ground.method, ground.confidence
    names = tuple(played[0].scores) if played else ()
    perfect = perfect_runs(method, claim, confidence, ground.masks, statistics=max(1, len(names)))
    test = bound = family = scores = None
    power: dict[str, Any] = {"perfect_trials": perfect}
    if played:
        runs = CombinedRuns(method, (_scores(one, mask, names) for one, mask in zip(played, ground.masks, strict=True)))
        test, scores = runs.test(claim, confidence), _together(runs.runs)
        if _repeated(played) is None:
            bound = runs.lower_bound(delta=claim.quoted_delta, confidence=confidence)
            family = runs.family_bound(claim, confidence)
    verdict, reason, remedy = _verdict(ground, played, perfect, refuted=test is not None and test.refuted)
    if verdict is Verdict.NOT_REFUTED and perfect is not None and perfect <= _MOST_CANARIES:
        suspect = HalfTheNoise(claim, len(ground.masks[0]))
        power |= {"suspect": _SUSPECT, "probability": suspect.power(method, confidence, len(ground.masks))}
    details = {} if test is None else test.details
    return OneRunReport(
        verdict=verdict,
        reason=reason,
        remedy=remedy,
        claim=claim,
        lower_bound=bound,
        family_bound=family,
        test=test,
        trials=_counts(ground, played),
        statistic=None if test is None else test.statistic,
        battery=names,
        power=power,
        confidence=confidence,
        seed=ground.seed,
        method=method.describe() if test is None else test.method,
        engine=ground.engine,
        threat_model=ground.threat_model,
        canary=ground.canary,
        assumes=ONE_RUN_ASSUMES,
        reproduce=ground.reproduce,
        fingerprint=ground.fingerprint,
        versions=ground.versions,
        notes=tuple(_notes(ground, played)),
        timings={"wall": time.monotonic() - start, "runs": sum(one.seconds for one in played)},
        m=len(ground.masks[0]),
        runs=len(ground.masks),
        guesses=details.get("guesses", 0),
        correct=details.get("correct", 0),
        p_values=tuple(details.get("p_values", ())),
        scores=scores,
    )


def _scores(one: Played, mask: NDArray[np.bool_], names: Sequence[str]) -> Scores:
    """Of a run whose training raised: nothing is known of any canary, so the guesses fall as they may."""
    silent = np.full(len(mask), np.nan)
    columns = [np.asarray(one.scores.get(name, silent), np.float64) for name in names]
    table = Scores.from_table(np.stack(columns, axis=1), mask, names)  # NaN alone are allowed here
    return table.as_one_run()


def _together(runs: Sequence[Scores]) -> Scores:
    """The canaries of all runs, those of the first run first."""
    values, masks = (np.concatenate(parts) for parts in zip(*((r.values, r.included_mask) for r in runs), strict=True))
    return Scores.from_table(values, masks, runs[0].names).as_one_run()


def _verdict(
    ground: Ground, played: Sequence[Played], perfect: int | None, *, refuted: bool
) -> tuple[Verdict, str, str]:
    """Verdict, reason and remedy."""
    m, runs = len(ground.masks[0]), len(ground.masks)
    if played and (twice := _repeated(played)) is not None:
        return (
            Verdict.INCONCLUSIVE,
            f"runs {twice[0]} and {twice[1]} released bit-identical results: training ignores its seed and the "
            "canaries, and runs that repeat one another prove nothing",
            "seed everything from `seed`; if equal releases are expected, return dpa.Release(value, discrete=True)",
        )
    if perfect is None:
        when = "" if played else ", so nothing was trained"
        return (
            Verdict.INCONCLUSIVE,
            f"not even perfect scores of {m} canaries in {runs} run(s) refute this claim{when}",
            "more canaries, more guesses (method=OneRunFDP(k=FixedK(...))), more runs, a smaller eps, or a whole "
            "profile such as Claim.dp_sgd",
        )
    return (Verdict.REFUTED if refuted else Verdict.NOT_REFUTED), "", ""


def _repeated(played: Sequence[Played]) -> tuple[int, int] | None:
    seen: dict[str, int] = {}
    for run, one in enumerate(played):
        if one.digest is not None:
            if one.digest in seen:
                return seen[one.digest], run
            seen[one.digest] = run
    return None


def _counts(ground: Ground, played: Sequence[Played]) -> TrialCounts:
    """In canaries."""
    m, done = len(ground.masks[0]), ground.masks[: len(played)]
    included = int(sum(mask.sum() for mask in done))
    return TrialCounts(
        requested=m * len(ground.masks),
        completed=m * len(done),
        failed=m * sum(bool(one.error) for one in played),
        included=included,
        excluded=m * len(done) - included,
    )


def _notes(ground: Ground, played: Sequence[Played]) -> list[Note]:
    """Health checks that found something."""
    found = []
    m = len(ground.masks[0])
    if m < _FEW:
        found.append(Note("few-canaries", f"{m} canaries show little; a thousand is usual"))
    if not ground.pilot:
        found.append(Note("unchecked", "no pilot: that training heeds the canaries and its seed was not looked at"))
    for run, one in enumerate(played):
        if one.error:
            found.append(
                Note("failed-run", f"training raised in run {run}, its canaries were guessed blindly: {one.error}")
            )
        for name, column in one.scores.items():
            silent = int(np.isnan(column).sum())
            if silent:
                found.append(Note("abstained", f"{name} of run {run} says nothing of {silent} of {m} canaries"))
            elif len(np.unique(column)) < m / 2:
                found.append(Note("ties", f"{name} of run {run} has {len(np.unique(column))} values for {m} canaries"))
        found += [Note("said", f"{text} ({count} times)") for text, count in one.notices[:3] if run == 0]
    return found
