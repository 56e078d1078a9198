"""The audit itself: claim, game, trials, evidence, report. It knows no concrete class; defaults.py names the parts."""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from dpaudit import defaults
from dpaudit._conclude import coins, conclude, row
from dpaudit._definition import Audit
from dpaudit._facts import Facts
from dpaudit._pilot import check_pilot
from dpaudit.claim import Claim
from dpaudit.methods import perfect_trials
from dpaudit.methods.protocol import Method
from dpaudit.neighbors import Neighbors
from dpaudit.report import Note, Report
from dpaudit.trials import Game, Ledger, Payload, Pilot, Progress, Runner, Schedule, Session, Status

__all__ = ["audit", "judge_ledger", "run"]


def audit(train: Any, neighbors: Neighbors, *, claim: Claim, **settings: Any) -> Report:
    """Audit `claim` of `train` on these neighbours: play trials until it is refuted or they are used up.

    The arguments are those of `dpa.Audit`; this is ``dpa.Audit(...).run()``.
    """
    return Audit(train, neighbors, claim=claim, **settings).run()


def run(
    definition: Audit, *, resume: bool, fresh: bool, progress: Progress | None, reproduce: str, code: str
) -> Report:
    """Play and judge; see `Audit.run`."""
    start = time.monotonic()
    method, claim = defaults.as_method(definition.method), definition.group_claim()
    fingerprint = definition.fingerprint(code)
    facts = definition.facts(fingerprint, reproduce=reproduce)
    if perfect_trials(method, claim, facts.confidence, coins(facts.seed, facts.max_trials)) is None:
        return conclude(facts, claim, method, ())
    with Ledger.open(
        None if definition.ledger is None else Path(definition.ledger),
        fingerprint=fingerprint,
        facts=facts.to_dict(),
        resume=resume,
        fresh=fresh,
    ) as ledger:
        before = int(ledger.facts["max_trials"])
        notes: tuple[Note, ...] = ()
        if not ledger.finished or facts.max_trials > before:
            ledger.reopen()
            ledger.update_facts(max_trials=facts.max_trials, reproduce=facts.reproduce)
            try:
                _play(definition, ledger, method, claim, progress)
                ledger.finish()
            except KeyboardInterrupt:
                notes = (Note("interrupted", "stopped by hand; what was finished is kept, --resume goes on"),)
        return judge_ledger(ledger, claim, method, notes=notes, seconds=time.monotonic() - start)


def judge_ledger(
    ledger: Ledger, claim: Claim, method: Method, *, notes: tuple[Note, ...] = (), seconds: float | None = None
) -> Report:
    """The report on whatever a ledger holds: of a live run, or years later."""
    kept, late, written = ledger.state("pilot"), ledger.after_stop(), ledger.outcomes()
    extra = tuple(Note("extra-statistics", text) for text in ledger.notes())
    report = conclude(
        Facts(**ledger.facts),
        claim,
        method,
        [outcome for outcome in written if outcome.trial.index not in late],
        names=ledger.names or (),
        pilot=None if kept is None else Pilot.from_dict(kept),
        notes=(*notes, *extra),
        seconds=seconds,
    )
    return replace(report, trials=replace(report.trials, after_stop=len(written) - report.trials.completed))


def _play(definition: Audit, ledger: Ledger, method: Method, claim: Claim, progress: Progress | None) -> None:
    """Trials in index order until the method stops, a release repeats itself, or they are used up."""
    mechanism = defaults.as_mechanism(definition.train, definition.neighbors)
    game = Game(mechanism, definition.neighbors, defaults.as_attack(definition.attack))
    total, confidence = definition.max_trials, definition.confidence
    with (
        Payload(game) as payload,
        Runner(
            payload,
            workers=definition.workers,
            executor=definition.executor,
            trial_timeout=definition.trial_timeout,
        ) as runner,
        Session(schedule=Schedule(definition.seed), ledger=ledger, runner=runner, max_trials=total) as session,
        progress or nullcontext(),
    ):
        check_pilot(session.pilot(), count_failures=definition.count_failures)
        names = ledger.names or ()
        if perfect_trials(method, claim, confidence, coins(definition.seed, total), statistics=len(names) + 1) is None:
            return
        monitor = method.monitor(claim, confidence, len(names) + 1)
        seen: set[str | None] = {None}
        failed = lost = 0
        for outcome in session.in_order():
            failed, lost = failed + (outcome.status is Status.FAILED), lost + (outcome.status is Status.LOST)
            monitor.update(row(outcome, names), included=outcome.trial.included, lost=outcome.status is Status.LOST)
            if progress is not None:
                done = outcome.trial.index + 1
                progress.update(done=done, total=total, failed=failed, lost=lost, evidence=monitor.summary())
            if monitor.stopped or (outcome.digest in seen and outcome.digest is not None):
                session.stop(outcome.trial.index)
                break
            seen.add(outcome.digest)
