"""Spec files: a Python file that defines ``audit = dpa.Audit(...)``."""

import importlib.util
import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from dpaudit._definition import Audit
from dpaudit.errors import UsageError

__all__ = ["Spec", "load_spec"]


@dataclass(frozen=True)
class Spec:
    """A loaded spec file.

    Attributes:
        path: the file.
        audit: what it defines.
        code: digest of its source, for the fingerprint.
    """

    path: Path
    audit: Audit
    code: str


def load_spec(path: Path) -> Spec:
    """Run the file and take its `audit`.

    The file's own folder becomes importable, as with ``python file.py``: its functions may import later.

    Raises:
        UsageError: no such file, it raises, or it defines no `audit`.
    """
    if not path.is_file():
        raise UsageError("no such spec file", allowed="a Python file that defines `audit`", got=str(path))
    source = path.read_bytes()
    name = f"dpaudit_spec_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError("not a Python file", allowed="a file whose name ends in .py", got=str(path))
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickling by value look it up there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found.loader.exec_module(module)
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: its code would be read as a verdict
        raise UsageError(
            f"the spec file {path} raised", got=f"{type(error).__name__}: {error}", remedy="--debug for the traceback"
        ) from error
    audit = getattr(module, "audit", None)
    if not isinstance(audit, Audit):
        raise UsageError(
            f"the spec file {path} defines no audit",
            allowed="audit = dpa.Audit(train, neighbors, claim=...)",
            got="no `audit`" if audit is None else f"audit = {type(audit).__name__}",
        )
    return Spec(path, audit, blake2b(source, digest_size=16).hexdigest())
