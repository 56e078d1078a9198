import signal
import time
from pathlib import Path

import pytest
from trial_worlds import Once, essence, game, laplace, slow_in

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import Payload, PayloadError, Runner, Schedule, Status

SCHEDULE = Schedule(4)
TRIALS = [SCHEDULE.trial(i) for i in range(12)]


def by_index(outcomes):
    return essence(sorted(outcomes, key=lambda o: o.trial.index))


def play(train, *, trials=TRIALS, **how):
    with Payload(game(train)) as payload, Runner(payload, **how) as runner:
        return by_index(runner.run(trials))


@pytest.fixture(scope="module")
def undisturbed():
    return play(laplace, workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_are_the_same_for_any_number_of_workers(workers, undisturbed):
    assert len(undisturbed) == len(TRIALS)
    assert play(laplace, workers=workers) == undisturbed


def test_a_killed_worker_costs_a_retry_and_nothing_else(tmp_path, undisturbed):
    train = Once(TRIALS[3].seed, str(tmp_path), "die")
    assert play(train, workers=2) == undisturbed
    attempts = train.attempts()
    assert attempts[TRIALS[3].seed] == 2
    assert set(attempts) == {t.seed for t in TRIALS}  # never a new seed
    assert max(attempts.values()) == 2


def test_a_trial_whose_worker_dies_twice_is_lost_and_the_others_are_not(tmp_path, undisturbed):
    train = Once(TRIALS[3].seed, str(tmp_path), "die", times=9)
    rows = play(train, workers=2)
    assert rows[3][0] == TRIALS[3]
    assert rows[3][1] is Status.LOST
    assert "worker process died in this trial, twice" in rows[3][3]
    assert rows[:3] + rows[4:] == undisturbed[:3] + undisturbed[4:]
    assert train.attempts()[TRIALS[3].seed] == 2


def test_a_trial_past_its_time_is_killed_and_retried(tmp_path, undisturbed):
    train = Once(TRIALS[5].seed, str(tmp_path), "hang")
    assert play(train, workers=2, trial_timeout=1.0) == undisturbed
    assert train.attempts()[TRIALS[5].seed] == 2


def test_a_trial_past_its_time_twice_is_lost(tmp_path, undisturbed):
    train = Once(TRIALS[5].seed, str(tmp_path), "hang", times=9)
    rows = play(train, workers=2, trial_timeout=1.0)
    assert rows[5][1:4] == (Status.LOST, {}, "TimeoutError: no result within 1 s, twice")
    assert rows[:5] + rows[6:] == undisturbed[:5] + undisturbed[6:]
    assert train.attempts()[TRIALS[5].seed] == 2


def test_waiting_for_a_worker_is_not_time_spent():
    """Twelve trials of 0.1 s on one worker, limit 1 s: the last ones wait longer than that."""

    def train(data, seed):
        time.sleep(0.1)
        return laplace(data, seed)

    assert [row[1] for row in play(train, workers=1, trial_timeout=1.0)] == [Status.OK] * 12


def test_no_more_is_started_than_a_small_window_ahead():
    started = []

    def source():
        for trial in TRIALS * 10:
            started.append(trial)
            yield trial

    with Payload(game(laplace)) as payload, Runner(payload, workers=2) as runner:
        outcomes = runner.run(source())
        next(outcomes)
        assert len(started) <= 6  # three fly; up to three landed together
        outcomes.close()
        before = len(started)
        drained = list(runner.drain())
        assert len(started) == before
        assert len(drained) < before
        assert list(runner.drain()) == []


def test_a_slow_trial_holds_the_window(tmp_path):
    seen = []

    def source():
        for trial in [SCHEDULE.trial(i) for i in range(100)]:
            seen.append(trial.index)
            yield trial

    train = Once(SCHEDULE.trial(0).seed, str(tmp_path), "hang")
    with Payload(game(train)) as payload, Runner(payload, workers=2, trial_timeout=2.5) as runner:
        outcomes = runner.run(source())
        first = [next(outcomes).trial.index for _ in range(4)]
        assert 0 not in first
        assert max(seen) <= 4  # positions 0..2w
        assert next(outcomes).trial.index == 0  # retried alone


def test_in_process_trials_are_pulled_one_by_one():
    started = []

    def source():
        for trial in TRIALS:
            started.append(trial)
            yield trial

    with Payload(game(laplace)) as payload, Runner(payload, workers=0) as runner:
        outcomes = runner.run(source())
        for n in (1, 2, 3):
            next(outcomes)
            assert len(started) == n
        assert payload._written is None  # nothing is pickled


def test_what_has_ended_can_be_had_without_waiting(tmp_path):
    train = Once(TRIALS[0].seed, str(tmp_path), "hang")
    with Payload(game(train)) as payload, Runner(payload, workers=2) as runner:
        outcomes = runner.run(TRIALS)
        got = {next(outcomes).trial.index}
        time.sleep(0.3)
        begun = time.monotonic()
        got |= {o.trial.index for o in runner.drain(wait=False)}
        assert 0 not in got
        assert len(got) >= 1
    assert time.monotonic() - begun < 60  # and the hanging one does not hold up the end


def test_completion_order_is_not_index_order_when_one_world_is_slower():
    with Payload(game(slow_in)) as payload, Runner(payload, workers=2) as runner:
        order = [o.trial.index for o in runner.run(TRIALS)]
    assert order != sorted(order)
    assert sorted(order) == list(range(12))


def test_a_game_that_does_not_load_in_a_worker_stops_everything():
    class Homesick:
        def __reduce__(self):
            return _not_at_home, ()

        def statistics(self, release, neighbors):
            return {}

    with (
        Payload(game(laplace, attack=Homesick())) as payload,
        Runner(payload, workers=1) as runner,
        pytest.raises(PayloadError, match="not at home"),
    ):
        list(runner.run(TRIALS))


def _not_at_home():
    raise RuntimeError("not at home")


def test_workers_that_die_before_any_trial_stop_everything():
    class Deadly:
        def __reduce__(self):
            return _die, ()

        def statistics(self, release, neighbors):
            return {}

    with (
        Payload(game(laplace, attack=Deadly())) as payload,
        Runner(payload, workers=1) as runner,
        pytest.raises(AuditError, match="die before a trial begins"),
    ):
        list(runner.run(TRIALS))


def _die():
    import os

    os.kill(os.getpid(), 9)


def test_ctrl_c_does_not_reach_the_workers_and_one_raised_by_the_mechanism_comes_out():
    def interrupted(data, seed):
        raise KeyboardInterrupt

    assert _setting_in_a_worker() == signal.SIG_IGN
    with (
        Payload(game(interrupted)) as payload,
        Runner(payload, workers=1) as runner,
        pytest.raises(KeyboardInterrupt),
    ):
        list(runner.run(TRIALS))


def _setting_in_a_worker():
    def train(data, seed):
        return float(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)

    with Payload(game(train)) as payload, Runner(payload, workers=1) as runner:
        (outcome,) = runner.run(TRIALS[:1])
    return signal.SIG_IGN if outcome.statistics["sum"] else None


def test_workers_have_one_thread_and_one_hash_seed():
    def train(data, seed):
        import os

        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
        print([os.environ.get(name) for name in names], hash("dpaudit"))
        return 0.0

    with Payload(game(train)) as payload:
        texts = set()
        for _ in range(2):  # two pools, two processes
            with Runner(payload, workers=1) as runner:
                (outcome,) = runner.run(TRIALS[:1])
                texts.add(outcome.notices)
    ((text, count),) = texts.pop()
    assert not texts
    assert text.startswith("['1', '1', '1', '0']")
    assert count == 1


def test_no_marker_is_left_behind():
    with Payload(game(laplace)) as payload, Runner(payload, workers=2) as runner:
        list(runner.run(TRIALS))
        assert {f.name for f in Path(payload.file()[0]).parent.iterdir()} == {"game.pickle", "alive"}


@pytest.mark.parametrize(
    "wrong", [{"workers": -1}, {"workers": 1.5}, {"trial_timeout": 0.0}, {"workers": 0, "trial_timeout": 1.0}]
)
def test_impossible_settings_are_refused(wrong):
    with Payload(game(laplace)) as payload, pytest.raises(UsageError):
        Runner(payload, **wrong)
