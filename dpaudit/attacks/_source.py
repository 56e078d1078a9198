"""A repr for users' functions that is the same in every process: no memory address."""

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from dpaudit.digest import digest_of


def stable_repr(function: Callable[..., Any]) -> str:
    """Qualified name and a digest of the source code, where there is source code."""
    if isinstance(function, partial):
        bound = digest_of((function.args, function.keywords))[:8]
        return f"partial({stable_repr(function.func)}, {bound})"
    named = function if hasattr(function, "__qualname__") else type(function)
    name = f"{named.__module__}.{named.__qualname__}"
    try:
        source = inspect.getsource(named)
    except (OSError, TypeError):
        return name
    return f"{name}#{hashlib.blake2b(source.encode(), digest_size=4).hexdigest()}"
