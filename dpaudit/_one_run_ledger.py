"""The finished runs of a one-run audit, one .npz a run in a folder; no pickle."""

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dpaudit._one_run_game import Draws, Played
from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.lock import FolderLock

__all__ = ["KeptRuns"]

_FACTS = "one-run.json"
_KIND, _SCHEMA = "dpaudit one-run ledger", 1


class KeptRuns:
    """Runs that are done, in a folder, or in no folder at all. A file is there whole or not at all.

    Args:
        folder: None keeps nothing.
        fingerprint: of this audit; runs of another one are refused.
        fresh: delete what an earlier audit left.

    Raises:
        UsageError: another audit's folder, somebody else's lock, a folder that cannot be written.
    """

    def __init__(self, folder: Path | None, fingerprint: Mapping[str, str], *, fresh: bool = False) -> None:
        self._folder, self._lock = folder, None
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the ledger's folder {folder}", got=error.strerror) from None
        self._lock = FolderLock(folder)
        try:
            self._open(folder, dict(fingerprint), fresh)
        except BaseException:
            self.close()
            raise

    def _open(self, folder: Path, fingerprint: dict[str, str], fresh: bool) -> None:
        facts = folder / _FACTS
        if fresh:
            for path in (*folder.glob("run-*.npz"), facts):
                path.unlink(missing_ok=True)
        if not facts.exists():
            whole = {"kind": _KIND, "schema": _SCHEMA, "fingerprint": fingerprint}
            _write(facts, lambda file: file.write(json.dumps(whole, indent=2).encode()))
            return
        try:
            kept = json.loads(facts.read_text(encoding="utf-8"))
            kind, schema, before = kept["kind"], kept["schema"], dict(kept["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{facts} is damaged", remedy="fresh=True, or another ledger=") from None
        if (kind, schema) != (_KIND, _SCHEMA):
            raise UsageError(f"{facts} is not of this version", got=f"{kind} {schema}", remedy="another ledger=")
        other = [key for key in {**before, **fingerprint} if before.get(key) != fingerprint.get(key)]
        if other:
            raise UsageError(
                f"{folder} holds another audit: {', '.join(sorted(other))} differ",
                remedy="fresh=True to delete its runs, or another ledger=",
            )

    def read(self, run: int, draws: Draws, m: int) -> Played | None:
        """Run number `run` if it is kept.

        Raises:
            AuditError: it is damaged, or was altered: its coins or seed are not those of this audit.
        """
        path = self._path(run)
        if path is None or not path.exists():
            return None
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("not an .npz archive")
            with np.load(path, allow_pickle=False) as kept:
                facts: dict[str, Any] = json.loads(str(kept["facts"]))
                mask, values = kept["mask"], kept["values"]
            played = Played(
                dict(zip(facts["names"], values.astype(np.float64), strict=True)),
                facts["digest"],
                float(facts["seconds"]),
                str(facts["error"]),
                tuple((str(text), int(count)) for text, count in facts["notices"]),
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise AuditError(f"{path} is damaged: {error}; delete it to train this run again") from None
        right = (run, draws.training(run))
        if (facts["run"], facts["seed"]) != right or not np.array_equal(mask, draws.coins(run, m)):
            raise AuditError(f"{path} was altered: its coins or seed are not those of audit seed {draws.seed}")
        return played

    def write(self, run: int, played: Played, draws: Draws, m: int) -> None:
        """Keep run number `run`."""
        path = self._path(run)
        if path is None:
            return
        names = list(played.scores)
        facts = {
            "run": run,
            "seed": draws.training(run),
            "names": names,
            "digest": played.digest,
            "seconds": played.seconds,
            "error": played.error,
            "notices": played.notices,
        }
        values = np.array([played.scores[name] for name in names], np.float64).reshape(len(names), m)
        mask, told = draws.coins(run, m), np.array(json.dumps(facts))
        _write(path, lambda file: np.savez(file, values=values, mask=mask, facts=told))

    @property
    def checked(self) -> bool:
        """Whether a run is kept: the pilots went before it."""
        return self._folder is not None and any(self._folder.glob("run-*.npz"))

    def close(self) -> None:
        """Let others in."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> "KeptRuns":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _path(self, run: int) -> Path | None:
        return None if self._folder is None else self._folder / f"run-{run:05d}.npz"


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Another name first, then renamed, so that a kill leaves no half of a file."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        with partial.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise AuditError(f"the ledger cannot be written: {error}") from error
