"""Two neighbouring data sets and the canary that tells them apart; a gradient as the canary; many canaries at once."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.adjacency import Adjacency
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.table_rows import alike, joined, picked
from dpaudit.tables import records_in

__all__ = ["CanarySet", "Neighbors", "WithGradient", "records_in"]


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


@dataclass(frozen=True, eq=False)
class WithGradient:
    """D1 of a gradient canary: the records of D0, and in each step one more gradient, by a coin at the sample rate.

    It is clipped like those of the records: the worst that one record can do, whatever the model makes of records.

    Args:
        data: D0.
        gradient: (P,) floats in the order of the model's trainable ``parameters()``, of any norm; or (T, P), the
            gradient of step t.
    """

    data: Any
    gradient: Any


@dataclass(frozen=True, eq=False)
class CanarySet:
    """m canaries for ONE training run, each in or out by its own fair coin.

    Args:
        base: the data set without any of them: an (x, y) pair of arrays or tensors, a torch Dataset, a pandas
            DataFrame, a Hugging Face Dataset or a dict of arrays.
        records: m records of the same kind, with the same columns; or
        gradients: (m, P) floats, m gradient canaries.
        name: the recipe that made them.
        params: its parameters, for the report.
        label: the label column of a table, where it is not called label, labels, target or y.

    Raises:
        UsageError: records and gradients, or neither; a shape that does not fit.
    """

    base: Any
    records: Any = None
    gradients: Any = None
    name: str = "own"
    params: Mapping[str, Any] = field(default_factory=dict)
    label: Hashable | None = None

    def __post_init__(self) -> None:
        if (self.records is None) == (self.gradients is None):
            raise UsageError("canaries of one run", allowed="either records= or gradients=", got="both, or neither")
        if self.gradients is not None and np.ndim(self.gradients) != 2:
            raise UsageError("gradient canaries", allowed="shape (m, P)", got=np.shape(self.gradients))
        if self.records is not None and not alike(self.records, self.base):
            raise UsageError(
                "record canaries",
                allowed="an (x, y) pair of m records, or a table of m rows: of the kind of base, with its columns",
                got=type(self.records).__name__,
            )

    def __len__(self) -> int:
        return len(self.gradients) if self.records is None else records_in(self.records) or 0

    @cached_property
    def digest(self) -> str:
        """Content digest of the base and the canaries."""
        return digest_of((self.base, self.records, self.gradients, dict(self.params)))

    def included(self, mask: Any) -> Any:
        """The data set with the canaries of `mask` (m,) bool in it.

        For gradients that is `base` itself: what joins the steps is ``gradients[mask]``.

        Raises:
            UsageError: a mask of another shape.
        """
        coins = self.coins(mask)
        if self.records is None:
            return self.base
        return joined(self.base, picked(self.records, coins))

    def coins(self, mask: Any) -> NDArray[np.bool_]:
        """`mask` as (m,) bool.

        Raises:
            UsageError: another shape, or values that are no coins.
        """
        coins = np.asarray(mask)
        if coins.shape != (len(self),) or not np.isin(coins, (0, 1)).all():
            raise UsageError("coins of the canaries", allowed=f"({len(self)},) booleans", got=f"shape {coins.shape}")
        return coins.astype(bool)
