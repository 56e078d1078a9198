"""One rank of a distributed training, in a process of its own."""

import os
import pickle
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dpaudit.mechanisms.opacus._group import RankRelease, Share, compared
from dpaudit.modules import is_module, unwrap
from dpaudit.release import Release
from dpaudit.transcript import Transcript
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import one_torch_thread, seed_everything
from dpaudit.trials.worker import delete_with_coordinator, prepare

__all__ = ["Job", "Played", "begin", "play_rank"]

_loaded: tuple[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """One training, the same for all its ranks.

    Attributes:
        mechanism: a file in a private folder, pickled by the parent and deleted with the processes; loaded once.
        method: of the mechanism: "run" or "run_canaries".
        arguments: pickled; all but the seed.
        seed: of the training.
        ranks: how many.
        meeting: a file that does not exist yet, in a private folder, where the ranks find each other.
        timeout: seconds that a rank waits for the others in one operation.
    """

    mechanism: str
    method: str
    arguments: bytes
    seed: int
    ranks: int
    meeting: str
    timeout: float


@dataclass(frozen=True)
class Played:
    """What came of one rank.

    Attributes:
        release: pickled, of rank 0; None of the others, and where something was raised.
        share: of the steps, to be compared with those of the other ranks; None if none were watched.
        error: what was raised, or None.
        when: monotonic seconds of the machine; who raised first is to blame.
        notices: what was printed and warned.
    """

    release: bytes | None
    share: Share | None
    error: BaseException | None
    when: float
    notices: tuple[tuple[str, int], ...]


def begin(folder: str) -> None:
    """Initialize a rank's process: it ends with its parent, and loads beforehand what has a random state of its own."""
    prepare()
    delete_with_coordinator(Path(folder))
    import torch.distributed  # noqa: F401

    with suppress(ImportError):
        import opacus  # noqa: F401


def play_rank(rank: int, job: Job) -> Played:
    """The training as rank number `rank`. Its random state is a rank's own; the seed it is handed is that of all."""
    import torch.distributed as dist

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(job.ranks))
    notices, release, share, error = Notices(), None, None, None
    with notices.listen():
        try:
            mechanism = _mechanism(job.mechanism)
            arguments = pickle.loads(job.arguments)  # anew for each training: what one changes, no other sees
            dist.init_process_group(
                "gloo",
                init_method=f"file://{job.meeting}",
                rank=rank,
                world_size=job.ranks,
                timeout=timedelta(seconds=job.timeout),
            )
            seed_everything(own_seed(job.seed, rank))
            with one_torch_thread(), compared():
                made = getattr(mechanism, job.method)(*arguments, job.seed)
            share = made.share if isinstance(made, RankRelease) else None
            release = _dumped(made) if rank == 0 else None
        except BaseException as raised:
            error = raised
        when = time.monotonic()
        with suppress(Exception):  # whoever still waits for this rank is told at once
            dist.destroy_process_group()
    return Played(release, share, error, when, notices.counts())


def own_seed(seed: int, rank: int) -> int:
    """The seed of a rank's global random state: the training's for rank 0, as without any ranks; another for others.

    With one seed for all, the ranks would draw the same batches, and noise that the others' batches tell of.
    """
    if rank == 0:
        return seed
    return int.from_bytes(blake2b(f"dpaudit rank {rank} of {seed}".encode(), digest_size=4).digest(), "big")


def _mechanism(path: str) -> Any:
    global _loaded
    if _loaded is None or _loaded[0] != path:
        _loaded = path, pickle.loads(Path(path).read_bytes())
    return _loaded[1]


def _dumped(release: Any) -> bytes:
    import cloudpickle

    if isinstance(release, Release):
        value = release.value
        if isinstance(value, Transcript):
            value = replace(value, final=_plain(value.final), initial=_plain(value.initial))
        release = replace(release, value=_plain(value), initial=_plain(release.initial))
    return bytes(cloudpickle.dumps(release))


def _plain(value: Any) -> Any:
    """A module without wrappers and their hooks, which cannot travel; anything else as it is."""
    if not is_module(value):
        return value
    for part in list(value.modules()):
        if hasattr(part, "to_standard_module"):  # Opacus's
            part.to_standard_module()
    plain = unwrap(value)
    for parameter in plain.parameters():
        for left in ("grad_sample", "summed_grad", "_forward_counter"):
            vars(parameter).pop(left, None)
    return plain
