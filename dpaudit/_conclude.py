"""From the finished trials to the report: the same for a live run, a resumed one and a ledger read years later."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dpaudit._facts import Facts
from dpaudit._health import health
from dpaudit.checks import Findings
from dpaudit.claim import Claim
from dpaudit.evidence import TestResult, Verdict
from dpaudit.methods import perfect_trials
from dpaudit.methods.beside import bound_beside, family_bound
from dpaudit.methods.betting import Betting, BettorMonitor
from dpaudit.methods.control import fixed_size_trials, positive_control
from dpaudit.methods.protocol import Method, Monitor
from dpaudit.report import History, Note, Report, TrialCounts
from dpaudit.scores import Scores
from dpaudit.trials import Columns, Outcome, Pilot, Schedule, Status

__all__ = ["FAILED", "coins", "conclude", "replay", "row"]

FAILED = "failed"  # the harness's own 0/1 statistic: the mechanism raised
_FAR = 2_000
_BLOCK = 4096


def coins(seed: int, trials: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The first coins of the audit with this seed."""
    return Schedule(seed).coins(trials)


def row(outcome: Outcome, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One trial's statistics in the order of `names`, and last whether the mechanism failed."""
    values = [outcome.statistics.get(name, np.nan) for name in names]
    return np.array([*values, float(outcome.status is Status.FAILED)])


def table(trials: Columns) -> Scores:
    """All trials as scores, in index order, `failed` as the last statistic."""
    return Scores.from_table(trials.table(), trials.included, [*trials.names, FAILED], lost=trials.where(Status.LOST))


def replay(monitor: Monitor, trials: Columns) -> int | None:
    """Feed `monitor` the trials of an interrupted audit; where it stops, or a release repeats an earlier one.

    A monitor that has ``extend(values, included, lost)`` and counts its ``trials`` takes them many at a time.
    """
    twice = trials.repeated_release()
    most = len(trials) if twice is None else twice[1] + 1
    values, lost, extend = trials.table(), trials.where(Status.LOST), getattr(monitor, "extend", None)
    for start in range(0, most, _BLOCK if extend else 1):
        block = slice(start, min(most, start + _BLOCK))
        if extend:
            extend(values[block], trials.included[block], lost[block])
            played = int(getattr(monitor, "trials"))  # noqa: B009  not of the protocol
        else:
            monitor.update(values[start], included=bool(trials.included[start]), lost=bool(lost[start]))
            played = start + 1
        if monitor.stopped:
            return played - 1
    return None if twice is None else twice[1]


def conclude(
    facts: Facts,
    claim: Claim,
    method: Method,
    trials: Columns,
    *,
    pilot: Pilot | None = None,
    notes: Sequence[Note] = (),
    seconds: float | None = None,
    preflight: Findings | None = None,
    live: Monitor | None = None,
) -> Report:
    """The report of an audit whose ledger holds `trials`.

    Args:
        facts: what was fixed beforehand.
        claim: the claim of the facts.
        method: the method of the facts.
        trials: those that count.
        pilot: the runs before the first trial, if they were made.
        notes: further health checks.
        seconds: wall clock so far, for a live run.
        preflight: what the watched steps showed, if any were watched.
        live: what watched the trials while they were played, if anything did.
    """
    played, names = trials, trials.names
    complete = method.anytime or len(played) == facts.max_trials
    test = told = None
    if len(played) and complete:
        test = told = _test(method, claim, facts.confidence, table(played), live)
        played = played.first(test.trials_used)
    path = test.details.get("path") if test else None
    rule = test.details.get("rule", {}) if test else {}
    if test is not None:
        hidden = {k: v for k, v in test.details.items() if k not in ("path", "rule")}
        test = replace(test, details=hidden)
    scores = table(played) if len(played) else None
    twice = played.repeated_release()
    perfect = _perfect(facts, claim, method, statistics=len(names) + 1)
    verdict, reason, remedy = _verdict(facts, claim, method, test, scores, twice, perfect)
    bound = family = None
    if scores is not None and test is not None and twice is None and scores.n_included and scores.n_excluded:
        bound = bound_beside(method, claim, scores, confidence=facts.confidence, copies=facts.copies, test=told)
        family = family_bound(method, claim, scores, confidence=facts.confidence)
    return Report(
        verdict=verdict,
        reason=reason,
        remedy=remedy,
        claim=claim,
        lower_bound=bound,
        family_bound=family,
        test=test,
        trials=_counts(facts, played),
        statistic=test.statistic if test else None,
        battery=(*names, FAILED) if names else (),
        power={"perfect_trials": perfect, **_power(facts, claim, method, verdict, test, scores)},
        confidence=facts.confidence,
        seed=facts.seed,
        method=test.method if test else method.name,
        engine=facts.engine,
        threat_model=facts.threat_model,
        canary=facts.canary,
        reproduce=facts.reproduce,
        fingerprint=facts.fingerprint,
        evidence={**facts.evidence, "ledger": played.digest() if len(played) else None},
        versions=facts.versions,
        notes=(*notes, *_repeats(twice), *health(played, pilot, scores, claim, copies=facts.copies)),
        timings=_timings(played, seconds),
        preflight=preflight,
        rule=rule,
        history=_history(path),
        scores=scores,
    )


def _test(method: Method, claim: Claim, confidence: float, scores: Scores, live: Monitor | None) -> TestResult:
    """The test of what the ledger holds. A bettor that took exactly these trials already has its result."""
    if isinstance(method, Betting) and isinstance(live, BettorMonitor) and live.took(scores, claim, confidence):
        return method.found(live, scores)
    return method.test(scores, claim, confidence)


def _verdict(
    facts: Facts,
    claim: Claim,
    method: Method,
    test: TestResult | None,
    scores: Scores | None,
    twice: tuple[int, int] | None,
    perfect: int | None,
) -> tuple[Verdict, str, str]:
    """Verdict, reason and remedy."""
    if twice is not None:
        return (
            Verdict.INCONCLUSIVE,
            f"trials {twice[0]} and {twice[1]} released bit-identical results: the training function ignores its seed, "
            "or the release is discrete; trials that repeat one another are not independent and prove nothing",
            "seed everything from `seed`; if equal releases are expected, return dpa.Release(value, discrete=True)",
        )
    if test is None or scores is None:
        if perfect is None or perfect > facts.max_trials:
            return Verdict.INCONCLUSIVE, f"not even perfect scores refute this claim in {facts.max_trials} trials", ""
        return Verdict.INCONCLUSIVE, _cut_short(facts, method, scores), "go on with --resume"
    if test.refuted:
        others = [name for name in scores.names if name != FAILED]
        alone = scores.values[:, -1].any() and (
            not others or not method.test(scores.select(others), claim, facts.confidence).refuted
        )
        reason = "rests on failures alone: the training function raises more often in one world" if alone else ""
        return Verdict.REFUTED, reason, ""
    if method.anytime:  # the coins there were begin those of `perfect`
        enough = perfect is not None and perfect <= len(scores)
    else:
        mask, columns = scores.included_mask, len(scores.names)
        enough = perfect_trials(method, claim, facts.confidence, mask, statistics=columns) is not None
    if not enough:
        return (
            Verdict.INCONCLUSIVE,
            f"not even perfect scores would have refuted this claim in the {len(scores)} trials there were",
            "" if perfect is None else "go on with --resume, or allow more trials (--trials)",
        )
    return Verdict.NOT_REFUTED, "", ""


def _power(
    facts: Facts, claim: Claim, method: Method, verdict: Verdict, test: TestResult | None, scores: Scores | None
) -> dict[str, Any]:
    """Beside a refutation what a fixed-size test would have cost, beside NOT_REFUTED a positive control."""
    if test is None or scores is None:
        return {}
    match verdict:
        case Verdict.REFUTED if method.anytime:
            return {"fixed_size_trials": fixed_size_trials(claim, scores, test, facts.confidence)}
        case Verdict.NOT_REFUTED:
            return positive_control(method, claim, scores, test, facts.confidence)
        case _:
            return {}


def _repeats(twice: tuple[int, int] | None) -> list[Note]:
    return [] if twice is None else [Note("repeated-releases", f"trials {twice[0]} and {twice[1]} are bit-identical")]


def _cut_short(facts: Facts, method: Method, scores: Scores | None) -> str:
    if scores is None:
        return "interrupted before the first trial was finished"
    done = f"{len(scores)} of {facts.max_trials} declared trials"
    return f"interrupted: {done}, and {method.name} may only be read at the end"


def _perfect(facts: Facts, claim: Claim, method: Method, *, statistics: int) -> int | None:
    """Trials for perfect scores, looking further than this audit may go, so that the remedy can name a number."""
    size = max(facts.max_trials, _FAR) if method.anytime else facts.max_trials  # anytime: it stops where it refutes
    while True:
        found = perfect_trials(method, claim, facts.confidence, coins(facts.seed, size), statistics=statistics)
        if found is not None or size >= _FAR:
            return found
        size = min(2 * size, _FAR)


def _counts(facts: Facts, played: Columns) -> TrialCounts:
    included = int(played.included.sum())
    return TrialCounts(
        requested=facts.max_trials,
        completed=len(played),
        failed=int(played.where(Status.FAILED).sum()),
        lost=int(played.where(Status.LOST).sum()),
        included=included,
        excluded=len(played) - included,
    )


def _timings(played: Columns, seconds: float | None) -> dict[str, float]:
    each = played.seconds
    timings = {"trials_seconds": math.fsum(each), "median_trial_seconds": float(np.median(each)) if len(each) else 0.0}
    return timings if seconds is None else {"wall_seconds": seconds, **timings}


def _history(path: Sequence[tuple[int, float, float]] | None) -> History | None:
    if not path:
        return None
    trial, log_wealth, bound = (np.array(column) for column in zip(*path, strict=True))
    return History(trial.astype(np.int64), log_wealth.astype(np.float64), bound.astype(np.float64))
