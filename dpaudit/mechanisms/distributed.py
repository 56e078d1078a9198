"""A training of several processes at once, as one mechanism."""

import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms._rank import Job, Played, begin, play_rank
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus._group import agreed
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import CanarySet
from dpaudit.release import Release
from dpaudit.trials.by_value import modules_by_value
from dpaudit.trials.payload import registered
from dpaudit.trials.text import describe

__all__ = ["Distributed"]

_MOST_RANKS = 64
_MECHANISM = "mechanism.pickle"
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    # gloo would otherwise look up the machine's name; nothing here leaves the machine
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}


@dataclass(frozen=True, repr=False, eq=False)
class Distributed:
    """``train(data, seed)`` as every rank of a ``torch.distributed`` training on this machine (gloo, CPU).

    In each trial all ranks call the function with the same data and the same seed, inside a process group that is there
    already: ``torch.distributed.get_rank()`` tells which one it is. What rank 0 returns is the release. For the view of
    every step, give the mechanism instead of the function; all ranks are watched, and a gradient canary is on one rank
    at a time:

        Distributed(OpacusTranscript(train, directions, noise_multiplier=1.1, sample_rate=0.1), ranks=2)

    `random`, numpy and torch are seeded apart on each rank. A function that calls ``torch.manual_seed(seed)`` itself
    gives all ranks one stream, so that they draw the same batches; that is then what is audited.

    The processes are started by the first trial and kept for the next ones. They find each other through a file in a
    private folder and talk over the loopback interface. They end with the process that started them.

    Args:
        train: called as ``train(data, seed)`` on every rank, or a mechanism. It starts no processes and neither begins
            nor ends the process group.
        ranks: how many processes, 2 to 64.
        timeout: seconds that a rank waits for the others in one operation; past that the training has failed.

    Raises:
        UsageError: a number out of its range, a function of another signature.
    """

    train: Callable[..., Any] | Mechanism
    _: KW_ONLY
    ranks: int = 2
    timeout: float = 300.0
    _mechanism: Mechanism = field(init=False)
    _crew: "_Crew" = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.ranks, bool) or not isinstance(self.ranks, int) or not 2 <= self.ranks <= _MOST_RANKS:
            raise UsageError("ranks", allowed=f"a whole number, 2 to {_MOST_RANKS}", got=self.ranks)
        if not 0 < self.timeout < float("inf"):
            raise UsageError("timeout of a rank", allowed="seconds above 0", got=self.timeout)
        mechanism = self.train if isinstance(self.train, Mechanism) else Function(self.train)
        object.__setattr__(self, "_mechanism", mechanism)
        object.__setattr__(self, "_crew", _Crew())

    @property
    def name(self) -> str:
        """For the report."""
        return f"{self._mechanism.name} on {self.ranks} ranks"

    @property
    def engine(self) -> str:
        """That of the mechanism."""
        return self._mechanism.engine

    def run(self, data: Any, seed: int) -> Release:
        """One training; what rank 0 releases.

        Args:
            data: one world's, given to all ranks.
            seed: the trial's, given to all ranks.

        Raises:
            UsageError: data, mechanism or release cannot be sent to another process.
            Exception: what the first rank to fail raised.
        """
        return self._play("run", (data,), seed)

    def run_canaries(self, canaries: CanarySet, mask: Any, seed: int) -> Release:
        """One training with some of m canaries.

        Raises:
            UsageError: canaries that are gradients for a mechanism that takes none; and as for `run`.
        """
        if not hasattr(self._mechanism, "run_canaries"):
            if canaries.gradients is not None:
                raise UsageError(
                    "gradient canaries cannot be put into this",
                    allowed="Distributed(mechanisms.OpacusTranscript(...))",
                    got=self._mechanism.name,
                )
            return self.run(canaries.included(mask), seed)
        return self._play("run_canaries", (canaries, mask), seed)

    def _play(self, method: str, arguments: tuple[Any, ...], seed: int) -> Release:
        played = self._crew.play(self._mechanism, method, arguments, seed, self.ranks, self.timeout)
        for text in dict.fromkeys(text for one in played for text, _ in one.notices):
            print(text, file=sys.stderr)  # once for all ranks
        _raise_first(played)
        release: Release = pickle.loads(played[0].release or b"")
        shares = [one.share for one in played if one.share is not None]
        return agreed(release, shares) if shares else release

    def __repr__(self) -> str:
        return f"Distributed({self._mechanism!r}, ranks={self.ranks})"


class _Crew:
    """The processes of the ranks, kept between trainings. Pickled, it is forgotten: another process has its own."""

    def __init__(self) -> None:
        self._pool: Executor | None = None
        self._folder = Path()
        self._end: Callable[[], object] = tuple  # of the processes and the folder, also when the interpreter ends
        self._met = 0

    def __reduce__(self) -> tuple[type["_Crew"], tuple[()]]:
        return _Crew, ()

    def play(
        self, mechanism: Any, method: str, arguments: tuple[Any, ...], seed: int, ranks: int, timeout: float
    ) -> list[Played]:
        """What came of each rank. A rank that died is given one more chance, all of them started anew.

        Raises:
            UsageError: something cannot be pickled, or no process can be started here.
            AuditError: a rank died twice.
        """
        sent = _pickled(arguments, *arguments)
        for _ in range(2):
            folder = self._assembled(mechanism, ranks)
            self._met += 1
            meeting = str(folder / f"meeting-{self._met}")
            job = Job(str(folder / _MECHANISM), method, sent, seed, ranks, meeting, timeout)
            try:
                played = self._played(job)
            except BaseException as error:
                self._disband()
                if not _died(error):
                    raise
                continue
            Path(meeting).unlink(missing_ok=True)
            return played
        if _is_worker():  # as if the training had been in this process, for those who count lost trials
            os._exit(1)
        raise AuditError(f"a rank of the training died twice (seed {seed}): out of memory, or killed?")

    def _played(self, job: Job) -> list[Played]:
        assert self._pool is not None
        futures: list[Future[Played]] = [self._pool.submit(play_rank, rank, job) for rank in range(job.ranks)]
        wait(futures)
        return [future.result() for future in futures]

    def _assembled(self, mechanism: Any, ranks: int) -> Path:
        if self._pool is None:
            if multiprocessing.current_process().daemon:
                raise UsageError(
                    "the ranks of a training are processes, which a daemonic process may not start",
                    allowed="workers that are no daemons",
                    got=multiprocessing.current_process().name,
                    remedy="executor=None; of Dask, distributed.worker.daemon: false",
                )
            import loky

            sent = _pickled(mechanism, mechanism)
            self._folder = Path(tempfile.mkdtemp(prefix="dpaudit-ranks-"))  # mode 0700
            (self._folder / _MECHANISM).write_bytes(sent)
            self._pool = loky.ProcessPoolExecutor(
                ranks, initializer=begin, initargs=(str(self._folder),), env=_ENVIRONMENT
            )
            self._end = weakref.finalize(self, _ended, self._pool, self._folder)
        return self._folder

    def _disband(self) -> None:
        self._end()
        self._pool = None


def _ended(pool: Any, folder: Path) -> None:
    pool.shutdown(wait=True, kill_workers=True)  # they may wait for one that is gone
    shutil.rmtree(folder, ignore_errors=True)


def _pickled(thing: Any, *parts: Any) -> bytes:
    import cloudpickle

    try:
        with registered(modules_by_value(*parts)):
            return bytes(cloudpickle.dumps(thing))
    except Exception as error:
        raise UsageError(
            "the training or its data cannot be sent to the processes of its ranks",
            got=describe(error),
            remedy="create files, locks and generators inside the training function",
        ) from error


def _died(error: BaseException) -> bool:
    from concurrent.futures.process import BrokenProcessPool

    return isinstance(error, BrokenProcessPool)


def _is_worker() -> bool:
    return multiprocessing.current_process().name != "MainProcess"


def _raise_first(played: Sequence[Played]) -> None:
    """What the first rank to fail raised: the others then fail because it is gone."""
    failed = [(one.when, rank, one.error) for rank, one in enumerate(played) if one.error is not None]
    if not failed:
        return
    when, rank, error = min(failed, key=lambda one: one[0])
    ended = [other for other, one in enumerate(played) if one.error is None and one.when <= when]
    error.add_note(f"on rank {rank} of {len(played)}")
    if ended and isinstance(error, RuntimeError) and "gloo" in str(error):  # of the transport, not of the training
        raise RuntimeError(
            f"rank {rank} waited for rank {ended[0]}, which had ended: the ranks take different numbers of steps "
            "(Opacus's distributed sampler leaves out an empty batch on one rank alone)"
        ) from error
    raise error
