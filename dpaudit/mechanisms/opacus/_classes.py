"""Methods of classes replaced for a while."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["family", "replaced"]

Wrap = Callable[[Any], Any]


def family(cls: type) -> set[type]:
    """The class and all that were derived from it so far."""
    below: list[type] = cls.__subclasses__()
    return {cls}.union(*map(family, below))


@contextmanager
def replaced(classes: Iterable[type], wraps: Mapping[str, Wrap]) -> Iterator[None]:
    """While it is open, each of these methods is what its wrap makes of it, in every class that has one of its own.

    The classes are as they were afterwards, whatever happens inside.
    """
    originals: list[tuple[type, str, Any]] = []
    try:
        for cls in classes:
            for name, wrap in wraps.items():
                if name in vars(cls):
                    originals.append((cls, name, vars(cls)[name]))
                    setattr(cls, name, wrap(vars(cls)[name]))
        yield
    finally:
        for cls, name, original in reversed(originals):
            setattr(cls, name, original)
