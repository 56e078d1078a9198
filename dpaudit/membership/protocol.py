"""What a membership attack is: fitted on shadow models, it scores records of targets."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dpaudit.membership.signals import Signals

__all__ = ["Attack", "Fitted"]


@runtime_checkable
class Fitted(Protocol):
    """An attack that has seen its shadow models."""

    def score(self, target: Signals, records: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Scores of the T models of `target`, on the records the shadow models were asked about.

        Args:
            target: signals of the targets; their `members` must not be looked at.
            records: indices of the R records wanted; None: all.

        Returns:
            (T, R) finite numbers, higher where membership is more likely.
        """
        ...


@runtime_checkable
class Attack(Protocol):
    """A membership attack; its settings are its fields."""

    @property
    def name(self) -> str:
        """For reports; a class attribute will do."""
        ...

    def fit(self, shadows: Signals) -> Fitted:
        """Learns what there is to learn from `shadows`: models that are not the target, on the same records.

        Raises:
            dpaudit.UsageError: too few models, or what it needs was not kept; says which.
        """
        ...
