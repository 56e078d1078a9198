"""Executors whose processes do not share this machine's files, or are not quite what they seem."""

import os
import runpy
import tempfile
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import loky
import numpy as np
import pytest
from trial_worlds import Once, essence, game, laplace

from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import Verdict
from dpaudit.trials import Ledger, Payload, Runner, Schedule, Session, Status
from dpaudit.trials.executors import available_cores, opened, processes_of
from dpaudit.trials.shipping import FileSource
from dpaudit.trials.worker import place, play_far

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIALS = [Schedule(4).trial(i) for i in range(40)]


def by_index(outcomes):
    return essence(sorted(outcomes, key=lambda o: o.trial.index))


def play(train, executor, trials=TRIALS, *, name="", **how):
    """With another name it is another game, which no worker has loaded."""
    with Payload(game(train, facts={"name": name})) as payload, Runner(payload, executor=executor, **how) as runner:
        return by_index(runner.run(trials))


@pytest.fixture(scope="module")
def undisturbed():
    with Payload(game(laplace)) as payload, Runner(payload, workers=0) as runner:
        return by_index(runner.run(TRIALS))


@pytest.fixture(scope="module")
def spawned():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def elsewhere():
    """A temporary folder that no other process finds: under /proc/self they look among their own files."""
    with tempfile.TemporaryDirectory() as folder:
        handle = os.open(folder, os.O_RDONLY)
        before, tempfile.tempdir = tempfile.tempdir, f"/proc/self/fd/{handle}"
        try:
            yield
        finally:
            tempfile.tempdir = before
            os.close(handle)


def test_a_worker_that_cannot_read_the_payload_gets_it_with_its_next_task(undisturbed, monkeypatch):
    """One process: of several, one may miss it again while another gets what it asked for."""
    carried = []
    submit = ProcessPoolExecutor.submit

    def counted(self, fn, source, *rest):
        carried.append(type(source).__name__)
        return submit(self, fn, source, *rest)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", counted)
    with elsewhere(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert play(laplace, pool, name="elsewhere") == undisturbed
    assert 1 <= carried.count("Carried") <= 4, "a few tasks at the start, not all of them"
    assert "FileSource" in carried


def test_where_the_payload_can_be_read_it_never_travels(spawned, undisturbed, monkeypatch):
    submit = ProcessPoolExecutor.submit

    def watched(self, fn, source, *rest):
        assert type(source).__name__ == "FileSource"
        return submit(self, fn, source, *rest)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", watched)
    assert play(laplace, spawned) == undisturbed


def test_loky_of_the_users(undisturbed):
    with loky.ProcessPoolExecutor(2) as pool:
        assert play(laplace, pool) == undisturbed


class Universe(Executor):
    """As mpi4py's: an Executor of its own, with `num_workers`; its tasks fail when their rank does."""

    def __init__(self, pool, failures):
        self.pool, self.failures, self.num_workers = pool, failures, 2

    def submit(self, fn, /, *args, **kwargs):
        if self.failures:
            lost = Future()
            lost.set_exception(self.failures.pop())
            return lost
        return self.pool.submit(fn, *args, **kwargs)


def test_what_such_an_executor_raises_costs_a_retry_with_the_same_seed(spawned, undisturbed):
    assert play(laplace, Universe(spawned, [OSError("rank 1 is gone")] * 2)) == undisturbed


def test_a_future_that_the_executor_cancels_is_tried_again(spawned, undisturbed):
    class Cancelling(Universe):
        def submit(self, fn, /, *args, **kwargs):
            if self.failures:
                self.failures.pop()
                lost = Future()
                lost.cancel()
                lost.set_running_or_notify_cancel()
                return lost
            return super().submit(fn, *args, **kwargs)

    assert play(laplace, Cancelling(spawned, [1, 1])) == undisturbed


def test_one_trial_that_fails_twice_is_lost_and_the_others_are_not(spawned, undisturbed):
    class Unlucky(Universe):
        def submit(self, fn, source, digest, trials, attempt, home):
            if any(trial.index == 3 for trial in trials):
                lost = Future()
                lost.set_exception(OSError("rank 1 is gone"))
                return lost
            return super().submit(fn, source, digest, trials, attempt, home)

    rows = play(laplace, Unlucky(spawned, []))
    assert (rows[3][0], rows[3][1]) == (TRIALS[3], Status.LOST)
    assert "rank 1 is gone" in rows[3][3]
    assert rows[:3] + rows[4:] == undisturbed[:3] + undisturbed[4:]


def test_an_executor_that_loses_everything_ends_the_run_and_not_its_trials(spawned):
    with pytest.raises(AuditError, match=r"lost \d+ trials in a row.*rank 1 is gone.*resume"):
        play(laplace, Universe(spawned, [OSError("rank 1 is gone")] * 200))


def test_threads_in_disguise_are_refused():
    with ThreadPoolExecutor(2) as threads, pytest.raises(UsageError, match="threads of this process"):
        play(laplace, Universe(threads, []))


def _in_two_threads(source, digest, trials, home):
    with ThreadPoolExecutor(2) as threads:
        halves = [threads.submit(play_far, source, digest, trials[part::2], 0, home) for part in (0, 1)]
        return [outcome for half in halves for outcome in half.result()]


def test_threads_of_a_worker_play_one_after_another(spawned):
    """As of a Dask worker with several: they share the random state of numpy."""

    def train(data, seed):
        first = np.random.random()  # noqa: NPY002  the global generator is the point
        time.sleep(0.002)
        return float(data.sum() + first + np.random.random())  # noqa: NPY002

    with Payload(game(train)) as payload, Runner(payload, workers=0) as runner:
        alone = by_index(runner.run(TRIALS))
        path, digest = payload.file()
        task = (FileSource(str(path)), digest, tuple(TRIALS), place())
        assert by_index(spawned.submit(_in_two_threads, *task).result()) == alone


def test_how_many_processes_an_executor_has(spawned):
    assert processes_of(spawned) == 2
    assert processes_of(Universe(spawned, [])) == 2
    with loky.ProcessPoolExecutor(3) as pool:
        assert processes_of(pool) == 3

    class Silent(Executor):
        pass

    assert processes_of(Silent()) == available_cores()


def test_executors_by_name(spawned):
    with opened(spawned) as given:
        assert given is spawned
    with opened("local") as local:
        assert local is None
    with pytest.raises(UsageError, match="local, ray"), opened("slurm"):
        pass


# --- Dask


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    import dask
    from distributed import Client, LocalCluster

    folder = str(tmp_path_factory.mktemp("dask"))
    with (
        dask.config.set({"temporary-directory": folder, "distributed.worker.memory.terminate": False}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, memory_limit="1GiB", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_dask_gives_the_same_outcomes(client, undisturbed):
    executor = client.get_executor()
    assert processes_of(executor) == 2
    assert play(laplace, executor) == undisturbed
    with elsewhere():
        assert play(laplace, client.get_executor(), name="elsewhere") == undisturbed


def test_dask_worker_that_dies_costs_its_trials_a_second_run(client, undisturbed, tmp_path):
    train = Once(TRIALS[5].seed, str(tmp_path), "die")
    assert play(train, client.get_executor()) == undisturbed
    attempts = train.attempts()
    assert attempts[TRIALS[5].seed] == 2
    assert set(attempts) == {trial.seed for trial in TRIALS}


def test_stopping_early_leaves_nothing_running_on_dask(client):
    def train(data, seed):
        time.sleep(0.05)
        return laplace(data, seed)

    with (
        Ledger.open(None, fingerprint={}) as ledger,
        Payload(game(train)) as payload,
        Runner(payload, executor=client.get_executor()) as runner,
        Session(schedule=Schedule(4), ledger=ledger, runner=runner, max_trials=200) as session,
    ):
        for outcome in session.in_order():
            if outcome.trial.index == 3:
                session.stop(3)
        assert ledger.count() < 60
        assert ledger.after_stop() == {o.trial.index for o in ledger.outcomes() if o.trial.index > 3}


def test_the_example(client, capsys):
    example = runpy.run_path(str(EXAMPLES / "scale_dask.py"), run_name="scale_dask")
    assert example["main"](client.scheduler.address).verdict is Verdict.REFUTED
    assert capsys.readouterr().out.startswith("REFUTED")
