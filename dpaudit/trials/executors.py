"""Where trials run: local processes, this process, or an executor of the user's."""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.trials.worker import prepare

__all__ = ["SerialExecutor", "available_cores", "check_executor", "local_executor"]

# One thread per worker: the workers are the parallelism. A fixed hash seed gives sets of strings one order in all
# workers, so that a training function that iterates over one is not called irreproducible.
_ENVIRONMENT = {
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
    """A pool of `workers` >= 1 fresh local processes, one thread each."""
    import loky

    pool: Executor = loky.ProcessPoolExecutor(workers, initializer=prepare, env=_ENVIRONMENT)
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
