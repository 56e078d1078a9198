"""Work on many models, done here while it is short and by worker processes when it is not."""

import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.by_value import modules_by_value
from dpaudit.trials.executors import available_cores, check_executor, local_executor
from dpaudit.trials.payload import registered
from dpaudit.trials.text import describe
from dpaudit.trials.worker import delete_with_coordinator

__all__ = ["WORTH", "Job", "Part", "spread"]

Part = tuple[NDArray[np.intp], dict[str, NDArray[Any]]]

_SHORT = 4.0  # seconds of work after which worker processes are thought of
WORTH = 8.0  # seconds of work still to do that make up for starting them
_PARTS_A_WORKER = 4  # so that little is lost in a kill and the workers end together


class Job(Protocol):
    """Work that can be done model by model, in any order and anywhere, with the same result."""

    def run(self, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """Arrays with a row for each of these models."""
        ...


def spread(
    job: Job,
    todo: NDArray[np.intp],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    most: int = 64,
    begin_here: Callable[[int], bool] = lambda models: True,
) -> Generator[Part]:
    """Does `job` for the models `todo` and yields what is done, in order of completion.

    Args:
        job: what is to be done; it can be pickled, if only by cloudpickle.
        todo: numbers of models.
        workers: processes; 0: all in this one; None: all cores, if there is enough to do.
        executor: the user's own, of processes that see this machine's temporary folder; it is not shut down.
        most: models in one part.
        begin_here: told how many models there are to do, whether `workers=None` begins with them in this process.

    Raises:
        UsageError: an impossible number of workers, a job that cannot be sent to one.
        AuditError: a worker process died.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
        raise UsageError("workers", allowed="a whole number >= 0 (0: in this process)", got=workers)
    if executor is not None:
        check_executor(executor)
    alone = executor is None and (workers == 0 or (workers is None and available_cores() == 1))
    at = 0
    if alone or (executor is None and workers is None and begin_here(len(todo))):
        for part, seconds in _here(job, todo, most):
            yield part
            at += len(part[0])
            if not alone and seconds > _SHORT and seconds / at * (len(todo) - at) > WORTH:
                break
    if at < len(todo):
        yield from _elsewhere(job, todo[at:], workers or available_cores(), executor, most)


def _here(job: Job, todo: NDArray[np.intp], most: int) -> Iterator[tuple[Part, float]]:
    """Parts that grow: the first ones tell soon how long it takes. With the seconds of work so far."""
    at, size, seconds = 0, min(2, most), 0.0
    while at < len(todo):
        models = todo[at : at + size]
        began = time.perf_counter()
        made = job.run(models)
        seconds += time.perf_counter() - began
        yield (models, made), seconds
        at, size = at + size, min(2 * size, most)


def _elsewhere(job: Job, todo: NDArray[np.intp], workers: int, executor: Executor | None, most: int) -> Iterator[Part]:
    size = int(np.clip(-(-len(todo) // (_PARTS_A_WORKER * workers)), 1, most))
    parts = [todo[at : at + size] for at in range(0, len(todo), size)]
    pool = local_executor(min(workers, len(parts))) if executor is None else executor
    futures: dict[Future[dict[str, NDArray[Any]]], NDArray[np.intp]] = {}
    try:
        with _sent(job) as path:
            futures = {pool.submit(_run, path, part): part for part in parts}
            for future in as_completed(futures):
                yield futures[future], future.result()
    except BrokenExecutor as error:
        raise AuditError(
            f"a worker process died while it worked on shadow models ({describe(error)}); "
            "those kept in a store stand: try: again with the same store, or with workers=0 to see why"
        ) from error
    finally:
        if executor is None:  # what is killed is not cancelled as well: loky would stumble over it
            left = any(not future.done() for future in futures)
            how: dict[str, Any] = {"kill_workers": True} if left else {}
            pool.shutdown(wait=True, **how)
        else:
            for future in futures:
                future.cancel()


@contextmanager
def _sent(job: Job) -> Iterator[str]:
    """The job's file in a private temporary folder: a pickle of this run alone, deleted at its end."""
    import cloudpickle

    folder = Path(tempfile.mkdtemp(prefix="dpaudit-"))  # mode 0700
    try:
        try:
            with registered(modules_by_value(job)):
                content = cloudpickle.dumps(job)
        except Exception as error:
            raise UsageError(
                "what makes the shadow models cannot be sent to a worker process",
                got=describe(error),
                remedy="create files, locks and generators inside the training function, or workers=0",
            ) from error
        path = folder / "job.pickle"
        path.write_bytes(content)
        yield str(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_loaded: tuple[str, Any] | None = None


def _run(path: str, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """In a worker: the job is loaded once a process."""
    global _loaded
    if _loaded is None or _loaded[0] != path:
        import pickle

        _loaded = path, pickle.loads(Path(path).read_bytes())
        delete_with_coordinator(Path(path).parent)
    made: dict[str, NDArray[Any]] = _loaded[1].run(models)
    return made
