"""Where trials run: local processes, this process, or an executor of the user's."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.trials.worker import prepare

__all__ = [
    "EXECUTORS",
    "SerialExecutor",
    "available_cores",
    "check_executor",
    "local_executor",
    "opened",
    "processes_of",
]

EXECUTORS = ("local", "ray")
"""Those that have a name."""

# One thread per worker: the workers are the parallelism. A fixed hash seed gives sets of strings one order in all
# workers, so that a training function that iterates over one is not called irreproducible.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


def available_cores() -> int:
    """Cores this process may use, container limits included."""
    import loky

    return int(loky.cpu_count())


def local_executor(workers: int) -> Executor:
    """A pool of `workers` >= 1 fresh local processes, one thread each.

    With psutil loky replaces a worker that holds 300 MB (LOKY_MAX_MEMORY_LEAK_SIZE bytes) more than after its first
    task, between two tasks. It warns of that, and would break the pool where warnings are errors.
    """
    import warnings

    import loky

    warnings.filterwarnings("default", message="A worker (was restarted|stopped) while some jobs", category=UserWarning)
    pool: Executor = loky.ProcessPoolExecutor(workers, initializer=prepare, initargs=(os.getpid(),), env=ENVIRONMENT)
    return pool


class SerialExecutor(Executor):
    """Runs each task in this process, at once. For debugging, tests, and mechanisms that take microseconds."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it now; only KeyboardInterrupt comes out as itself, any other exception in the future."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def opened(executor: Executor | str | None) -> Iterator[Executor | None]:
    """The executor of that name inside the block, ended behind it; one of the user's is handed on and left open.

    Raises:
        UsageError: no such name, or that cannot be had here (no Ray, no cluster to join).
    """
    match executor:
        case "local":
            yield None
        case "ray":
            from dpaudit.trials.ray_executor import RayExecutor

            with RayExecutor() as made:
                yield made
        case str():
            raise UsageError("executor", allowed=f"{', '.join(EXECUTORS)}, or an Executor", got=executor)
        case _:
            yield executor


def processes_of(executor: Executor) -> int:
    """How many tasks `executor` runs at a time, as far as it says; else this machine's cores."""
    for name in ("workers", "num_workers", "_max_workers"):  # ours, mpi4py's, the standard library's and loky's
        found = getattr(executor, name, None)
        if isinstance(found, int) and found > 0:
            return found
    threads = getattr(getattr(executor, "_client", None), "nthreads", None)  # of Dask's executor; one trial a process
    return (len(threads()) if callable(threads) else 0) or available_cores()


def check_executor(executor: Executor) -> None:
    """Refuse executors that would make trials depend on one another.

    Raises:
        UsageError: not an executor; one of threads (random state is global, trials would share it); one that forks
            although torch is loaded (a forked torch can deadlock and inherits its random state).
    """
    remedy = "executor=None for local processes, or ProcessPoolExecutor(mp_context=get_context('spawn'))"
    if not isinstance(executor, Executor):
        raise UsageError(
            "executor", allowed="a concurrent.futures.Executor", got=type(executor).__name__, remedy=remedy
        )
    if isinstance(executor, ThreadPoolExecutor):
        raise UsageError(
            "trials cannot run in threads: they would share the random state of torch and numpy",
            allowed="executors of processes",
            got=type(executor).__name__,
            remedy=remedy,
        )
    if isinstance(executor, ProcessPoolExecutor) and "torch" in sys.modules and _start_method(executor) == "fork":
        raise UsageError(
            "forking after torch was loaded can deadlock", allowed="spawn or forkserver", got="fork", remedy=remedy
        )


def _start_method(executor: ProcessPoolExecutor) -> str:
    context = getattr(executor, "_mp_context", None) or multiprocessing.get_context()
    return str(context.get_start_method())
