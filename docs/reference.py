"""The pages of the reference, written from what the packages say is public: no list here can fall behind."""

import enum
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["MODULES", "write"]

MODULES = (
    "dpaudit",
    "dpaudit.attacks",
    "dpaudit.mechanisms",
    "dpaudit.mechanisms.known",
    "dpaudit.methods",
    "dpaudit.methods.estimates",
    "dpaudit.methods.one_run",
    "dpaudit.methods.one_run_fdp",
    "dpaudit.membership",
    "dpaudit.datasets",
    "dpaudit.report",
    "dpaudit.testing",
    "dpaudit.loggers.mlflow",
    "dpaudit.loggers.wandb",
    "dpaudit.gate",
    "dpaudit.trials",
    "dpaudit.ensemble",
    "canaries",
)


def write(folder: Path) -> None:
    """One page a module and a list of them; a page that would not change is left as it is, and is not built again."""
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[int, str] = {}
    for name in MODULES:
        _put(folder / f"{name}.rst", _page(name, told))
    listed = "\n".join(f"   {name}" for name in MODULES)
    _put(folder / "index.rst", f"Modules\n=======\n\n.. toctree::\n   :maxdepth: 1\n\n{listed}\n")


def public_names(name: str) -> list[str]:
    """What a module offers besides other modules."""
    module = import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is None:
        local = (n for n, found in vars(module).items() if getattr(found, "__module__", "") == name)
        listed = sorted(n for n in local if not n.startswith("_"))
    return [each for each in listed if not isinstance(getattr(module, each), ModuleType)]


def _page(name: str, told: dict[int, str]) -> str:
    """A table of the names, then each of them; what an earlier page told (`told`, by identity) is referred to."""
    names = public_names(name)
    parts = [
        f"{name}\n{'=' * len(name)}\n",
        f".. automodule:: {name}\n   :no-members:\n",
        f".. currentmodule:: {name}\n",
        ".. autosummary::\n   :nosignatures:\n\n" + "".join(f"   {each}\n" for each in names),
    ]
    module = import_module(name)
    for each in names:
        found = getattr(module, each)
        if id(found) in told:
            parts.append(f"``{each}`` is :obj:`{told[id(found)]}`.\n")
        else:
            told[id(found)] = f"{name}.{each}"
            parts.append(_directive(each, found))
    return "\n".join(parts)


def _directive(name: str, found: Any) -> str:
    if inspect.isclass(found) and issubclass(found, BaseException):
        return f".. autoexception:: {name}\n   :no-members:\n"
    if inspect.isclass(found):
        more = "   :undoc-members:\n" if issubclass(found, enum.Enum) else ""
        return f".. autoclass:: {name}\n   :members:\n{more}"
    return f".. auto{'function' if inspect.isroutine(found) else 'data'}:: {name}\n"


def _put(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
