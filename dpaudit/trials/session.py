"""The experiment as its reader sees it: trials in index order, each on disk the moment it ends."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.columns import Columns
from dpaudit.trials.deadline import Deadline
from dpaudit.trials.interrupts import Interrupts
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
        interrupts: once they ask for it no further trial is started.
        deadline: when no further trial is started; None: never. The pilot is run whatever it says.

    Raises:
        UsageError: max_trials.
        AuditError: a row of the ledger does not follow from the schedule: it was altered.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        ledger: Ledger,
        runner: Runner,
        max_trials: int,
        interrupts: Interrupts | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        if isinstance(max_trials, bool) or not isinstance(max_trials, int) or max_trials < 1:
            raise UsageError("max_trials", allowed="a whole number >= 1", got=max_trials)
        self.schedule, self.ledger, self.runner, self.max_trials = schedule, ledger, runner, max_trials
        self._interrupts, self._deadline = interrupts or Interrupts(), deadline or Deadline()
        self.out_of_time = False
        self._stopped = False
        self._there = ledger.follow(schedule)

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
        self.ledger.write(pilot.first, state={_PILOT: pilot.to_dict()})
        self._there = self.ledger.columns()
        return pilot

    def written(self) -> Columns:
        """Trials 0, 1, 2, ... up to the first that the ledger does not hold, as arrays; after `pilot`."""
        return self._there.unbroken(self.max_trials)

    def in_order(self, *, first: int = 0) -> Iterator[Outcome]:
        """Outcomes `first`, first + 1, ... up to max_trials: first what the ledger has, then what the runner brings.

        Every outcome is in the ledger before it is yielded, and those that end early are as soon as they end: what
        ended while others were being written goes to the disk together. Ends after `stop`, and at the deadline, when
        all trials that were started have ended: then `out_of_time` is true. Runs the pilot if nobody has.

        Raises:
            KeyboardInterrupt: somebody asked for an end; what was under way has ended and is written.
        """
        pilot = self.pilot()
        self._deadline.saw((pilot.excluded, pilot.included, pilot.first, pilot.again))
        there, results = self._there, None
        later = np.flatnonzero(there.index >= first)
        places = dict(zip(there.index[later].tolist(), later.tolist(), strict=True))
        missing = (index for index in range(first, self.max_trials) if index not in places)
        held: dict[int, Outcome] = {}  # written, not yet handed on
        for index in range(first, self.max_trials):
            if index in places:
                yield there.outcome(places[index])
            else:
                while index not in held:
                    if results is None:
                        results = self.runner.run(self._wanted(missing), self._deadline.room)
                    ended = next(results, None)
                    if ended is None and self._interrupts.asked:
                        raise KeyboardInterrupt
                    if ended is None and self._deadline.reached:
                        self.out_of_time = True
                        return
                    if ended is None:
                        raise AuditError(f"the runner ended without an outcome of trial {index}")
                    written = self.ledger.write_all([ended, *self.runner.landed()])
                    self._deadline.saw(written)
                    held.update((outcome.trial.index, outcome) for outcome in written)
                yield held.pop(index)
            if self._stopped:
                return

    def _wanted(self, missing: Iterable[int]) -> Iterator[Trial]:
        for index in missing:
            if self._interrupts.asked:
                return
            yield self.schedule.trial(index)

    def stop(self, at_index: int) -> None:
        """Count no trial after `at_index`. Those under way are waited for, written, and marked as after the stop."""
        self._stopped = True
        self.ledger.mark_after_stop(at_index + 1)
        for outcome in self.runner.drain():
            self.ledger.write_all([outcome, *self.runner.landed()], after_stop=lambda index: index > at_index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """However it ends, what has ended is written."""
        ended = [outcome for outcome in self.runner.drain(wait=False) if outcome.trial.index >= 0]
        if ended and self.ledger.names is not None:
            self.ledger.write_all(ended, after_stop=lambda index: self._stopped)
