"""One threshold on the loss for all records of all models."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.signals import Signals

__all__ = ["FittedLoss", "LossThreshold"]


@dataclass(frozen=True)
class LossThreshold:
    """Low loss, likely a member. Knows nothing of how hard a record is.

    Reference: Yeom, Giacomelli, Fredrikson, Jha 2018, adversary 2, whose threshold is the mean training loss; here
    that of the shadow models, since nobody tells the attacker the target's.
    """

    name: ClassVar[str] = "loss"

    def fit(self, shadows: Signals) -> "FittedLoss":
        """Takes the mean loss of the shadow models on what they were trained on."""
        inside = shadows.loss[shadows.members]
        return FittedLoss(float(inside.mean()) if inside.size else None)

    def score_each(
        self, signals: Signals, targets: NDArray[np.intp], records: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """Of each target, all other models being its shadows: no shadow has a say in the score."""
        return FittedLoss(None).score(signals.models_at(targets), records)


@dataclass(frozen=True)
class FittedLoss:
    """The threshold.

    Attributes:
        threshold: mean training loss of the shadow models in nats, inf where one of their losses is; None: they have
            no members.
    """

    threshold: float | None

    def score(self, target: Signals, records: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """(T, R) margins of the records: of the same order as minus the loss, but not saturated near 0, and finite."""
        return np.array(target.margin if records is None else target.margin[:, records])

    def decide(self, target: Signals, records: NDArray[np.intp] | None = None) -> NDArray[np.bool_]:
        """(T, R): member, loss at most the threshold.

        Raises:
            UsageError: no shadow model has a member among the records.
        """
        if self.threshold is None:
            raise UsageError(
                "the threshold is the mean training loss of the shadow models",
                allowed="shadow models trained on some of the records",
                got="none was",
            )
        losses = target.loss if records is None else target.loss[:, records]
        return np.asarray(losses <= self.threshold)
