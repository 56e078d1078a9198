"""What runs in a worker process."""

import os
import platform
import shutil
import signal
import threading
import time
from pathlib import Path

from dpaudit.errors import UsageError
from dpaudit.trials.game import Game
from dpaudit.trials.notices import Notices
from dpaudit.trials.payload import PayloadError, game_of, read_payload
from dpaudit.trials.shipping import Missing, Source
from dpaudit.trials.text import describe
from dpaudit.trials.trial import Outcome, Trial

Place = tuple[str, int, int]

_loaded: tuple[tuple[str, str], Game] | None = None
_folders: set[Path] = set()
ONE_AT_A_TIME = threading.Lock()
"""Held while a task of ours runs: threads of one process share the random state of torch and numpy."""


def play_task(path: str, digest: str, trials: tuple[Trial, ...]) -> list[Outcome]:
    """In a local worker: play trials of the game in the file at `path`, which is loaded once per process.

    A file ``started-<index of the first>`` beside it says that they began: that is when their time limit starts, and
    it makes them suspects if this process dies.

    Raises:
        PayloadError: the game cannot be loaded here, or its folder takes no file (a full disk).
    """
    global _loaded
    if _loaded is None or _loaded[0] != (path, digest):
        with Notices().listen():  # what imports print would come once from every worker
            _loaded = (path, digest), read_payload(path, digest)
    try:
        marker(path, trials[0].index).touch()
    except OSError as error:
        raise PayloadError(f"a worker cannot write beside the audit's payload: {describe(error)}") from None
    return _loaded[1].play_all(trials)


def play_far(
    source: Source, digest: str, trials: tuple[Trial, ...], attempt: int, home: Place
) -> list[Outcome] | Missing:
    """In a worker of somebody else's executor, perhaps on another machine: as `play_task`, without files.

    Args:
        source: of the game's pickle; read once per process.
        digest: of the pickle.
        trials: which.
        attempt: how often they were sent before. It is not used, but makes this task another one than the last: Dask
            answers a call that it knows with the result that it has.
        home: where the coordinator is.

    Returns:
        The outcomes; `Missing` if the source cannot be read here.

    Raises:
        PayloadError: the game cannot be loaded here.
        UsageError: this is a thread of the coordinator.
    """
    global _loaded
    refuse_threads(home)
    with ONE_AT_A_TIME:
        if _loaded is None or _loaded[0] != ("", digest):
            try:
                content = source.read()
            except OSError as error:
                return Missing(describe(error))
            with Notices().listen():
                _loaded = ("", digest), game_of(content, digest)
        return _loaded[1].play_all(trials)


def place() -> Place:
    """Where the caller is: machine, process and thread."""
    return platform.node(), os.getpid(), threading.get_ident()


def refuse_threads(home: Place) -> None:
    """Refuse to work in another thread of the process that is at `home`.

    Raises:
        UsageError: this is one.
    """
    here = place()
    if here[:2] == home[:2] and here != home:
        raise UsageError(
            "the executor runs its tasks in threads of this process: they would share the random state of torch "
            "and numpy with it",
            allowed="executors of processes, such as dask.distributed.LocalCluster(processes=True)",
        )


def marker(path: str | Path, index: int) -> Path:
    """The file that says the trials from `index` on have begun."""
    return Path(path).parent / f"started-{index}"


def delete_with_coordinator(folder: Path) -> None:
    """Should the coordinator be killed, `folder`, which it would have deleted, goes when this process ends itself."""
    _folders.add(folder)


def prepare(coordinator: int | None = None) -> None:
    """Initialize a local worker: Ctrl-C is the coordinator's business, and without a coordinator there is no work.

    Args:
        coordinator: its process id. Asked here, the parent could be another one already: the coordinator may have been
            killed while this process started. None: the parent all the same.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid() if coordinator is None else coordinator
    threading.Thread(target=_leave_with, args=(parent,), daemon=True, name="dpaudit-orphan-watch").start()


def _leave_with(parent: int) -> None:
    """End this process soon after its parent was killed: loky's workers would wait for tasks forever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    if _loaded is not None and _loaded[0][0]:
        delete_with_coordinator(Path(_loaded[0][0]).parent)
    for folder in tuple(_folders):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
