"""The experiment as its reader sees it: trials in index order, each on disk the moment it ends."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.ledger import Ledger
from dpaudit.trials.pilot import Pilot
from dpaudit.trials.runner import Runner
from dpaudit.trials.schedule import Schedule
from dpaudit.trials.trial import Outcome, Trial

__all__ = ["Session"]

_PILOT = "pilot"
_D0, _D1, _AGAIN = -1, -2, -3


class Session:
    """One schedule, one ledger, one runner. Use it in a ``with``; then read `in_order` and `stop` when it is enough.

    How long a trial takes may depend on its world, so the order in which trials end must not reach the evidence:
    `in_order` holds them back until all before them have ended (STATISTICS section 4).

    Args:
        schedule: coins and seeds.
        ledger: open for writing; not closed here.
        runner: not closed here.
        max_trials: how many trials at most, >= 1.

    Raises:
        UsageError: max_trials.
        AuditError: a row of the ledger does not follow from the schedule: it was altered.
    """

    def __init__(self, *, schedule: Schedule, ledger: Ledger, runner: Runner, max_trials: int) -> None:
        if isinstance(max_trials, bool) or not isinstance(max_trials, int) or max_trials < 1:
            raise UsageError("max_trials", allowed="a whole number >= 1", got=max_trials)
        self.schedule, self.ledger, self.runner, self.max_trials = schedule, ledger, runner, max_trials
        self._held: dict[int, Outcome] = {}  # written, not yet handed on
        self._stopped = False
        there = ledger.outcomes()
        schedule.require(outcome.trial for outcome in there)
        self._held.update((outcome.trial.index, outcome) for outcome in there if outcome.trial.index < max_trials)

    @staticmethod
    def kept_pilot(ledger: Ledger) -> Pilot | None:
        """The pilot that `ledger` holds; None if there was none yet.

        Raises:
            AuditError: it is damaged.
        """
        kept = ledger.state(_PILOT)
        try:
            return None if kept is None else Pilot.from_dict(kept)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise AuditError("the ledger is damaged: its pilot runs cannot be read") from None

    def pilot(self) -> Pilot:
        """Before the first trial: D0 and D1 with one seed of their own, trial 0, and trial 0 again.

        The seed is `Schedule.pilot(0)`; other pilot runs (a canary search) take the numbers from 1.

        Fixes the statistics' names, writes trial 0, and is kept in the ledger, so that a resume does not repeat it.
        """
        kept = self.kept_pilot(self.ledger)
        if kept is not None:
            return kept
        seed, zero = self.schedule.pilot(0), self.schedule.trial(0)
        wanted = [
            Trial(_D0, included=False, seed=seed),
            Trial(_D1, included=True, seed=seed),
            zero,
            Trial(_AGAIN, included=zero.included, seed=zero.seed),
        ]
        ended = {outcome.trial.index: outcome for outcome in self.runner.run(wanted)}
        pilot = Pilot(ended[_D0], ended[_D1], ended[0], ended[_AGAIN])
        self.ledger.set_names(pilot.names)
        self._held[0] = self.ledger.write(pilot.first, state={_PILOT: pilot.to_dict()})
        return pilot

    def in_order(self) -> Iterator[Outcome]:
        """Outcomes 0, 1, 2, ... up to max_trials: first what the ledger has, then what the runner brings.

        Every outcome is in the ledger before it is yielded, and those that end early are as soon as they end.
        Ends after `stop`. Runs the pilot if nobody has.
        """
        self.pilot()
        held, results = dict(self._held), None
        missing = [index for index in range(self.max_trials) if index not in held]
        for index in range(self.max_trials):
            while index not in held:
                if results is None:
                    results = self.runner.run(self.schedule.trial(i) for i in missing)
                ended = next(results, None)
                if ended is None:
                    raise AuditError(f"the runner ended without an outcome of trial {index}")
                held[ended.trial.index] = self.ledger.write(ended)
            yield held.pop(index)
            if self._stopped:
                return

    def stop(self, at_index: int) -> None:
        """Count no trial after `at_index`. Those under way are waited for, written, and marked as after the stop."""
        self._stopped = True
        self.ledger.mark_after_stop(at_index + 1)
        for outcome in self.runner.drain():
            self.ledger.write(outcome, after_stop=outcome.trial.index > at_index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """However it ends, what has ended is written."""
        for outcome in self.runner.drain(wait=False):
            if outcome.trial.index >= 0 and self.ledger.names is not None:
                self.ledger.write(outcome, after_stop=self._stopped)
