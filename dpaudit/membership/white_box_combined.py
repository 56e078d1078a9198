"""The white box of a softmax model beside its outputs: how much each tells is learned on shadow targets."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership._logits import signals_of_logits
from dpaudit.membership.white_box import Displacement, SoftmaxModels

__all__ = ["FittedWithOutputs", "WithOutputs"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WithOutputs:
    """A logistic model of membership by two numbers: the displacement's score, and the record's margin.

    Who sees the weights sees the outputs as well; on a target whose weights tell little the outputs may tell more. The
    two are weighed on shadow targets, the adversary's own models, never on the target.

    Reference: after Leino, Fredrikson 2020, who combine the scores of several layers by such a meta-model.

    Args:
        displacement: a fitted `WhiteBox`.
    """

    displacement: Displacement
    name: ClassVar[str] = "white box with outputs"

    def fit(
        self, shadow_targets: SoftmaxModels, x: Any, y: NDArray[np.int64], members: NDArray[np.bool_]
    ) -> "FittedWithOutputs":
        """Learns the weights.

        Args:
            shadow_targets: S models of the adversary's own, trained as the target was.
            x: (R, ...) records.
            y: (R,) labels.
            members: (S, R) bool, which of them each was trained on.

        Raises:
            UsageError: members that do not fit, or of one kind only.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        inside = np.asarray(members)
        if inside.dtype != bool or inside.shape != (len(shadow_targets), len(x)) or inside.all() or not inside.any():
            raise UsageError(
                "members of the shadow targets",
                allowed=f"bool ({len(shadow_targets)}, {len(x)}), members and non-members",
                got=f"{inside.dtype} {inside.shape}",
            )
        rows = _told(self.displacement, shadow_targets, x, y)
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        return FittedWithOutputs(self.displacement, model.fit(rows.reshape(-1, rows.shape[-1]), inside.ravel()))


@dataclass(frozen=True, eq=False)
class FittedWithOutputs:
    """Ready for targets.

    Attributes:
        displacement: the average proxy.
        model: scikit-learn's, of displacement and margin.
    """

    displacement: Displacement
    model: Any = field(repr=False)

    def score(self, target: SoftmaxModels, x: Any, y: NDArray[np.int64]) -> Array:
        """(T, R) log-odds of membership for somebody who expects as many members as not.

        Raises:
            UsageError: as `Displacement.score`.
        """
        rows = _told(self.displacement, target, x, y)
        scores: Array = self.model.decision_function(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:2])
        return scores


def _told(displacement: Displacement, models: SoftmaxModels, x: Any, y: NDArray[np.int64]) -> Array:
    """(M, R, 2): displacement and margin."""
    moved, logits = displacement.score(models, x, y), models.logits(x)
    said = signals_of_logits(logits, np.asarray(y), np.zeros(moved.shape, dtype=bool))
    return np.stack([moved, said.margin], axis=2)
