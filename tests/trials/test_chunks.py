"""Mechanisms that run many trials at once: the outcomes are those of one by one, whatever happens."""

import os
import random
import signal
import time
import warnings
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
import pytest
from trial_worlds import Function, Once, Value, essence, game, laplace, neighbors, slow

from dpaudit.errors import UsageError
from dpaudit.release import Release
from dpaudit.trials import Game, Ledger, Outcome, Payload, Runner, Schedule, Session, Status
from dpaudit.trials.chunks import MOST, Chunks

SCHEDULE = Schedule(4)
TRIALS = [SCHEDULE.trial(i) for i in range(12)]


class Many(Function):
    def run_many(self, neighbors, included, seeds):
        return [self.run(neighbors.world(coin), seed) for coin, seed in zip(included, seeds, strict=True)]


class Fixed(Chunks):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def landed(self, outcomes):
        pass


def many(train, attack=None):
    return Game(Many(train), neighbors(), attack or Value())


def by_index(outcomes):
    ordered = sorted(outcomes, key=lambda o: o.trial.index)
    return [(*row, o.trace) for row, o in zip(essence(ordered), ordered, strict=True)]


def play(played, chunk=5, **how):
    with Payload(played) as payload, Runner(payload, chunks=Fixed(chunk), **how) as runner:
        return by_index(runner.run(TRIALS))


@pytest.fixture(scope="module")
def undisturbed():
    return play(many(laplace), 1, workers=0)


def test_one_by_one_is_what_a_mechanism_without_chunks_gives(undisturbed):
    with Payload(game(laplace)) as payload, Runner(payload, workers=0) as runner:
        assert by_index(runner.run(TRIALS)) == undisturbed


@pytest.mark.parametrize(("chunk", "workers"), [(5, 0), (256, 0), (1, 1), (5, 1), (2, 2), (5, 2)])
def test_outcomes_are_the_same_for_any_chunk_and_number_of_workers(chunk, workers, undisturbed):
    assert play(many(laplace), chunk, workers=workers) == undisturbed


def test_an_attack_that_draws_draws_from_the_trials_own_seed():
    class Drawing(Value):
        def statistics(self, release, neighbors):
            return {"drawn": random.random() + np.random.random()}  # noqa: NPY002

    one = play(many(laplace, Drawing()), 1, workers=0)
    assert len({row[2]["drawn"] for row in one}) == 12
    assert play(many(laplace, Drawing()), 7, workers=0) == one


@pytest.mark.parametrize("workers", [0, 2])
def test_only_the_trials_that_raise_fail(workers, undisturbed):
    bad = {TRIALS[2].seed, TRIALS[3].seed, TRIALS[11].seed}

    def train(data, seed):
        if seed in bad:
            raise ValueError(f"not {seed}")
        return laplace(data, seed)

    rows = play(many(train), workers=workers)
    assert [row[0].index for row in rows if row[1] is Status.FAILED] == [2, 3, 11]
    assert rows[3][3] == f"ValueError: not {TRIALS[3].seed}"
    assert [row for row in rows if row[1] is Status.OK] == [row for row in undisturbed if row[0].seed not in bad]
    assert play(many(train), 1, workers=0) == rows  # tracebacks too


def test_a_wrong_number_of_releases_is_no_result_of_anybody():
    class Short(Many):
        def run_many(self, neighbors, included, seeds):
            return super().run_many(neighbors, included, seeds)[1:]

    rows = play(Game(Short(laplace), neighbors(), Value()), workers=0)
    assert {row[1] for row in rows} == {Status.FAILED}
    assert rows[0][3] == "AuditError: run_many returned 0 releases for 1 trials"


def test_what_is_said_for_a_chunk_is_said_for_each_of_its_trials(capsys):
    def train(data, seed):
        warnings.warn("slow today", UserWarning, stacklevel=1)
        return laplace(data, seed)

    rows = play(many(train), workers=0)
    assert {row[5] for row in rows} == {(("UserWarning: slow today", 1),)}
    assert play(many(train), 1, workers=0) == rows


def test_seconds_are_a_share():
    with Payload(many(slow)) as payload, Runner(payload, workers=0, chunks=Fixed(6)) as runner:
        seconds = [outcome.seconds for outcome in runner.run(TRIALS[:6])]
    assert min(seconds) >= 0.04
    assert max(seconds) < 0.2


def test_a_killed_worker_costs_a_retry_one_by_one_and_nothing_else(tmp_path, undisturbed):
    train = Once(TRIALS[3].seed, str(tmp_path), "die")
    assert play(many(train), workers=2) == undisturbed
    attempts = train.attempts()
    assert attempts[TRIALS[3].seed] == 2
    assert set(attempts) == {t.seed for t in TRIALS}
    assert max(attempts.values()) == 2


def test_of_a_chunk_whose_worker_dies_only_the_deadly_trial_is_lost(tmp_path, undisturbed):
    train = Once(TRIALS[3].seed, str(tmp_path), "die", times=9)
    rows = play(many(train), workers=2)
    assert rows[3][1] is Status.LOST
    assert "worker process died in this trial, twice" in rows[3][3]
    assert rows[:3] + rows[4:] == undisturbed[:3] + undisturbed[4:]


def test_a_chunk_that_is_too_large_for_the_memory_is_smaller_the_next_time(tmp_path, undisturbed):
    class Greedy(Many):
        def run_many(self, neighbors, included, seeds):
            if len(seeds) > 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().run_many(neighbors, included, seeds)

    chunks = Fixed(6)
    with (
        Payload(Game(Greedy(laplace), neighbors(), Value())) as payload,
        Runner(payload, workers=1, chunks=chunks) as runner,
    ):
        assert by_index(runner.run(TRIALS)) == undisturbed
    assert chunks.size <= 3


@pytest.mark.parametrize("times", [1, 9])
def test_a_chunk_past_the_time_of_all_its_trials_is_retried_one_by_one(times, tmp_path, undisturbed):
    train = Once(TRIALS[5].seed, str(tmp_path), "hang", times=times)
    rows = play(many(train), 4, workers=2, trial_timeout=0.6)
    if times == 9:
        assert rows[5][1:4] == (Status.LOST, {}, "TimeoutError: no result within 0.6 s, twice")
    assert rows[:5] + rows[6:] == undisturbed[:5] + undisturbed[6:]
    assert (rows[5] == undisturbed[5]) is (times == 1)


def test_the_time_limit_is_that_of_a_trial_times_their_number(tmp_path):
    train = Once(-1, str(tmp_path), "nothing")

    def lingering(data, seed):
        time.sleep(0.2)
        return train(data, seed)

    rows = play(many(lingering), 6, workers=1, trial_timeout=0.6)
    assert {row[1] for row in rows} == {Status.OK}
    assert set(train.attempts().values()) == {1}


class Picky(Executor):
    """Takes one trial at a time."""

    def submit(self, fn, source, digest, trials, *rest):
        future = Future()
        if len(trials) > 1:
            future.set_exception(MemoryError("too many"))
        else:
            future.set_result(fn(source, digest, trials, *rest))
        return future


def test_a_chunk_that_an_executor_cannot_bring_back_is_tried_one_by_one(undisturbed):
    assert play(many(laplace), executor=Picky()) == undisturbed


def test_a_mechanism_that_writes_to_its_data_ends_the_audit():
    def centre(data, seed):
        data -= data.mean()
        return laplace(data, seed)

    with pytest.raises(UsageError, match="changes its data in place"):
        play(many(centre), 4, workers=0)


@dataclass(frozen=True)
class Audited:
    given: list
    rows: list
    after: set


def audited(stop, **how):
    with (
        Ledger.open(None, fingerprint={"of": "tests"}) as ledger,
        Payload(many(slow)) as payload,
        Runner(payload, **how) as runner,
        Session(schedule=SCHEDULE, ledger=ledger, runner=runner, max_trials=40) as session,
    ):
        given = []
        for outcome in session.in_order():
            given.append(outcome)
            if outcome.trial.index == stop:
                session.stop(stop)
        return Audited(essence(given), essence(ledger.outcomes()), ledger.after_stop())


@pytest.mark.parametrize(("workers", "chunk"), [(0, 3), (1, 3), (2, 4)])
def test_an_early_stop_wastes_no_more_than_the_chunks_under_way(workers, chunk):
    plain, chunks = audited(6, workers=0, chunks=Fixed(1)), audited(6, workers=workers, chunks=Fixed(chunk))
    assert chunks.given == plain.given
    assert chunks.rows[:7] == plain.rows[:7]
    assert chunks.after == {row[0].index for row in chunks.rows[7:]}
    assert len(chunks.after) <= chunk * (2 * workers + 2)
    assert [row[0] for row in chunks.rows[7:]] == [SCHEDULE.trial(i) for i in sorted(chunks.after)]


def outcomes(count, each):
    return [Outcome(TRIALS[0], Status.OK, {}, seconds=each) for _ in range(count)]


def test_chunks_grow_to_a_quarter_of_a_second():
    chunks = Chunks()
    sizes = []
    for _ in range(6):
        chunks.landed(outcomes(chunks.size, 1 / 128))
        sizes.append(chunks.size)
    assert sizes == [4, 16, 32, 32, 32, 32]
    chunks.landed(outcomes(2, 1.0))  # a late one, much smaller, says nothing
    assert chunks.size == 32
    chunks.landed(outcomes(32, 0.125))
    assert chunks.size == 2
    chunks.landed(outcomes(2, 3.0))
    assert chunks.size == 1


def test_chunks_have_a_largest_size_and_ordinary_mechanisms_none():
    chunks, one = Chunks(), Chunks(1)
    for _ in range(8):
        chunks.landed(outcomes(chunks.size, 0.0))
        one.landed(outcomes(1, 0.0))
    assert (chunks.size, one.size) == (MOST, 1)
    chunks.died(256)
    chunks.landed(outcomes(128, 0.0))
    assert chunks.size == 128


def test_measured_chunks_in_a_real_run_and_none_for_an_ordinary_mechanism(tmp_path, monkeypatch):
    monkeypatch.setattr("dpaudit.trials.chunks.SECONDS", 1e6)  # a machine that stalls must not stop their growth

    class Counting(Many):
        def run_many(self, neighbors, included, seeds):
            (tmp_path / f"{len(seeds)}").touch()
            return super().run_many(neighbors, included, seeds)

    with Payload(Game(Counting(laplace), neighbors(), Value())) as payload, Runner(payload, workers=0) as runner:
        list(runner.run(SCHEDULE.trial(i) for i in range(600)))
    assert {1, 4, 16, 64, 256} <= {int(path.name) for path in tmp_path.iterdir()}
    with Payload(game(laplace)) as payload, Runner(payload, workers=0) as runner:
        list(runner.run(TRIALS))
        assert runner._chunks.size == 1


def test_a_release_that_is_none_is_lost_in_a_chunk_too():
    class Odd(Many):
        def run_many(self, neighbors, included, seeds):
            return [Release(1.0) if coin else 2.0 for coin in included]

    rows = play(Game(Odd(laplace), neighbors(), Value()), workers=0)
    assert [row[1] is Status.OK for row in rows] == [trial.included for trial in TRIALS]
    assert {row[1] for row in rows} == {Status.OK, Status.LOST}
