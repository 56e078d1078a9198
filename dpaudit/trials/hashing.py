"""Digests of a great many short blocks: of seals, coins and seeds."""

from collections.abc import Iterable
from hashlib import blake2b

__all__ = ["digests"]


def digests(begun: blake2b, blocks: Iterable[bytes]) -> bytes:
    """The digest of each block behind what `begun` took in (a key), one after another; the beginning is hashed once."""
    fresh, made = begun.copy, []
    for block in blocks:
        state = fresh()
        state.update(block)
        made.append(state.digest())
    return b"".join(made)
