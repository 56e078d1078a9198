"""Runs trials on an executor and survives what happens there."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Any, Self

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.chunks import Chunks
from dpaudit.trials.executors import SerialExecutor, available_cores, check_executor, local_executor, processes_of
from dpaudit.trials.flights import Flight, Flights
from dpaudit.trials.payload import Payload
from dpaudit.trials.shipping import Carried, Missing, Source, source_for
from dpaudit.trials.text import describe, trace_of
from dpaudit.trials.trial import Outcome, Trial
from dpaudit.trials.worker import marker, place, play_far, play_task

Landed = Future[Any]

__all__ = ["Runner"]

_DIED = "WorkerDied: the worker process died in this trial, twice"
_BARREN_BREAKS = 3


class Runner:
    """Plays trials, many at a time, and yields their outcomes as they end.

    A trial whose worker dies, or that runs past the limit, is retried once, alone, with the same coin and seed;
    the second time it is LOST (a new seed, or dropping it, would make accusations of innocent mechanisms).
    Trials that merely shared the pool with it are run again without counting that. Where the mechanism trains many at
    once, or tasks travel far, a flight is a chunk of consecutive trials; when one dies or runs past its limit, its
    trials are retried one by one.

    To an executor of the user's, whose processes may be on other machines, go tasks that name the game's file (or
    Ray's object); a worker that cannot read it says so, and gets the game inside its next task, once. Whatever
    such an executor raises instead of a result costs the flight a retry, with the same coins and seeds, and no other
    flight anything.

    Args:
        payload: the game.
        workers: processes; 0 plays in this process; None takes every available core. With an `executor`: how many
            processes to keep busy there; None: as many as it says it has.
        executor: the user's own, instead of local processes. It is not shut down.
        trial_timeout: seconds a trial may take (a chunk as many as all its trials); local processes only, because it
            ends with a kill.
        chunks: how many trials travel together; None: one, or what measurement says if the mechanism trains many or
            there is an `executor`.

    Raises:
        UsageError: an executor of threads, impossible numbers.
    """

    def __init__(
        self,
        payload: Payload,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        trial_timeout: float | None = None,
        chunks: Chunks | None = None,
    ) -> None:
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
            raise UsageError("workers", allowed="a whole number >= 0 (0: in this process)", got=workers)
        if trial_timeout is not None and not trial_timeout > 0:
            raise UsageError("trial timeout", allowed="seconds > 0", got=trial_timeout)
        if executor is not None:
            check_executor(executor)
        elif workers == 0:
            executor = SerialExecutor()
        if executor is not None and trial_timeout is not None:
            raise UsageError(
                "a trial timeout needs local worker processes, which can be killed",
                allowed="executor=None and workers >= 1",
                got=type(executor).__name__,
            )
        self._payload, self._given, self._timeout = payload, executor, trial_timeout
        self._pool: Executor | None = None
        self._far = None if isinstance(executor, SerialExecutor) else executor
        self._source: Source | None = None
        self._chunks = chunks or (Chunks() if payload.game.many or self._far is not None else Chunks(1))
        self._barren_breaks = 0
        self._ready: deque[Outcome] = deque()
        self.workers = workers or available_cores()
        if isinstance(executor, SerialExecutor):
            self.workers = 1
            self._flights = Flights(slots=1, window=1)
        elif executor is not None:  # one queued for each, since the way is long
            self.workers = workers or processes_of(executor)
            self._flights = Flights(slots=2 * self.workers, window=4 * self.workers, shared_fate=False)
        else:  # one or more queued, so that no worker waits for the coordinator
            extra = max(1, self.workers // 4)
            self._flights = Flights(slots=self.workers + extra, window=2 * self.workers + 1)

    def run(self, trials: Iterable[Trial], room: Callable[[int], int] | None = None) -> Iterator[Outcome]:
        """Outcomes of `trials` in completion order; pulls from `trials` only what can start now.

        Close the iterator, or stop asking, and nothing new is started; `drain` has what is under way.

        Args:
            trials: in the order in which they start.
            room: told how many flights each worker has before it, how many trials of `trials` may be started now.
                Once it is 0 and what is under way has ended, the iterator ends.

        Raises:
            AuditError: no trial can run (the payload does not load, workers die before they begin, the user's executor
                broke). Outcomes already yielded stand.
            KeyboardInterrupt: Ctrl-C, or one raised by the mechanism itself.
        """
        source = iter(trials)
        here = isinstance(self._given, SerialExecutor)  # starting a trial here is running it: only when it is asked for
        while True:
            if not (here and self._ready):
                self._fill(source, room)  # before anything is handed on: no worker waits for the reader
            if self._ready:
                yield self._ready.popleft()
            elif self._flights.flying:
                self._land()
            elif not self._flights.waiting():
                return

    def landed(self) -> list[Outcome]:
        """Outcomes that ended besides the one that was just yielded, without waiting; they are not yielded again."""
        ended = list(self._ready)
        self._ready.clear()
        return ended

    def drain(self, *, wait: bool = True) -> Iterator[Outcome]:
        """What is still under way; trials no worker has taken yet are called off.

        Args:
            wait: until they end; else only those that have.
        """
        flights = self._flights
        for future in list(flights.flying) if wait or self._given is not None else ():
            if future.cancel():  # not where the pool is to be killed: loky stumbles over cancelled futures then
                flights.landed(future)
        flights.again.clear()
        if wait:
            yield from self.run(())
            return
        flights.alone.clear()
        self._settle({future for future in flights.flying if future.done() and not _failed(future)})
        while self._ready:
            yield self._ready.popleft()

    def close(self) -> None:
        """End the local workers, at once if they are busy."""
        for future in list(self._flights.flying) if self._given is not None else ():
            future.cancel()
        busy = any(not future.done() for future in self._flights.flying)
        self._flights.flying.clear()
        self._stop_pool(kill=busy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, source: Iterator[Trial], room: Callable[[int], int] | None) -> None:
        while (flight := self._flights.next(source, self._size(room))) is not None:
            try:
                future = self._submit(flight)
            except BrokenExecutor as error:
                self._flights.retry(flight)
                self._after_break(error)
                return
            except AuditError:
                raise
            except Exception as error:  # shut down behind our back, its cluster gone, or the interpreter is ending
                raise AuditError(f"the executor takes no trials: {describe(error)}") from error
            self._flights.flying[future] = flight

    def _size(self, room: Callable[[int], int] | None) -> int:
        size = self._chunks.size
        return size if room is None else min(size, room(len(self._flights.flying) // self.workers))

    def _submit(self, flight: Flight) -> Landed:
        if isinstance(self._given, SerialExecutor):
            return self._given.submit(self._payload.game.play_all, flight.trials)
        path, digest = self._payload.file()
        if self._far is not None:
            if self._source is None:
                self._source = source_for(self._far, path)
            source = Carried(path.read_bytes()) if flight.carry else self._source
            return self._far.submit(play_far, source, digest, flight.trials, flight.attempts, place())
        if self._pool is None:
            self._pool = local_executor(self.workers)
        return self._pool.submit(play_task, str(path), digest, flight.trials)

    def _land(self) -> None:
        """Wait until something happens, and deal with it."""
        pause = None if self._timeout is None else min(0.1, self._timeout / 10)
        done, _ = wait_for(self._flights.flying, timeout=pause, return_when=FIRST_COMPLETED)
        broken = self._settle(done)
        if broken is not None:
            self._after_break(broken)
        elif self._timeout is not None:
            self._after_timeouts(self._timeout)

    def _settle(self, done: Iterable[Landed]) -> BrokenExecutor | None:
        """Take in the results among `done`; those a broken pool took down stay in flight."""
        broken = None
        for future in sorted(done, key=lambda f: self._flights.flying[f].position):
            error = CancelledError("by the executor") if future.cancelled() else future.exception()
            if isinstance(error, BrokenExecutor):
                broken = error
                continue
            flight = self._flights.landed(future)
            self._began(flight, forget=True)
            if isinstance(error, (AuditError, KeyboardInterrupt)):
                raise error
            if error is not None and self._far is not None:  # a dead worker or node, or what is its own trouble
                alone = len(flight.trials) == 1  # of many nobody knows whose fault it was
                self._chunks.died(len(flight.trials))
                self._retry(flight, struck=alone, why=describe(error), trace=trace_of(error))
                self._barren_breaks += flight.strikes >= 2
                if self._barren_breaks >= _BARREN_BREAKS + 2 * self.workers:
                    raise AuditError(
                        f"the executor lost {self._barren_breaks} trials in a row ({describe(error)}); "
                        "what has ended is recorded: try: resume once it works"
                    ) from error
                continue
            self._barren_breaks = 0
            if error is not None and len(flight.trials) > 1:
                self._flights.retry(flight, together=False)
            elif error is not None:  # a result that cannot travel
                self._lost(flight, describe(error), trace=trace_of(error))
            elif isinstance(made := future.result(), Missing):
                flight.carry = True
                self._flights.retry(flight)
            else:
                self._ready.extend(made)
                self._chunks.landed(made)
        return broken

    def _after_break(self, error: BrokenExecutor) -> None:
        if self._given is not None:
            raise AuditError(
                f"the executor broke ({describe(error)}) and is not ours to restart; "
                "what has ended is recorded: try: resume with a new executor"
            ) from error
        suspects = [flight for flight in self._ground() if self._retry(flight, struck=self._began(flight), why=_DIED)]
        self._barren_breaks = 0 if suspects else self._barren_breaks + 1
        if self._barren_breaks >= _BARREN_BREAKS:
            raise AuditError(f"worker processes die before a trial begins: {describe(error)}") from error

    def _after_timeouts(self, limit: float) -> None:
        now = time.monotonic()
        overdue = []
        for flight in self._flights.flying.values():
            if flight.began is None and self._began(flight):
                flight.began = now
            if flight.began is not None and now - flight.began > limit * len(flight.trials):
                overdue.append(flight.trials)
        if overdue:
            why = f"TimeoutError: no result within {limit:g} s, twice"
            for flight in self._ground():
                self._retry(flight, struck=flight.trials in overdue, why=why)

    def _ground(self) -> list[Flight]:
        """Kill the pool; the flights that got no result, oldest first."""
        self._stop_pool(kill=True)
        flying = self._flights.flying
        self._settle({future for future in flying if future.done() and not _failed(future)})
        left = sorted(flying.values(), key=lambda flight: flight.position)
        flying.clear()
        return left

    def _retry(self, flight: Flight, *, struck: bool, why: str, trace: str = "") -> bool:
        self._began(flight, forget=True)
        flight.strikes += struck
        if struck:
            self._chunks.died(len(flight.trials))
        if flight.strikes >= 2:
            self._lost(flight, why, trace=trace)
        else:
            self._flights.retry(flight, together=self._far is None)
        return struck

    def _lost(self, flight: Flight, why: str, *, trace: str = "") -> None:
        self._ready.extend(Outcome.lost(trial, why, trace=trace) for trial in flight.trials)

    def _began(self, flight: Flight, *, forget: bool = False) -> bool:
        if self._given is not None:  # nobody's death is anybody else's, and there is no time limit
            return True
        sign = marker(self._payload.file()[0], flight.trials[0].index)
        began = sign.exists()
        if forget:
            sign.unlink(missing_ok=True)
        return began

    def _stop_pool(self, *, kill: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            how: dict[str, Any] = {"kill_workers": True} if kill else {}
            pool.shutdown(wait=True, **how)  # afterwards every future is settled


def _failed(future: Landed) -> bool:
    return future.cancelled() or future.exception() is not None
