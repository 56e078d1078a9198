"""Spec files: Python files that define ``audit = dpa.Audit(...)`` or ``membership = dpa.MembershipStudy(...)``."""

import importlib.util
import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from dpaudit._definition import Audit
from dpaudit._membership import MembershipStudy
from dpaudit.errors import UsageError

__all__ = ["Spec", "load_spec", "load_study"]


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
    module, code = _executed(path, "audit")
    audit = getattr(module, "audit", None)
    if not isinstance(audit, Audit):
        raise UsageError(
            f"the spec file {path} defines no audit",
            allowed="audit = dpa.Audit(train, neighbors, claim=...)",
            got="no `audit`" if audit is None else f"audit = {type(audit).__name__}",
        )
    return Spec(path, audit, code)


def load_study(path: Path) -> MembershipStudy:
    """Run the file and take its `membership`; a file of saved signals, ``.npz``, is a study of these.

    Raises:
        UsageError: no such file, it raises, or it defines no `membership`.
    """
    if path.suffix.lower() == ".npz":
        return MembershipStudy(path)
    module, _ = _executed(path, "membership")
    study = getattr(module, "membership", None)
    if not isinstance(study, MembershipStudy):
        raise UsageError(
            f"the spec file {path} defines no membership study",
            allowed="membership = dpa.MembershipStudy(shadows)",
            got="no `membership`" if study is None else f"membership = {type(study).__name__}",
        )
    return study


def _executed(path: Path, wanted: str) -> tuple[ModuleType, str]:
    """The module that the file makes, and the digest of its source."""
    if not path.is_file():
        raise UsageError("no such spec file", allowed=f"a Python file that defines `{wanted}`", got=str(path))
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
    return module, blake2b(source, digest_size=16).hexdigest()
