"""A repr for training functions that changes when they do, and is the same in every process."""

import functools
import hashlib
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from dpaudit.digest import digest_of

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)


def stable_repr(function: Callable[..., Any]) -> str:
    """Qualified name and a digest of code, defaults, plain closure values and plain attributes of an instance.

    Plain: numbers, strings, arrays, and tuples of them. Globals are the business of the spec file's own digest.
    """
    if isinstance(function, functools.partial):
        return f"partial({stable_repr(function.func)}, {_digest((function.args, function.keywords))})"
    function = inspect.unwrap(function)
    if inspect.ismethod(function):
        return f"{stable_repr(function.__func__)} of {_instance(function.__self__)}"
    if inspect.isfunction(function):
        state = (function.__defaults__, function.__kwdefaults__, _closure(function))
        return f"{function.__module__}.{function.__qualname__}#{_digest((_code(function), _plain(state)))}"
    return _instance(function)


def _instance(thing: Any) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    state = {} if isinstance(thing, type) else {k: _plain(v) for k, v in getattr(thing, "__dict__", {}).items()}
    return f"{kind.__module__}.{kind.__qualname__}#{_digest((_code(kind), state))}"


def _digest(thing: Any) -> str:
    return digest_of(_plain(thing))[:8]


def _closure(function: Any) -> tuple[Any, ...]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # a name not bound yet
            found.append(None)
    return tuple(found)


def _plain(value: Any) -> Any:
    match value:
        case _ if isinstance(value, _PLAIN):
            return value
        case tuple() | list():
            return [_plain(v) for v in value]
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
        case _ if inspect.isfunction(value):
            return f"{value.__module__}.{value.__qualname__}:{_code(value)}"
        case _:
            return f"{type(value).__module__}.{type(value).__qualname__}"


def _code(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        return "" if code is None else hashlib.blake2b(_bytecode(code), digest_size=8).hexdigest()


def _bytecode(code: CodeType) -> bytes:
    inner = [_bytecode(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"|".join([code.co_code, *inner, *(name.encode() for name in code.co_names)])
