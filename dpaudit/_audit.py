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
from dpaudit._pilot import PilotRefusal, check_pilot
from dpaudit._preflight import before_trials
from dpaudit.checks import Findings
from dpaudit.claim import Claim
from dpaudit.methods import perfect_trials
from dpaudit.methods.protocol import Method
from dpaudit.neighbors import Neighbors
from dpaudit.report import Note, Report
from dpaudit.trials import Game, Ledger, Payload, Progress, Runner, Schedule, Session, Status

__all__ = ["audit", "judge_ledger", "run"]

_SECONDS = "wall seconds"
_PREFLIGHT = "preflight"


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
        if not ledger.finished or facts.max_trials > Facts.from_dict(ledger.facts).max_trials:
            ledger.reopen()
            ledger.update_facts(max_trials=facts.max_trials, reproduce=facts.reproduce)
            try:
                _play(definition, ledger, method, claim, progress)
                ledger.finish()
            except KeyboardInterrupt:
                pass  # what was finished is judged; that it is not all is in the report
            except Exception as error:
                if isinstance(error, PilotRefusal) or not ledger.count():
                    ledger.discard()  # or it would refuse the function once it is mended
                raise
            ledger.set_state(_SECONDS, time.monotonic() - start + (ledger.state(_SECONDS) or 0.0))
        return judge_ledger(ledger, claim, method)


def judge_ledger(ledger: Ledger, claim: Claim, method: Method) -> Report:
    """The report on whatever a ledger holds: of a live run, or years later.

    Raises:
        AuditError: the ledger was altered, or is damaged.
    """
    facts, written, late = Facts.from_dict(ledger.facts), ledger.outcomes(), ledger.after_stop()
    Schedule(facts.seed).require(outcome.trial for outcome in written)
    notes = [Note("extra-statistics", text) for text in ledger.notes()]
    if not ledger.finished:
        notes.insert(0, Note("unfinished", "stopped before its end; what was finished is kept, --resume goes on"))
    report = conclude(
        facts,
        claim,
        method,
        [outcome for outcome in written if outcome.trial.index not in late],
        names=ledger.names or (),
        pilot=Session.kept_pilot(ledger),
        notes=notes,
        seconds=ledger.state(_SECONDS),
        preflight=None if (kept := ledger.state(_PREFLIGHT)) is None else Findings.from_dict(kept),
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
        pilot = session.pilot()
        check_pilot(pilot, count_failures=definition.count_failures)
        if definition.preflight and ledger.state(_PREFLIGHT) is None:
            found = before_trials(definition, payload, pilot)
            ledger.set_state(_PREFLIGHT, None if found is None else found.to_dict())
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
