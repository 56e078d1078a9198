"""What can be read in a function or an object, as plain data."""

import functools
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from dpaudit.digest import digest_of
from dpaudit.trials.by_value import is_installed

__all__ = ["Values"]

_LEAVES = (bool, int, float, complex, str, bytes, type(None))
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_OURS = ("dpaudit", "canaries")  # by version; but they hold what users gave them


class Values:
    """Digests of everything reachable, each object once, so that cycles end.

    `source.stable_repr`, which a fingerprint has anyway, knows objects of unknown kinds by their type alone, since a
    ledger that refuses its own audit is a nuisance. Here a difference costs a cached audit, and a missed one would
    keep a wrong verdict: so attributes count as well, and of objects from libraries what they print.

    Attributes:
        modules: that define the functions, classes and objects met so far.
    """

    def __init__(self) -> None:
        self.modules: list[ModuleType] = []
        self._met: dict[int, tuple[Any, str]] = {}  # with the object: its id must not be used again meanwhile

    def of(self, thing: Any) -> Any:
        """A leaf itself, of anything else a digest."""
        if isinstance(thing, _LEAVES):
            return thing
        if id(thing) not in self._met:
            self._met[id(thing)] = thing, "inside"
            self._met[id(thing)] = thing, digest_of(self._described(thing))
        return self._met[id(thing)][1]

    def _described(self, thing: Any) -> Any:
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        match thing:
            case list() | tuple():
                return [kind, [self.of(item) for item in thing]]
            case dict():
                return [kind, [[self.of(key), self.of(value)] for key, value in thing.items()]]
            case set() | frozenset():
                return [kind, sorted(str(self.of(item)) for item in thing)]
            case ModuleType():
                self.modules.append(thing)
                return thing.__name__
            case FunctionType():
                return [thing.__qualname__, self._function(thing)]
            case MethodType():
                return [self.of(thing.__func__), self.of(thing.__self__)]
            case functools.partial():
                return [self.of(thing.func), self.of(thing.args), self.of(thing.keywords)]
            case type():
                return [kind, thing.__qualname__, self._class(thing)]
            case _ if hasattr(thing, "__array__"):  # arrays, tensors, tables
                return [kind, digest_of(thing)]
        return [kind, self._object(thing)]

    def _function(self, function: FunctionType) -> Any:
        if not self._own(function.__module__):
            return getattr(function, "__wrapped__", None) and self.of(function.__wrapped__)  # type: ignore[attr-defined]
        names = sorted(name for name in _names(function.__code__) if name in function.__globals__)
        return [
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            [self.of(content) for content in _cells(function)],
            [[name, self.of(function.__globals__[name])] for name in names if not name.startswith(("__", "@"))],
            self.of(vars(function)),
        ]

    def _class(self, kind: type) -> Any:
        if not self._own(kind.__module__):
            return None
        skipped = ("__dict__", "__weakref__", "__doc__", "__module__")
        members = {name: value for name, value in vars(kind).items() if name not in skipped}
        bases = [self.of(base) for base in kind.__bases__]
        return [bases, [[name, self.of(getattr(value, "__func__", value))] for name, value in members.items()]]

    def _object(self, thing: Any) -> Any:
        """Attributes of objects of the project's own classes; of others what they print, and what they wrap."""
        printed = ""
        if not self._own(type(thing).__module__) and not isinstance(thing, (SimpleNamespace, Namespace)):
            try:
                printed = _ADDRESS.sub("", repr(thing))
            except Exception:  # it is not ours to judge
                printed = "(prints nothing)"
            return [printed, self.of(getattr(thing, "__wrapped__", None))]
        held = getattr(thing, "__dict__", {})
        return [self.of(type(thing)), self.of(dict(held)), [[name, self.of(value)] for name, value in _slots(thing)]]

    def _own(self, name: str | None) -> bool:
        """Whether what a module of this name defines may change; the module is taken down."""
        module = sys.modules.get(str(name))
        if module is None:
            return True
        self.modules.append(module)
        return module.__name__.partition(".")[0] in _OURS or not is_installed(module)


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*(_names(constant) for constant in inner))


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name not bound yet
            yield None


def _slots(thing: Any) -> Iterator[tuple[str, Any]]:
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            yield name, getattr(thing, name, None)
