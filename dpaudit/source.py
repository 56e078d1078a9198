"""A repr for users' functions that changes when they do, and is the same in every process: no memory address."""

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from dpaudit.digest import digest_of
from dpaudit.modules import is_module, is_tensor

_LEAVES = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic, Path, Enum)


def stable_repr(function: Callable[..., Any]) -> str:
    """Qualified name and a digest of what the function does: ``own.train#1f2e3d4c``.

    The digest covers source (or bytecode), defaults, captured values (closure, partial, attributes of a callable
    instance, the object of a bound method) and the globals that the code reads. Functions and classes among all these
    are followed in the same way, globals of another module's making only by name.

    Values count as far as they are data: numbers, text, arrays, tensors, states of torch modules, containers and
    dataclasses of them. Of other objects only the type counts: their content may differ from process to process.
    """
    if isinstance(function, functools.partial):
        return f"partial({stable_repr(function.func)}, {_short((function.args, function.keywords))})"
    if isinstance(function, MethodType):
        return f"{stable_repr(function.__func__)} of {_named(function.__self__)}#{_short(function.__self__, own=True)}"
    return f"{_named(function)}#{_short(function, own=True)}"


def _named(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _short(thing: Any, *, own: bool = False) -> str:
    walk = _Walk()
    return digest_of(walk.top(thing) if own else walk.value(thing))[:8]


class _Walk:
    """Turns code and the values it sees into plain data for `digest_of`; every object once, so that cycles end."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Any, str]] = {}  # with the object: its id must not be used again meanwhile

    def value(self, thing: Any) -> Any:
        """Plain data that stands for `thing`."""
        if isinstance(thing, _LEAVES) or is_tensor(thing):
            return thing
        if id(thing) not in self._found:
            self._found[id(thing)] = thing, f"inside: {type(thing).__qualname__}"
            self._found[id(thing)] = thing, digest_of(self._described(thing))
        return self._found[id(thing)][1]

    def top(self, thing: Any) -> Any:
        """As `value`; of an object that is called, its class and its attributes count whatever it is."""
        described = self._described(thing)
        if isinstance(described, str) and hasattr(thing, "__dict__"):
            return [described, self.value(type(thing)), self.value(dict(vars(thing)))]
        return described

    def _described(self, thing: Any) -> Any:
        match thing:
            case list() | tuple():
                return [self.value(item) for item in thing]
            case set() | frozenset():
                return sorted(digest_of(self.value(item)) for item in thing)
            case Mapping():
                return [[self.value(key), self.value(item)] for key, item in thing.items()]
            case FunctionType():
                return self._function(thing)
            case MethodType():
                return [self.value(thing.__func__), self.value(thing.__self__)]
            case functools.partial():
                return [self.value(part) for part in (thing.func, thing.args, thing.keywords)]
            case type():
                return self._class(thing)
            case ModuleType():
                return thing.__name__
            case _ if is_module(thing):
                settings = [[name, self.value(type(part)), _settings(part)] for name, part in thing.named_modules()]
                return [settings, dict(thing.state_dict())]
            case _ if callable(getattr(thing, "__wrapped__", None)):  # functools.cache
                return [_named(type(thing)), self.value(thing.__wrapped__)]
            case _ if is_dataclass(thing):
                return [self.value(type(thing)), *(self.value(getattr(thing, f.name, None)) for f in fields(thing))]
        return _named(thing)

    def _function(self, function: FunctionType) -> list[Any]:
        return [
            _named(function),
            _code(function.__code__),
            self.value(function.__defaults__),
            self.value(function.__kwdefaults__),
            [self._cell(cell) for cell in function.__closure__ or ()],
            [[name, self._global(function, name)] for name in sorted(set(_names(function.__code__)))],
        ]

    def _cell(self, cell: Any) -> Any:
        try:
            return self.value(cell.cell_contents)
        except ValueError:  # a name not bound yet
            return None

    def _global(self, function: FunctionType, name: str) -> Any:
        """What `name` stands for among the function's globals."""
        if name.startswith("__") or name not in function.__globals__:
            return None
        thing = function.__globals__[name]
        if isinstance(thing, (FunctionType, type)) and thing.__module__ != function.__module__ and _importable(thing):
            return _named(thing)
        return self.value(thing)

    def _class(self, kind: type) -> Any:
        members = [member for member in vars(kind).values() if isinstance(member, FunctionType)]
        bases = [self.value(base) if base.__module__ == kind.__module__ else _named(base) for base in kind.__bases__]
        return [_named(kind), _settings(kind), bases, [self.value(member) for member in members]]


def _settings(thing: Any) -> dict[str, Any]:
    """Plain public attributes of an object or a class."""
    return {k: v for k, v in vars(thing).items() if isinstance(v, _LEAVES) and not k.startswith("_")}


def _importable(thing: Any) -> bool:
    return getattr(sys.modules.get(thing.__module__), thing.__qualname__, None) is thing


def _code(code: CodeType) -> Any:
    """Source where there is some, else bytecode."""
    try:
        return inspect.getsource(code)  # of the code, not the function: that would look through decorators
    except (OSError, TypeError):
        constants = [_code(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
        return [code.co_code, constants, list(code.co_names)]


def _constant(constant: Any) -> str:
    """A repr without the order of a set, which differs from process to process."""
    return repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)


def _names(code: CodeType) -> Iterator[str]:
    """Globals that the code reads, in any order; `co_names` alone would have attributes too."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
