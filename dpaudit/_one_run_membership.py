"""Any attack of `dpaudit.membership` as the score of record canaries, and so with a DP conclusion.

On a model that is given, membership inference says nothing of a claim: somebody else chose the members. Here the
auditor flipped the coins of the canaries, and the attack's scores of them are judged by one-run methods. The bridge is
one way: signals of shadow models go in, scores come out; the attack is never handed the target's coins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dpaudit.attacks.canary_records import RecordLogits, RecordLosses, class_rows, model_of, records_of
from dpaudit.errors import UsageError
from dpaudit.membership.masks import half_masks
from dpaudit.membership.protocol import Attack
from dpaudit.membership.signals import Signals
from dpaudit.neighbors import CanarySet
from dpaudit.release import Release

__all__ = ["MembershipScores"]

_MASK_SEED = 0  # of the shadows' halves: public, and apart from every stream of the audit


@dataclass(frozen=True)
class MembershipScores:
    """The scores of a membership attack that is fitted on shadow models of the audit's own training.

    Every canary is in half of the shadow models, beside the base; which half has nothing to do with the audit's coins.
    The shadows are the same for all runs: given them, a score is a function of its run's release.

    Args:
        attack: such as ``dpaudit.membership.Lira()``.
        shadows: how many shadow models, even.

    Raises:
        UsageError: too few shadow models, or an odd number.
    """

    attack: Attack
    shadows: int = 16

    def __post_init__(self) -> None:
        if not (isinstance(self.shadows, int) and self.shadows >= 2 and self.shadows % 2 == 0):
            raise UsageError("shadows", allowed="an even number of at least 2", got=self.shadows)

    def reference_masks(self, m: int) -> NDArray[np.bool_]:
        """Every canary in half of them."""
        return half_masks(self.shadows, m, _MASK_SEED)

    def scores(
        self, release: Release, canaries: CanarySet, references: Sequence[Release]
    ) -> dict[str, NDArray[np.float64]]:
        """The one column, under the attack's name; NaN where the model's own loss is NaN.

        Raises:
            UsageError: a release that is no classifier of these records, or what the attack itself refuses.
        """
        labels = np.asarray(records_of(canaries)[1])
        shadows = _signals(references, canaries, labels, self.reference_masks(len(canaries)))
        hidden = np.zeros((1, len(canaries)), bool)  # the target's coins: nobody is told
        target = _signals([release], canaries, labels, hidden)
        column = self.attack.fit(shadows).score(target)[0].astype(np.float64)
        silent = np.isnan(RecordLosses().scores(release, canaries)["canary_loss"])
        return {str(self.attack.name): np.where(silent, np.nan, column)}


def _signals(releases: Sequence[Release], canaries: CanarySet, labels: Any, members: NDArray[np.bool_]) -> Signals:
    losses, margins, rows = [], [], []
    for release in releases:
        losses.append(np.maximum(-RecordLosses().scores(release, canaries)["canary_loss"], 0.0))
        margins.append(RecordLogits().scores(release, canaries)["scaled_logit"])
        row, _ = class_rows(model_of(release), *records_of(canaries))
        rows.append(row - logsumexp(row, axis=1, keepdims=True))
    whole = all(np.isfinite(row).all() for row in rows)
    return Signals(
        losses=np.stack(losses),
        members=members,
        labels=labels.reshape(-1).astype(np.int64),
        margins=np.stack(margins),
        outputs=np.stack(rows).astype(np.float32) if whole else None,
        non_finite="least",
    )
