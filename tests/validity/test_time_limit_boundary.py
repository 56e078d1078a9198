"""A time limit does not bias the wealth, although how long a trial takes depends on its world.

Exactly, not by repetition: one audit for each sequence of the first coins, so that the mean over the audits is the
expectation. Time is virtual; session, runner and deadline are real.
"""

import heapq
from concurrent.futures import Executor, Future
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.trials import Deadline, Game, Ledger, Payload, Runner, Schedule, Session
from dpaudit.trials import runner as runner_module
from dpaudit.trials.chunks import Chunks

COINS = 6
SLOW = {False: 1.0, True: 3.0}  # D1 takes three times as long
STAKE = 0.5


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Silent:
    """Releases noise and nothing else."""

    def run(self, data, seed):
        return Release(float(np.random.default_rng(seed).standard_normal()))


class Value:
    def statistics(self, release, neighbors):
        return {"value": release.value}


class VirtualPool(Executor):
    """Two workers whose tasks take virtual time; `wait` moves the clock to the next end."""

    workers = 2

    def __init__(self, clock):
        self.clock, self.free, self.ends, self.tie = clock, [0.0] * self.workers, [], count()

    def submit(self, fn, source, digest, trials, *rest):
        future, made = Future(), fn(source, digest, trials, *rest)
        began = max(self.clock.now, heapq.heappop(self.free))
        end = began + sum(SLOW[trial.included] for trial in trials)
        heapq.heappush(self.free, end)
        heapq.heappush(self.ends, (end, next(self.tie), future, made))
        return future

    def wait(self, futures, timeout=None, return_when=None):
        while True:
            end, _, future, made = heapq.heappop(self.ends)
            if future in futures:
                self.clock.now = max(self.clock.now, end)
                future.set_result(made)
                return {future}, set(futures) - {future}


class VirtualDeadline(Deadline):
    """Told what trials took in virtual time."""

    def saw(self, outcomes):
        super().saw([replace(outcome, seconds=SLOW[outcome.trial.included]) for outcome in outcomes])


def one_seed_for_each_sequence():
    found = {}
    for seed in count():
        schedule = Schedule(seed)
        found.setdefault(tuple(schedule.trial(i).included for i in range(COINS)), seed)
        if len(found) == 2**COINS:
            return list(found.values())


def counted(seed, limit, deadline, patch):
    """Coins of the trials that an audit with this limit counts, and how many of these ended within the limit."""
    clock = Clock()
    game = Game(Silent(), Neighbors(excluded=np.zeros(3), included=np.zeros(4)), Value())
    with (
        patch.context() as here,
        Ledger.open(None, fingerprint={}) as ledger,
        Payload(game) as payload,
        Runner(payload, executor=(pool := VirtualPool(clock)), chunks=Chunks(1)) as runner,
        Session(
            schedule=Schedule(seed),
            ledger=ledger,
            runner=runner,
            max_trials=COINS,
            deadline=deadline(limit, clock=clock),
        ) as session,
    ):
        here.setattr(runner_module, "wait_for", pool.wait)
        coins, in_time = [], []
        for outcome in session.in_order():
            coins.append(outcome.trial.included)
            in_time.append(clock.now <= limit)
        assert session.out_of_time == (len(coins) < COINS)
        return coins, sum(np.cumprod(in_time))


def wealth(coins):
    """Of somebody who always says "out": the claim is epsilon 0, and true."""
    return np.prod([1 - STAKE if coin else 1 + STAKE for coin in coins])


@pytest.mark.parametrize(
    "deadline", [Deadline, VirtualDeadline], ids=["started before the limit", "likely to end in it"]
)
@pytest.mark.parametrize("limit", [7.0, 9.0])
def test_the_wealth_has_mean_one_because_what_was_started_is_counted(limit, deadline, monkeypatch):
    audits = [counted(seed, limit, deadline, monkeypatch) for seed in one_seed_for_each_sequence()]
    lengths = {len(coins) for coins, _ in audits}
    assert len(lengths) > 1, "the limit ends some audits earlier than others"
    assert np.mean([wealth(coins) for coins, _ in audits]) == pytest.approx(1.0, abs=1e-12)


def test_leaving_out_what_was_in_flight_at_the_limit_would_bias_it(monkeypatch):
    audits = [counted(seed, 9.0, Deadline, monkeypatch) for seed in one_seed_for_each_sequence()]
    assert np.mean([wealth(coins[:ended]) for coins, ended in audits]) > 1.1
