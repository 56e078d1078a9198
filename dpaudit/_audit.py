"""The audit itself: claim, game, trials, evidence, report. It knows no concrete class; defaults.py names the parts."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dpaudit import defaults
from dpaudit._conclude import coins, conclude
from dpaudit._definition import Audit
from dpaudit._facts import Facts
from dpaudit._pilot import PilotRefusal
from dpaudit._play import COST, OUT_OF_TIME, PREFLIGHT, play
from dpaudit._threads import one_blas_thread
from dpaudit.checks import Findings
from dpaudit.claim import Claim
from dpaudit.methods import perfect_trials
from dpaudit.methods.protocol import Method, Monitor
from dpaudit.neighbors import Neighbors
from dpaudit.report import Note, Report
from dpaudit.trials import Columns, Interrupts, Ledger, Progress, Schedule, Session, StopNow

__all__ = ["audit", "judge_ledger", "run"]

_SECONDS = "wall seconds"
ENDED = "ended"
"""Key of the ledger's state: when its last run ended, UTC in ISO form. The machine's clock; no part of any verdict."""
_OTHER_CODE = "other code"


def audit(train: Any, neighbors: Neighbors, *, claim: Claim, **settings: Any) -> Report:
    """Audit `claim` of `train` on these neighbours: play trials until it is refuted or they are used up.

    The arguments are those of `dpa.Audit`; this is ``dpa.Audit(...).run()``.
    """
    return Audit(train, neighbors, claim=claim, **settings).run()


@one_blas_thread()
def run(
    definition: Audit, *, resume: bool, fresh: bool, progress: Progress | None, reproduce: str, code: str
) -> Report:
    """Play and judge; see `Audit.run`."""
    start = time.monotonic()
    method, claim = defaults.as_method(definition.method), definition.group_claim()
    fingerprint = definition.fingerprint(code)
    facts = definition.facts(fingerprint, reproduce=reproduce)
    if perfect_trials(method, claim, facts.confidence, coins(facts.seed, facts.max_trials)) is None:
        return conclude(facts, claim, method, Columns.of((), ()))
    with Ledger.open(
        None if definition.ledger is None else Path(definition.ledger),
        fingerprint=fingerprint,
        facts=facts.to_dict(),
        resume=resume,
        fresh=fresh,
    ) as ledger:
        live = None
        if not ledger.finished or facts.max_trials > Facts.from_dict(ledger.facts).max_trials:
            _note_other_code(ledger, facts)
            ledger.reopen()
            ledger.update_facts(max_trials=facts.max_trials, reproduce=facts.reproduce)
            ledger.set_state(ENDED, None)
            try:
                with Interrupts() as interrupts:
                    live = play(definition, ledger, method, claim, progress, interrupts)
                if ledger.state(OUT_OF_TIME) is None:
                    ledger.finish()
            except StopNow:
                raise
            except KeyboardInterrupt:
                pass  # what was finished is judged; that it is not all is in the report
            except Exception as error:
                if isinstance(error, PilotRefusal) or not ledger.count():
                    ledger.discard()  # or it would refuse the function once it is mended
                raise
            ledger.set_state(_SECONDS, time.monotonic() - start + (ledger.state(_SECONDS) or 0.0))
            ledger.set_state(ENDED, datetime.now(UTC).isoformat(timespec="milliseconds"))
        return judge_ledger(ledger, claim, method, live=live)


@one_blas_thread()
def judge_ledger(ledger: Ledger, claim: Claim, method: Method, *, live: Monitor | None = None) -> Report:
    """The report on whatever a ledger holds: of a live run, that `live` watched, or years later.

    Raises:
        AuditError: the ledger was altered, or is damaged.
    """
    facts = Facts.from_dict(ledger.facts)
    written = ledger.follow(Schedule(facts.seed))
    notes = [Note("extra-statistics", text) for text in ledger.notes()]
    if changed := ledger.state(_OTHER_CODE):
        text = f"{', '.join(changed)} changed after the first trials were played: they may not all be of one mechanism"
        notes.append(Note("code-changed", text))
    if not ledger.finished:
        notes.insert(0, _unfinished(ledger.state(OUT_OF_TIME)))
    report = conclude(
        facts,
        claim,
        method,
        written.counted(facts.max_trials),
        pilot=Session.kept_pilot(ledger),
        notes=notes,
        seconds=ledger.state(_SECONDS),
        live=live,
        preflight=None if (kept := ledger.state(PREFLIGHT)) is None else Findings.from_dict(kept),
    )
    cost = ledger.state(COST) or {}
    return replace(
        report,
        trials=replace(report.trials, after_stop=len(written) - report.trials.completed),
        timings={**report.timings, **{f"estimated_{name}": seconds for name, seconds in cost.items()}},
    )


def _unfinished(limit: float | None) -> Note:
    kept = "what was finished is kept, --resume goes on"
    if limit is None:
        return Note("unfinished", f"stopped before its end; {kept}")
    return Note("time-limit", f"no trial was started that would have ended after {limit:g} s; {kept}")


def _note_other_code(ledger: Ledger, facts: Facts) -> None:
    """Before an audit goes on: which modules are not what they were when it began. The spec itself may not change."""
    before, now = Facts.from_dict(ledger.facts).evidence.get("code", {}), facts.evidence["code"]
    changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
    if changed and ledger.count():
        ledger.set_state(_OTHER_CODE, sorted({*changed, *(ledger.state(_OTHER_CODE) or ())}))
