import sys
import types
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from trial_worlds import essence, game, laplace

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import Payload, Runner, Schedule, SerialExecutor, check_executor

TRIALS = [Schedule(2).trial(i) for i in range(6)]


class MyThreads(ThreadPoolExecutor):
    pass


def test_threads_are_refused():
    with MyThreads(1) as executor, pytest.raises(UsageError, match="share the random state"):
        check_executor(executor)


def test_something_else_is_refused():
    with pytest.raises(UsageError, match="Executor"):
        check_executor(4)


def test_fork_is_refused_once_torch_is_loaded(monkeypatch):
    forking, spawning = (ProcessPoolExecutor(1, mp_context=get_context(how)) for how in ("fork", "spawn"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    check_executor(forking)
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    check_executor(spawning)
    check_executor(SerialExecutor())
    with pytest.raises(UsageError, match=r"deadlock.*spawn"):
        check_executor(forking)


def test_the_serial_executor_keeps_the_exception_but_lets_ctrl_c_out():
    assert isinstance(SerialExecutor().submit(int, "x").exception(), ValueError)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SerialExecutor().submit(interrupt)


def test_an_executor_of_the_users_gives_the_same_outcomes_and_stays_open():
    with Payload(game(laplace)) as payload, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        with Runner(payload, executor=own, workers=1) as runner:
            theirs = sorted(runner.run(TRIALS), key=lambda o: o.trial.index)
        with Runner(payload, workers=0) as runner:
            assert essence(runner.run(TRIALS)) == essence(theirs)
        assert own.submit(len, "abc").result(timeout=30) == 3


def test_a_broken_executor_of_the_users_is_said_so():
    from concurrent.futures import BrokenExecutor, Future

    class Breaking(Executor):
        def submit(self, *task):
            future = Future()
            future.set_exception(BrokenExecutor("a node went away"))
            return future

    with (
        Payload(game(laplace)) as payload,
        Runner(payload, executor=Breaking(), workers=2) as runner,
        pytest.raises(AuditError, match=r"a node went away.*resume"),
    ):
        list(runner.run(TRIALS))


def test_an_executor_that_was_shut_down_is_said_so():
    with Payload(game(laplace)) as payload, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        own.shutdown()
        with Runner(payload, executor=own) as runner, pytest.raises(AuditError, match="takes no trials"):
            list(runner.run(TRIALS))
