"""Work on many models, done here while it is short and by worker processes when it is not."""

import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.by_value import modules_by_value
from dpaudit.trials.executors import available_cores, check_executor, local_executor, opened, processes_of
from dpaudit.trials.payload import registered
from dpaudit.trials.shipping import Carried, Missing, Source, source_for
from dpaudit.trials.text import describe
from dpaudit.trials.worker import ONE_AT_A_TIME, Place, delete_with_coordinator, place, refuse_threads

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
    executor: Executor | str | None = None,
    most: int = 64,
    begin_here: Callable[[int], bool] = lambda models: True,
) -> Generator[Part]:
    """Does `job` for the models `todo` and yields what is done, in order of completion.

    Args:
        job: what is to be done; it can be pickled, if only by cloudpickle.
        todo: numbers of models.
        workers: processes; 0: all in this one; None: all cores, if there is enough to do.
        executor: the user's own, of processes, perhaps on other machines; not shut down. "ray": as in `dpa.Audit`.
        most: models in one part.
        begin_here: told how many models there are to do, whether `workers=None` begins with them in this process.

    Raises:
        UsageError: an impossible number of workers, a job that cannot be sent to one.
        AuditError: a worker process died (of an `executor`: twice with the same part).
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
        raise UsageError("workers", allowed="a whole number >= 0 (0: in this process)", got=workers)
    if executor == "local":
        executor = None
    if isinstance(executor, Executor):
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
        with opened(executor) as given:
            if given is not None:
                yield from _far(job, todo[at:], workers or processes_of(given), given, most)
            else:
                yield from _elsewhere(job, todo[at:], workers or available_cores(), most)


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


def _parts(todo: NDArray[np.intp], workers: int, most: int) -> list[NDArray[np.intp]]:
    size = int(np.clip(-(-len(todo) // (_PARTS_A_WORKER * workers)), 1, most))
    return [todo[at : at + size] for at in range(0, len(todo), size)]


def _elsewhere(job: Job, todo: NDArray[np.intp], workers: int, most: int) -> Iterator[Part]:
    """In local processes."""
    parts = _parts(todo, workers, most)
    pool = local_executor(min(workers, len(parts)))
    futures: dict[Future[dict[str, NDArray[Any]]], NDArray[np.intp]] = {}
    try:
        with _sent(job) as (path, _):
            futures = {pool.submit(_run, str(path), part): part for part in parts}
            for future in as_completed(futures):
                yield futures[future], future.result()
    except BrokenExecutor as error:
        raise _died(error) from error
    finally:  # what is killed is not cancelled as well: loky would stumble over it
        left = any(not future.done() for future in futures)
        how: dict[str, Any] = {"kill_workers": True} if left else {}
        pool.shutdown(wait=True, **how)


@dataclass(frozen=True, eq=False)
class _Errand:
    """A part on its way to somebody's process.

    Attributes:
        models: what is to be done.
        attempts: how often that ended with an error before.
        carry: whether the job goes with it, because a worker could not find it.
    """

    models: NDArray[np.intp]
    attempts: int = 0
    carry: bool = False


def _far(job: Job, todo: NDArray[np.intp], workers: int, executor: Executor, most: int) -> Iterator[Part]:
    """In somebody's processes; a part whose process died is done once more. A model is the same wherever it is made."""
    waiting = [_Errand(part) for part in reversed(_parts(todo, workers, most))]
    futures: dict[Future[Any], _Errand] = {}
    try:
        with _sent(job) as (path, digest):
            source = source_for(executor, path)
            while waiting or futures:
                while waiting and len(futures) < 2 * workers:
                    errand = waiting.pop()
                    where = Carried(path.read_bytes()) if errand.carry else source
                    made_of = (errand.models, errand.attempts, errand.carry)
                    futures[executor.submit(_run_far, where, digest, *made_of, place())] = errand
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    errand = futures.pop(future)
                    error = CancelledError("by the executor") if future.cancelled() else future.exception()
                    if isinstance(error, (AuditError, KeyboardInterrupt)):
                        raise error
                    if isinstance(error, BrokenExecutor) or (error is not None and errand.attempts > 0):
                        raise _died(error) from error
                    if error is not None:
                        waiting.append(replace(errand, attempts=1, carry=False))
                    elif isinstance(made := future.result(), Missing):
                        waiting.append(replace(errand, carry=True))
                    else:
                        yield errand.models, made
    finally:
        for future in futures:
            future.cancel()


def _died(error: BaseException) -> AuditError:
    return AuditError(
        f"a worker process died while it worked on shadow models ({describe(error)}); "
        "those kept in a store stand: try: again with the same store, or with workers=0 to see why"
    )


@contextmanager
def _sent(job: Job) -> Iterator[tuple[Path, str]]:
    """The job's file in a private temporary folder, and its digest: a pickle of this run alone, deleted at its end."""
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
        yield path, blake2b(content, digest_size=16).hexdigest()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_loaded: tuple[str, Any] | None = None


def _run(path: str, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """In a local worker: the job is loaded once a process."""
    global _loaded
    if _loaded is None or _loaded[0] != path:
        _loaded = path, pickle.loads(Path(path).read_bytes())
        delete_with_coordinator(Path(path).parent)
    made: dict[str, NDArray[Any]] = _loaded[1].run(models)
    return made


def _run_far(
    source: Source, digest: str, models: NDArray[np.intp], attempts: int, carried: bool, home: Place
) -> dict[str, NDArray[Any]] | Missing:
    """In a worker of somebody else's executor; see `dpaudit.trials.worker.play_far`, also for what is not used."""
    global _loaded
    refuse_threads(home)
    with ONE_AT_A_TIME:
        if _loaded is None or _loaded[0] != digest:
            try:
                content = source.read()
            except OSError as error:
                return Missing(describe(error))
            if blake2b(content, digest_size=16).hexdigest() != digest:
                raise AuditError("the shadow models' job is not the one that was written")
            _loaded = digest, pickle.loads(content)
        made: dict[str, NDArray[Any]] = _loaded[1].run(models)
        return made
