"""Which code of the user's own an audit runs, as digests of its files."""

import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from dpaudit.imports import imported_names
from dpaudit.trials.by_value import is_installed, modules_by_value

__all__ = ["code_digests"]


def code_digests(*things: Any) -> dict[str, str]:
    """Module -> 32 hex digits of its source file, sorted by name.

    The modules that define `things` and what these hold, what of the user's own their sources import, and so on.
    Installed packages are left out (their versions are kept instead), so are modules without a file, such as a
    notebook's, and what nobody has imported yet.
    """
    found: dict[str, str] = {}
    waiting, seen = list(modules_by_value(*things)), set()
    while waiting:
        module = waiting.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        try:
            source = Path(module.__file__ or "").read_bytes()
        except OSError:  # a notebook
            continue
        found[module.__name__] = blake2b(source, digest_size=16).hexdigest()
        waiting += _imported(module, source)
    return dict(sorted(found.items()))


def _imported(module: ModuleType, source: bytes) -> Iterator[ModuleType]:
    """The user's own modules that the source names in an import, wherever it stands, and that are loaded."""
    names = imported_names(source, module.__package__ or "")
    packages = {name.rsplit(".", up)[0] for name in names for up in range(name.count(".") + 1)}
    for name in sorted(packages):
        other = sys.modules.get(name)
        if isinstance(other, ModuleType) and getattr(other, "__file__", None) and not is_installed(other):
            yield other
