"""Which modules travel inside the payload instead of being imported by the worker."""

import functools
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_OWN = {"dpaudit", "canaries"}


def modules_by_value(*things: Any) -> list[ModuleType]:
    """The modules that define `things` and what they hold (one level; of dataclasses two), unless installed packages.

    A spec file cannot be imported by a worker, and a project's own module can change on disk while the audit
    runs: a worker started later would run other code. So both are pickled by value.
    """
    found: dict[str, ModuleType] = {}
    for thing in things:
        for part in _reached(thing):
            for name in (getattr(part, "__module__", None), type(part).__module__):
                module = sys.modules.get(name) if isinstance(name, str) else None
                if module is not None and not is_installed(module):
                    found[module.__name__] = module
    return list(found.values())


def is_installed(module: ModuleType) -> bool:
    """Whether every worker can import the same `module`: built in, standard library, site-packages, ours."""
    if module.__name__.partition(".")[0] in _OWN:
        return True
    file = getattr(module, "__file__", None)
    if file is None:  # built in; also the __main__ of `python -c`, which cloudpickle takes by value anyway
        return True
    where = Path(file).resolve()
    paths = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(where.is_relative_to(Path(path).resolve()) for path in paths if path)


def _reached(thing: Any) -> Iterator[Any]:
    yield thing
    for part in _held(thing):
        yield from _unwrapped(part)
        if is_dataclass(part):  # settings that hold functions, such as the steps of an algorithm
            for inner in _held(part):
                yield from _unwrapped(inner)
    yield from _unwrapped(thing)


def _held(thing: Any) -> list[Any]:
    held = getattr(thing, "__dict__", None)
    return list(held.values()) if isinstance(held, dict) else []


def _unwrapped(thing: Any) -> Iterator[Any]:
    for _ in range(10):  # a chain of wrappers, should one ever lead back to itself
        if thing is None:
            return
        yield thing
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif hasattr(thing, "__self__") and not isinstance(thing.__self__, ModuleType):
            thing = thing.__self__
        else:
            thing = getattr(thing, "__wrapped__", None)
