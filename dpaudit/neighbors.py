"""Two neighbouring data sets and the canary that tells them apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dpaudit.adjacency import Adjacency
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError


@dataclass(frozen=True)
class Neighbors:
    """D0 (`excluded`) and D1 (`included`), and what is publicly known about the difference.

    Args:
        excluded: the data set without the canary, of whatever kind the training function takes.
        included: the data set with it, same kind.
        adjacency: how the two differ.
        canary: the record that differs, as (x, y) or whatever a record is; None for a plain number.
        name: the recipe that made them.
        params: the recipe's parameters, for the report.
        context: what an attack may use: "label" (int), "dead_features" (indices), "direction" (array),
            "initial_state" ...
        canaries: how many copies of the canary D1 holds (group size).
    """

    excluded: Any
    included: Any
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE
    canary: Any = None
    name: str = "own"
    params: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    canaries: int = 1

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "adjacency", Adjacency(self.adjacency))
        except ValueError:
            raise UsageError("unknown adjacency", allowed=", ".join(Adjacency), got=self.adjacency) from None
        size0, size1 = self.sizes
        if size0 is not None and size1 is not None:
            grows = {Adjacency.ADD_OR_REMOVE_ONE: self.canaries}.get(self.adjacency, 0)
            if size1 - size0 != grows:
                raise UsageError(
                    f"these data sets are not {self.adjacency} neighbours",
                    allowed=f"D1 with {grows} record(s) more than D0",
                    got=f"{size0} and {size1} records",
                    remedy="state the adjacency that fits, or build D1 from D0 with a canary recipe",
                )

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Records in D0 and D1; None where the kind of data does not tell."""
        return records_in(self.excluded), records_in(self.included)

    @cached_property
    def digest(self) -> str:
        """Content digest of both worlds and the canary, for the ledger's fingerprint."""
        return digest_of((self.excluded, self.included, self.canary, str(self.adjacency), dict(self.params)))

    def world(self, included: bool) -> Any:
        """D1 if `included`, else D0."""
        return self.included if included else self.excluded

    def describe(self) -> str:
        """The canary in a few words: ``blank(label=9)``."""
        listed = ", ".join(f"{k}={v}" for k, v in self.params.items())
        return f"{self.name}({listed})" if listed else self.name


def records_in(data: Any) -> int | None:
    """Number of records of an (x, y) pair, an array, a list or a data set; None if it has no length."""
    if isinstance(data, tuple) and data and hasattr(data[0], "__len__"):
        return len(data[0])
    return len(data) if hasattr(data, "__len__") else None
