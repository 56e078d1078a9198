"""The small parts that all pages have."""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Row", "Tile"]

Row: TypeAlias = tuple[str, str]
"""A key, and the sentence that goes with it."""


@dataclass(frozen=True)
class Tile:
    """A number to be seen at once.

    Attributes:
        label: what it is.
        value: the number, in text.
        detail: what it must not be read without.
    """

    label: str
    value: str
    detail: str
