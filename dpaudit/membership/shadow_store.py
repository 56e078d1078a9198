"""A folder of shadow models that are done, so that nothing is trained twice."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.lock import FolderLock
from dpaudit.trials.text import describe

__all__ = ["ShadowStore"]

_FORMAT = 1
_NAME = "shadows.json"
_REMEDY = "store= another folder, or delete this one"


class ShadowStore:
    """Parts ``part-*.npz`` and ``shadows.json``, which says what they are parts of. Write to it in a ``with``.

    A file is written under another name, flushed to disk and renamed: after a kill each part is there or is not.

    Args:
        folder: made if it is not there.
        models: M, how many there will be.
        fingerprint: digests of all that decides what the models are, by name.

    Raises:
        UsageError: the folder has shadow models of another fingerprint, or something else.
    """

    def __init__(self, folder: str | os.PathLike[str], models: int, fingerprint: Mapping[str, str]) -> None:
        self.folder, self.models = Path(folder), models
        self._lock: FolderLock | None = None
        own = {"format": _FORMAT, "models": models, "fingerprint": dict(fingerprint)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError("folder of shadow models", got=describe(error), remedy="store= another folder") from None
        if (self.folder / _NAME).exists():
            self._compare(own)
        elif any(self.folder.glob("part-*.npz")):
            raise UsageError(f"parts without {_NAME} in {self.folder}", remedy=_REMEDY)
        else:
            text = json.dumps(own, indent=1) + "\n"
            self._write(_NAME, lambda file: file.write(text.encode()))

    def missing(self) -> NDArray[np.intp]:
        """The models that are not done, in order."""
        done = np.zeros(self.models, dtype=bool)
        for path in self.folder.glob("part-*.npz"):
            models = _models_of(path)
            if models is not None:
                done[models] = True
        return np.flatnonzero(~done)

    def put(self, models: Sequence[int] | NDArray[np.intp], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keeps what belongs to `models`: arrays with a row for each.

        Raises:
            AuditError: the disk is full, or the folder cannot be written.
        """
        numbers = np.asarray(models, dtype=np.int64)
        name = f"part-{numbers[0]:06d}-{numbers[-1]:06d}.npz"
        self._write(name, lambda file: np.savez(file, allow_pickle=False, models=numbers, **arrays))

    def read(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, (M, ...) each.

        Raises:
            AuditError: not all models are done, or a part is damaged.
        """
        missing = self.missing()
        if len(missing):
            raise AuditError(f"{len(missing)} of {self.models} shadow models in {self.folder} are not done yet")
        whole: dict[str, NDArray[Any]] = {}
        for path in sorted(self.folder.glob("part-*.npz")):
            try:
                with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            except Exception as error:  # zipfile and zlib raise kinds of their own
                raise AuditError(f"{path} is damaged ({describe(error)}): try: delete it and go on") from error
            models = arrays.pop("models")
            for name, part in arrays.items():
                if name not in whole:
                    whole[name] = np.empty((self.models, *part.shape[1:]), part.dtype)
                whole[name][models] = part
        return whole

    def __enter__(self) -> Self:
        self._lock = FolderLock(self.folder)
        for path in self.folder.glob("part-*.npz"):
            if _models_of(path) is None:
                warnings.warn(f"{path} is damaged: put aside, its models are made again", stacklevel=2)
                path.rename(path.with_name(f"{path.name}.damaged"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()

    def _compare(self, own: dict[str, Any]) -> None:
        path = self.folder / _NAME
        try:
            found = json.loads(path.read_text("utf-8"))
            kinds = dict(found["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} cannot be read", got=describe(error), remedy=_REMEDY) from None
        if found == own:
            return
        names = sorted(own["fingerprint"].keys() | kinds.keys())
        other = [name for name in names if own["fingerprint"].get(name) != kinds.get(name)]
        if found.get("models") != self.models:
            other.append(f"number of models ({found.get('models')}, not {self.models})")
        raise UsageError(
            f"the shadow models in {self.folder} are others",
            allowed="those of the same data, masks, model, training and seeds",
            got=f"other {', '.join(other) or 'format'}",
            remedy=_REMEDY,
        )

    def _write(self, name: str, write: Any) -> None:
        draft = self.folder / f".{name}.{os.getpid()}.new"
        try:
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / name)
        except OSError as error:
            raise AuditError(f"cannot write {self.folder / name}: {describe(error)}") from error
        finally:
            draft.unlink(missing_ok=True)


def _models_of(path: Path) -> NDArray[np.int64] | None:
    """Which models a part has; None: the file is damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:  # np.load leaves it open on errors
            return np.asarray(file["models"], dtype=np.int64)
    except Exception:  # zipfile and zlib raise kinds of their own
        return None
