"""Work on many models: each once, wherever it is done, and nothing left behind."""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dpaudit.errors import AuditError, UsageError
from dpaudit.membership import spreading
from dpaudit.membership.spreading import spread


class Squares:
    """Says where it ran."""

    def run(self, models):
        return {"square": models**2, "process": np.full(len(models), os.getpid())}


class Sleeps:
    """Leaves the number of its process in a folder and sleeps, but for the first model."""

    def __init__(self, folder):
        self.folder = str(folder)

    def run(self, models):
        (Path(self.folder) / str(os.getpid())).touch()
        if models[0] > 0:
            time.sleep(600)
        return {"number": models}


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.glob("dpaudit-*")) == [], "the job's file is deleted"


def collect(parts):
    models, squares, processes = [], [], []
    for part, made in parts:
        models += part.tolist()
        squares += made["square"].tolist()
        processes += made["process"].tolist()
    assert squares == [m**2 for m in models]
    return models, processes


TODO = np.array([1, 2, 3, 5, 8, 13, 21, 34])


@pytest.mark.parametrize("most", [1, 3, 64])
def test_here_each_model_is_done_once_and_in_order(most):
    models, processes = collect(spread(Squares(), TODO, workers=0, most=most))
    assert models == TODO.tolist()
    assert set(processes) == {os.getpid()}


def test_workers_do_each_model_once():
    models, processes = collect(spread(Squares(), TODO, workers=2, most=3))
    assert sorted(models) == TODO.tolist()
    assert os.getpid() not in processes


def test_short_work_is_done_here_and_what_turns_out_long_goes_to_workers(monkeypatch):
    monkeypatch.setattr(spreading, "available_cores", lambda: 2)
    _, processes = collect(spread(Squares(), TODO))
    assert set(processes) == {os.getpid()}, "it took no time"
    monkeypatch.setattr(spreading, "_SHORT", -1.0)
    monkeypatch.setattr(spreading, "WORTH", -1.0)  # as if it had taken long
    models, processes = collect(spread(Squares(), TODO))
    assert sorted(models) == TODO.tolist()
    assert processes[:2] == [os.getpid()] * 2
    assert os.getpid() not in processes[2:]


def test_work_known_to_be_long_goes_to_workers_at_once(monkeypatch):
    asked = []
    monkeypatch.setattr(spreading, "available_cores", lambda: 2)
    _, processes = collect(spread(Squares(), TODO, begin_here=lambda models: bool(asked.append(models))))
    assert asked == [8]
    assert os.getpid() not in processes


def test_one_who_stops_asking_ends_the_workers(tmp_path):
    with closing(spread(Sleeps(tmp_path), np.arange(4), workers=2, most=1)) as parts:
        next(parts)
    started = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert started
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


class Fails:
    def run(self, models):
        raise AuditError(f"model {models[0]} failed")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_comes_out_as_it_is(workers):
    with pytest.raises(AuditError, match=r"^model \d+ failed$"):
        collect(spread(Fails(), TODO, workers=workers))


def test_threads_and_odd_numbers_of_workers_are_refused():
    for workers in (-1, 1.5, True):
        with pytest.raises(UsageError, match="workers"):
            next(spread(Squares(), TODO, workers=workers))
    with ThreadPoolExecutor(1) as threads, pytest.raises(UsageError, match="cannot run in threads"):
        next(spread(Squares(), TODO, executor=threads))


def test_nothing_to_do_is_nothing_done():
    assert list(spread(Squares(), np.arange(0), workers=2)) == []
