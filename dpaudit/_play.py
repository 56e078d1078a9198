"""The trials of an audit: the runs before the first, preflight, what it will cost, and then one after another."""

from contextlib import nullcontext
from dataclasses import replace

from dpaudit import defaults
from dpaudit._conclude import coins, replay, row
from dpaudit._cost import measured
from dpaudit._definition import Audit
from dpaudit._pilot import check_pilot
from dpaudit._preflight import before_trials
from dpaudit.claim import Claim
from dpaudit.methods import perfect_trials
from dpaudit.methods.protocol import Method, Monitor
from dpaudit.trials import Deadline, Game, Interrupts, Ledger, Payload, Progress, Runner, Schedule, Session, Status
from dpaudit.trials.deadline import seconds_of
from dpaudit.trials.executors import opened
from dpaudit.trials.rows import packed

__all__ = ["COST", "OUT_OF_TIME", "PREFLIGHT", "play"]

# keys of the ledger's state
PREFLIGHT = "preflight"
COST = "cost"
OUT_OF_TIME = "out of time"


def play(
    definition: Audit,
    ledger: Ledger,
    method: Method,
    claim: Claim,
    progress: Progress | None,
    interrupts: Interrupts,
) -> Monitor | None:
    """Trials in index order until the method stops, a release repeats itself, or they are used up.

    Returns:
        what watched them; None if no trial was to be played.
    """
    mechanism = defaults.as_mechanism(definition.train, definition.neighbors)
    game = Game(mechanism, definition.neighbors, defaults.as_attack(definition.attack))
    total, confidence, limit = definition.max_trials, definition.confidence, seconds_of(definition.time_limit)
    ledger.set_state(OUT_OF_TIME, None)
    with (
        opened(definition.executor) as executor,
        Payload(game) as payload,
        Runner(
            payload,
            workers=definition.workers,
            executor=executor,
            trial_timeout=definition.trial_timeout,
        ) as runner,
        Session(
            schedule=Schedule(definition.seed),
            ledger=ledger,
            runner=runner,
            max_trials=total,
            interrupts=interrupts,
            deadline=Deadline(limit),
        ) as session,
        progress or nullcontext(),
    ):
        pilot = session.pilot()
        check_pilot(pilot, count_failures=definition.count_failures)
        if definition.preflight and ledger.state(PREFLIGHT) is None:
            found = before_trials(replace(definition, executor=executor), payload, pilot)
            ledger.set_state(PREFLIGHT, None if found is None else found.to_dict())
        names = ledger.names or ()
        perfect = perfect_trials(method, claim, confidence, coins(definition.seed, total), statistics=len(names) + 1)
        if perfect is None:
            return None
        cost = measured(
            pilot,
            claim,
            confidence=confidence,
            trials=max(total - ledger.count(), 0),
            workers=runner.workers,
            perfect=perfect,
            limit=limit,
            together=game.many,
        )
        ledger.set_state(COST, {"trial_seconds": cost.seconds, "seconds_at_most": cost.at_most})
        if progress is not None and cost.trials:
            progress.say(str(cost))
        monitor = method.monitor(claim, confidence, len(names) + 1)
        kept = session.written()
        if (stop := replay(monitor, kept)) is not None:
            session.stop(stop)
            return monitor
        seen = set(kept.releases)
        failed, lost = (int(kept.where(status).sum()) for status in (Status.FAILED, Status.LOST))
        for outcome in session.in_order(first=len(kept)):
            failed, lost = failed + (outcome.status is Status.FAILED), lost + (outcome.status is Status.LOST)
            monitor.update(row(outcome, names), included=outcome.trial.included, lost=outcome.status is Status.LOST)
            if progress is not None:
                done = outcome.trial.index + 1
                progress.update(done=done, total=total, failed=failed, lost=lost, evidence=monitor.summary())
            released = packed(outcome.digest)
            if monitor.stopped or (released in seen and released is not None):
                session.stop(outcome.trial.index)
                break
            seen.add(released)
        if session.out_of_time:
            ledger.set_state(OUT_OF_TIME, limit)
    return monitor
