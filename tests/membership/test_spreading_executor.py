"""Work on many models by processes of the user's, that may be on other machines. (Ray: tests/trials/test_ray.py.)"""

import os
import signal
import tempfile
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from dpaudit.errors import AuditError, UsageError
from dpaudit.membership.spreading import spread

TODO = np.arange(20)


class Squares:
    def __init__(self, name=""):
        self.name = name  # another name is another job, which no worker has loaded

    def run(self, models):
        return {"square": models**2, "process": np.full(len(models), os.getpid())}


class Fails:
    def run(self, models):
        raise AuditError(f"model {models[0]} failed")


class Deadly:
    def run(self, models):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as made:
        yield made


class Stumbling(Executor):
    """Hands tasks on, but for the first few."""

    def __init__(self, pool, errors, num_workers=2):
        self.pool, self.errors, self.sources, self.num_workers = pool, errors, [], num_workers

    def submit(self, fn, source, *rest):
        self.sources.append(type(source).__name__)
        if self.errors:
            lost = Future()
            lost.set_exception(self.errors.pop())
            return lost
        return self.pool.submit(fn, source, *rest)


def check(parts):
    parts = list(parts)
    assert sorted(np.concatenate([part for part, _ in parts])) == TODO.tolist()
    assert all((made["square"] == part**2).all() for part, made in parts)
    assert os.getpid() not in np.concatenate([made["process"] for _, made in parts])


def test_each_model_once(pool):
    check(spread(Squares(), TODO, executor=pool, most=3))


def test_a_part_that_an_executor_loses_is_done_once_more(pool):
    check(spread(Squares(), TODO, executor=Stumbling(pool, [OSError("rank 1 is gone")] * 2), most=3))


def test_a_part_lost_twice_ends_it(pool):
    with pytest.raises(AuditError, match=r"died.*rank 1 is gone.*same store"):
        list(spread(Squares(), TODO, executor=Stumbling(pool, [OSError("rank 1 is gone")] * 99), most=3))


def test_a_job_whose_file_is_not_there_travels_with_the_task(monkeypatch):
    """One process: of several, one may miss the file again while another gets what it asked for."""
    spawn = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=spawn) as pool:
        handle = os.open(folder, os.O_RDONLY)
        monkeypatch.setattr(tempfile, "tempdir", f"/proc/self/fd/{handle}")  # other processes find nothing there
        counting = Stumbling(pool, [], num_workers=1)
        check(spread(Squares("elsewhere"), TODO, executor=counting, most=1))
        monkeypatch.undo()
        os.close(handle)
        assert 1 <= counting.sources.count("Carried") <= 2, "those under way when it was missed, not all of them"
        assert list(Path(folder).iterdir()) == []


def test_an_error_comes_out_as_it_is(pool):
    with pytest.raises(AuditError, match=r"^model \d+ failed$"):
        list(spread(Fails(), TODO, executor=pool))


def test_a_pool_that_breaks_is_said_so():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own,
        pytest.raises(AuditError, match="a worker process died"),
    ):
        list(spread(Deadly(), TODO, executor=own))


def test_threads_in_disguise_and_unknown_names_are_refused():
    with ThreadPoolExecutor(1) as threads, pytest.raises(UsageError, match="threads of this process"):
        list(spread(Squares(), TODO, executor=Stumbling(threads, [])))
    with pytest.raises(UsageError, match="local, ray"):
        list(spread(Squares(), TODO, executor="slurm"))
