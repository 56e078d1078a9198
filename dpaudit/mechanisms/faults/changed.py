"""A mechanism whose data are changed first, each world by itself: a function of private data that no noise covers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dpaudit.adjacency import Adjacency
from dpaudit.mechanisms.dp_sgd import DPSGD
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr

__all__ = ["Changed"]


@dataclass(frozen=True, repr=False, eq=False)
class Changed:
    """`mechanism` on ``world(data)``.

    Args:
        mechanism: of `dpaudit.mechanisms`.
        world: (x, y) -> (x, y), whatever is done to a data set before training.
    """

    mechanism: DPSGD
    world: Callable[[Any], Any]
    _kept: dict[int, tuple[Neighbors, Neighbors]] = field(init=False, default_factory=dict)

    @property
    def name(self) -> str:
        """For the report."""
        return f"{self.mechanism.name} on changed data"

    @property
    def engine(self) -> str:
        """That of the mechanism."""
        return self.mechanism.engine

    def run(self, data: Any, seed: int) -> Release:
        """One training on one world's data."""
        return self.mechanism.run(self.world(data), seed)

    def run_many(self, neighbors: Neighbors, included: Sequence[bool], seeds: Sequence[int]) -> list[Release]:
        """One training for each coin and seed."""
        if id(neighbors) not in self._kept:
            excluded, with_it = self.world(neighbors.excluded), self.world(neighbors.included)
            more = len(with_it[0]) - len(excluded[0])
            adjacency = Adjacency.ADD_OR_REMOVE_ONE if more else Adjacency.REPLACE_ONE
            changed = replace(
                neighbors, excluded=excluded, included=with_it, canaries=max(1, more), adjacency=adjacency
            )
            self._kept.clear()
            self._kept[id(neighbors)] = neighbors, changed
        return self.mechanism.run_many(self._kept[id(neighbors)][1], included, seeds)

    def __reduce__(self) -> tuple[type["Changed"], tuple[DPSGD, Callable[[Any], Any]]]:
        return Changed, (self.mechanism, self.world)

    def __repr__(self) -> str:
        return f"Changed({self.mechanism!r}, {stable_repr(self.world)})"
