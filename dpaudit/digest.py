"""A stable digest of data sets, canaries and releases, raw bytes and all; no pickle of arrays, no torch import."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.tables import content_of


def digest_of(thing: Any) -> str:
    """Hex digest (128 bits) of everything reachable in `thing`: equal content, equal digest, in any process."""
    state = hashlib.blake2b(digest_size=16)
    for part in _parts(thing, ()):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def all_finite(thing: Any) -> bool:
    """Whether no NaN or infinity is reachable in `thing`."""
    return all(bool(np.isfinite(a).all()) for a in arrays_in(thing) if a.dtype.kind in "fc")


def arrays_in(thing: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every number and array reachable in `thing`, as numpy arrays, in a fixed order."""
    for _, leaf in _leaves(thing, ()):
        if isinstance(leaf, np.ndarray):
            yield leaf


def _parts(thing: Any, path: tuple[str, ...]) -> Iterator[bytes]:
    for where, leaf in _leaves(thing, path):
        yield "/".join(where).encode()
        if isinstance(leaf, np.ndarray):
            yield f"{leaf.dtype.str}{leaf.shape}".encode()
            yield np.ascontiguousarray(leaf).tobytes()
        else:
            yield leaf


def _leaves(
    thing: Any, path: tuple[str, ...], above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[str, ...], np.ndarray[Any, Any] | bytes]]:
    """Leaves with where they are; `above` has the ids of what `thing` lies in, so that a cycle ends in a marker."""
    if id(thing) in above:
        yield path, f"cycle:{above.index(id(thing))}".encode()
        return
    inside = (*above, id(thing))
    match thing:
        case None | str() | bytes() | Path() | Enum():
            yield path, f"{type(thing).__name__}:{thing!r}".encode()
        case bool() | int() if not -(2**63) <= thing < 2**63:
            yield path, repr(thing).encode()
        case bool() | int() | float() | complex() | np.generic():
            yield path, np.asarray(thing)
        case np.ndarray() if thing.dtype.kind == "O":
            yield path, repr(thing.shape).encode()
            yield from _leaves(thing.ravel().tolist(), path, inside)
        case np.ndarray():
            yield path, thing
        case _ if (content := content_of(thing)) is not None:  # a table or a loader
            yield from _leaves(content, path, inside)
        case Mapping():
            for key in thing:
                yield from _leaves(thing[key], (*path, str(key)), inside)
        case list() | tuple():
            yield path, f"{len(thing)}".encode()
            for i, item in enumerate(thing):
                yield from _leaves(item, (*path, str(i)), inside)
        case set() | frozenset():  # without an order of its own
            yield path, f"set:{sorted(map(digest_of, thing))}".encode()
        case _ if hasattr(thing, "detach") and hasattr(thing, "cpu"):  # a torch tensor
            yield path, _tensor_array(thing)
        case _ if callable(getattr(thing, "state_dict", None)):  # a torch module or optimizer
            yield from _leaves(dict(thing.state_dict()), path, inside)
        case _ if is_dataclass(thing) and not isinstance(thing, type):
            for field in fields(thing):
                yield from _leaves(getattr(thing, field.name), (*path, field.name), inside)
        case _ if callable(getattr(thing, "to_numpy", None)):  # a column of a table
            yield from _leaves([list(getattr(thing, "columns", ())), thing.to_numpy()], path, inside)
        case _ if hasattr(thing, "__len__") and hasattr(thing, "__getitem__"):  # a torch Dataset
            yield path, f"{len(thing)}".encode()
            for i in range(len(thing)):
                yield from _leaves(thing[i], (*path, str(i)), inside)
        case _ if getattr(thing, "__dict__", None):
            yield path, type(thing).__qualname__.encode()
            yield from _leaves(dict(sorted(vars(thing).items())), path, inside)
        case _:
            yield path, f"{type(thing).__module__}.{type(thing).__qualname__}".encode()


def _tensor_array(tensor: Any) -> np.ndarray[Any, Any]:
    plain = tensor.detach().cpu()
    if str(plain.dtype) == "torch.bfloat16":  # numpy has no bfloat16; float32 holds it exactly
        plain = plain.float()
    return np.asarray(plain.numpy())
