"""How far attacks agree on whom they recognise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import require_probability
from dpaudit.membership.evaluation import Evaluation
from dpaudit.membership.roc import Roc

__all__ = ["Agreement", "agreement_between"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Decisions of K attacks on the same members, each attack at the same false positive rate.

    Attributes:
        names: of the attacks.
        fpr: false positive rate allowed to each.
        found: (K,) share of the members that the attack recognises.
        same: (K, K) share of the members on which both decide alike.
        jaccard: (K, K) members recognised by both, of those recognised by either; 1 where neither recognises any.
        covered: (K, K) share of the members recognised by the row's attack that the column's recognises as well; 1
            where the row's recognises none.
    """

    names: tuple[str, ...]
    fpr: float
    found: FloatArray
    same: FloatArray
    jaccard: FloatArray
    covered: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        tables = {name: getattr(self, name).tolist() for name in ("found", "same", "jaccard", "covered")}
        return {"attacks": list(self.names), "fpr": self.fpr, **tables}


def agreement_between(
    evaluation: Evaluation, fpr: float = 0.1, *, attacks: Sequence[str] | None = None, per_model: bool = False
) -> Agreement:
    """Compares attacks at one false positive rate, as Ye et al. 2022 do in their table of agreement.

    Two attacks with equal AUC may recognise different records: what one of them misses is then not safe.

    Args:
        evaluation: of all of them.
        fpr: each attack's threshold is the one of largest TPR with at most this FPR, on the scores compared.
        attacks: names; None: all.
        per_model: a threshold for each target (needs members and non-members in each); else one for all.
    """
    allowed = require_probability("fpr", fpr)
    names = evaluation.names if attacks is None else tuple(attacks)
    members = evaluation.members
    said = []
    for name in names:
        scores = evaluation.of(name)
        if per_model:
            at = [Roc.of(row, held).tpr_at(allowed).threshold for row, held in zip(scores, members, strict=True)]
        else:
            at = [evaluation.roc(name).tpr_at(allowed).threshold]
        said.append((scores >= np.array(at)[:, None])[members])
    yes = np.array(said, dtype=np.float64)
    both, total = yes @ yes.T, yes.shape[1]
    found = yes.sum(axis=1)
    either = found[:, None] + found[None, :] - both
    return Agreement(
        names,
        allowed,
        found / total,
        1.0 - (either - both) / total,
        np.where(either > 0, both / np.maximum(either, 1.0), 1.0),
        np.where(found[:, None] > 0, both / np.maximum(found[:, None], 1.0), 1.0),
    )
