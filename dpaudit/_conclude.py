"""From the finished trials to the report: the same for a live run, a resumed one and a ledger read years later."""

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
from dpaudit.methods.control import fixed_size_trials, positive_control
from dpaudit.methods.protocol import Method
from dpaudit.report import History, Note, Report, TrialCounts
from dpaudit.scores import Scores
from dpaudit.trials import Outcome, Pilot, Schedule, Status

__all__ = ["FAILED", "coins", "conclude", "row"]

FAILED = "failed"  # the harness's own 0/1 statistic: the mechanism raised
_FAR = 2_000


def coins(seed: int, trials: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The first coins of the audit with this seed."""
    schedule = Schedule(seed)
    return np.array([schedule.trial(i).included for i in range(trials)], dtype=bool)


def row(outcome: Outcome, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One trial's statistics in the order of `names`, and last whether the mechanism failed."""
    values = [outcome.statistics.get(name, np.nan) for name in names]
    return np.array([*values, float(outcome.status is Status.FAILED)])


def table(outcomes: Sequence[Outcome], names: Sequence[str]) -> Scores:
    """All trials as scores, in index order, `failed` as the last statistic."""
    return Scores.from_table(
        np.array([row(outcome, names) for outcome in outcomes]).reshape(len(outcomes), len(names) + 1),
        np.array([outcome.trial.included for outcome in outcomes], dtype=bool),
        [*names, FAILED],
        lost=np.array([outcome.status is Status.LOST for outcome in outcomes], dtype=bool),
    )


def repeated_release(outcomes: Sequence[Outcome]) -> tuple[int, int] | None:
    """The first two trials (by index) whose raw releases are identical; None if there are none."""
    seen: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.digest is not None:
            if outcome.digest in seen:
                return seen[outcome.digest], outcome.trial.index
            seen[outcome.digest] = outcome.trial.index
    return None


def conclude(
    facts: Facts,
    claim: Claim,
    method: Method,
    outcomes: Sequence[Outcome],
    *,
    names: Sequence[str] = (),
    pilot: Pilot | None = None,
    notes: Sequence[Note] = (),
    seconds: float | None = None,
    preflight: Findings | None = None,
) -> Report:
    """The report of an audit whose ledger holds `outcomes`.

    Args:
        facts: what was fixed beforehand.
        claim: the claim of the facts.
        method: the method of the facts.
        outcomes: finished trials in index order, without those after the stop; none after the first gap is counted.
        names: statistics, without `failed`.
        pilot: the runs before the first trial, if they were made.
        notes: further health checks.
        seconds: wall clock so far, for a live run.
        preflight: what the watched steps showed, if any were watched.
    """
    played = [outcome for i, outcome in enumerate(outcomes) if outcome.trial.index == i][: facts.max_trials]
    complete = method.anytime or len(played) == facts.max_trials
    test = None
    if played and complete:
        test = method.test(table(played, names), claim, facts.confidence)
        played = played[: test.trials_used]
    path = test.details.get("path") if test else None
    rule = test.details.get("rule", {}) if test else {}
    if test is not None:
        hidden = {k: v for k, v in test.details.items() if k not in ("path", "rule")}
        test = replace(test, details=hidden)
    scores = table(played, names) if played else None
    twice = repeated_release(played)
    perfect = _perfect(facts, claim, method, statistics=len(names) + 1)
    verdict, reason, remedy = _verdict(facts, claim, method, test, scores, twice, perfect)
    bound = family = None
    if scores is not None and test is not None and twice is None and scores.n_included and scores.n_excluded:
        bound = bound_beside(method, claim, scores, confidence=facts.confidence, copies=facts.copies)
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
        versions=facts.versions,
        notes=(*notes, *_repeats(twice), *health(played, pilot, scores, claim, copies=facts.copies)),
        timings=_timings(played, seconds),
        preflight=preflight,
        rule=rule,
        history=_history(path),
        scores=scores,
    )


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
    needed = perfect_trials(method, claim, facts.confidence, scores.included_mask, statistics=len(scores.names))
    if needed is None:
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


def _counts(facts: Facts, played: Sequence[Outcome]) -> TrialCounts:
    included = sum(outcome.trial.included for outcome in played)
    return TrialCounts(
        requested=facts.max_trials,
        completed=len(played),
        failed=sum(outcome.status is Status.FAILED for outcome in played),
        lost=sum(outcome.status is Status.LOST for outcome in played),
        included=included,
        excluded=len(played) - included,
    )


def _timings(played: Sequence[Outcome], seconds: float | None) -> dict[str, float]:
    each = [outcome.seconds for outcome in played]
    timings = {"trials_seconds": float(sum(each)), "median_trial_seconds": float(np.median(each)) if each else 0.0}
    return timings if seconds is None else {"wall_seconds": seconds, **timings}


def _history(path: Sequence[tuple[int, float, float]] | None) -> History | None:
    if not path:
        return None
    trial, log_wealth, bound = (np.array(column) for column in zip(*path, strict=True))
    return History(trial.astype(np.int64), log_wealth.astype(np.float64), bound.astype(np.float64))
