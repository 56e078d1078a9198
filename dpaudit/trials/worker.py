"""What runs in a worker process."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

from dpaudit.trials.game import Game
from dpaudit.trials.notices import Notices
from dpaudit.trials.payload import read_payload
from dpaudit.trials.trial import Outcome, Trial

_loaded: tuple[tuple[str, str], Game] | None = None
_folders: set[Path] = set()


def play_task(path: str, digest: str, trials: tuple[Trial, ...]) -> list[Outcome]:
    """Play trials of the game in the file at `path`, which is loaded once per process.

    A file ``started-<index of the first>`` beside it says that they began: that is when their time limit starts, and
    it makes them suspects if this process dies.

    Raises:
        PayloadError: the game cannot be loaded here.
    """
    global _loaded
    if _loaded is None or _loaded[0] != (path, digest):
        with Notices().listen():  # what imports print would come once from every worker
            _loaded = (path, digest), read_payload(path, digest)
    marker(path, trials[0].index).touch()
    return _loaded[1].play_all(trials)


def marker(path: str | Path, index: int) -> Path:
    """The file that says the trials from `index` on have begun."""
    return Path(path).parent / f"started-{index}"


def delete_with_coordinator(folder: Path) -> None:
    """Should the coordinator be killed, `folder`, which it would have deleted, goes when this process ends itself."""
    _folders.add(folder)


def prepare() -> None:
    """Initialize a local worker: Ctrl-C is the coordinator's business, and without a coordinator there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True, name="dpaudit-orphan-watch").start()


def _leave_with(parent: int) -> None:
    """End this process soon after its parent was killed: loky's workers would wait for tasks forever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    if _loaded is not None:
        delete_with_coordinator(Path(_loaded[0][0]).parent)
    for folder in tuple(_folders):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
