"""The attack of Shokri et al.: a classifier for each class learns members' prediction vectors from shadow models."""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership._logits import log_probabilities
from dpaudit.membership.signals import Signals

__all__ = ["FittedShadowAttack", "ShadowAttack"]

POOLED = -1
"""Stands for the attack model of all classes together."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ShadowAttack:
    """One binary classifier per class, from the prediction vector to "member", trained on what shadow models say.

    The shadow models need not know the target's records: `score` takes signals of any records, with their labels. In
    training, members and non-members weigh the same in every class (the larger side is thinned out), so that a score
    above .5 means "more likely a member than not" for somebody who expects as many of either.

    Args:
        classifier: an unfitted scikit-learn classifier with ``predict_proba``, cloned for every class; None: the
            paper's, 64 ReLU units in one hidden layer, here for 30 passes of Adam and on standardised probabilities:
            without, those that crowd at 1 or, at a high softmax temperature, at 1 / C look all the same to it.
        missing: what to do about a class without members or without non-members among the shadow models: "refuse", or
            "pooled": an attack model of all classes, which sees the label's probability and then the others sorted.
        rows: at most this many rows are learned from in a class; drawn at random where there are more.
        seed: of the draws, and of the classifier where a ``random_state`` of it is None.

    Reference: Shokri, Stronati, Song, Shmatikov 2017 ("Membership Inference Attacks Against Machine Learning
        Models").
    """

    classifier: Any = None
    missing: Literal["refuse", "pooled"] = "refuse"
    rows: int = 20_000
    seed: int = 0
    name: ClassVar[str] = "shadow"

    def __post_init__(self) -> None:
        if self.missing not in ("refuse", "pooled"):
            raise UsageError("missing", allowed="'refuse', 'pooled'", got=self.missing)
        if self.rows < 2:
            raise UsageError("rows", allowed="an integer of at least 2", got=self.rows)
        if self.classifier is not None and not (
            hasattr(self.classifier, "get_params") and hasattr(self.classifier, "fit")
        ):
            raise UsageError("classifier", allowed="an unfitted scikit-learn classifier", got=self.classifier)

    def fit(self, shadows: Signals) -> "FittedShadowAttack":
        """Fits one attack model per class.

        Args:
            shadows: with labels and outputs; each (model, record) is one row. The population is left out.

        Raises:
            UsageError: outputs or labels were not kept, or a class without members or without non-members.
        """
        logits, labels = _kept(shadows)
        use = shadows.attacked
        logits, members, labels = logits[:, use], shadows.members[:, use], labels[use]
        rng = np.random.default_rng(self.seed)
        models: dict[int, Any] = {}
        lacking = []
        for c in np.unique(labels).tolist():
            at = labels == c
            inside = members[:, at].ravel()
            if inside.all() or not inside.any():
                lacking.append(c)
                continue
            chosen = _balanced(inside, self.rows, rng)
            rows = logits[:, at].reshape(inside.size, -1)[chosen]
            models[c] = self._learned(np.exp(log_probabilities(rows)), inside[chosen])
        if lacking and self.missing == "refuse":
            raise UsageError(
                f"{len(lacking)} classes have no members or no non-members among the shadow models",
                allowed="both in every class",
                got=f"labels {lacking[:10]}",
                remedy="more shadow models or records, or missing='pooled'",
            )
        if self.missing == "pooled":
            inside = members.ravel()
            if inside.all() or not inside.any():
                raise UsageError("shadow models", allowed="members and non-members", got="one kind alone")
            chosen = _balanced(inside, self.rows, rng)
            rows = logits.reshape(inside.size, -1)[chosen]
            own = np.broadcast_to(labels, members.shape).ravel()[chosen]
            models[POOLED] = self._learned(_own_first(np.exp(log_probabilities(rows)), own), inside[chosen])
        return FittedShadowAttack(models, logits.shape[2])

    def _learned(self, rows: Array, members: NDArray[np.bool_]) -> Any:
        from sklearn.base import clone
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        own = self.classifier is None
        model = make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=30)) if own else clone(self.classifier)
        given = model.get_params()
        model.set_params(**{n: self.seed for n in given if n.endswith("random_state") and given[n] is None})
        with warnings.catch_warnings():
            if own:
                warnings.simplefilter("ignore", ConvergenceWarning)  # 30 passes are meant to be enough
            return model.fit(rows, members)


@dataclass(frozen=True, eq=False)
class FittedShadowAttack:
    """Attack models, ready for any target with the same classes.

    Attributes:
        models: label -> classifier; `POOLED` for labels that have none.
        classes: C, length of a prediction vector.
    """

    models: dict[int, Any] = field(repr=False)
    classes: int

    def score(self, target: Signals, records: NDArray[np.intp] | None = None) -> Array:
        """Probability of membership for somebody who expects as many members as not.

        Args:
            target: of T models on any R records, with labels and outputs.
            records: indices of those wanted; None: all.

        Returns:
            (T, R) in [0, 1].

        Raises:
            UsageError: outputs or labels were not kept, another number of classes, or a label the shadow models had
                no records of.
        """
        logits, labels = _kept(target)
        if records is not None:
            logits, labels = logits[:, records], labels[records]
        if logits.shape[2] != self.classes:
            raise UsageError(
                "classes of the target", allowed=f"{self.classes}, as the shadow models", got=logits.shape[2]
            )
        wanted = np.unique(labels).tolist()
        unknown = [c for c in wanted if c not in self.models]
        if unknown and POOLED not in self.models:
            raise UsageError(
                "labels that the attack has no model for",
                allowed=f"labels among the shadow models' records, {len(self.models)} of them",
                got=f"labels {unknown[:10]}",
                remedy="ShadowAttack(missing='pooled')",
            )
        scores = np.empty(logits.shape[:2])
        for c in wanted:
            at = labels == c
            rows = np.exp(log_probabilities(logits[:, at])).reshape(-1, self.classes)
            if c not in self.models:
                rows = _own_first(rows, np.full(len(rows), c))
            model = self.models[c if c in self.models else POOLED]
            column = int(np.flatnonzero(model.classes_)[0])  # that of True
            scores[:, at] = model.predict_proba(rows)[:, column].reshape(len(logits), -1)
        return scores


def _kept(signals: Signals) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if signals.outputs is None or signals.labels is None:
        missing = "outputs" if signals.outputs is None else "labels"
        raise UsageError(
            f"the shadow-model attack looks at prediction vectors, class by class: no {missing} in the signals",
            allowed="signals with outputs and labels",
            got=repr(signals),
            remedy="keep the outputs where the signals are made",
        )
    return signals.outputs, signals.labels


def _balanced(inside: NDArray[np.bool_], rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of as many members as non-members, in order."""
    each = min(int(inside.sum()), int((~inside).sum()), rows // 2)
    drawn = [rng.choice(np.flatnonzero(side), each, replace=False) for side in (inside, ~inside)]
    chosen: NDArray[np.intp] = np.sort(np.concatenate(drawn))
    return chosen


def _own_first(rows: Array, labels: NDArray[np.int64]) -> Array:
    """(n, C): the label's probability, then the others in falling order."""
    at = labels[:, None]
    own = np.take_along_axis(rows, at, axis=1)
    others = rows.copy()
    np.put_along_axis(others, at, -np.inf, axis=1)
    return np.concatenate([own, -np.sort(-others, axis=1)[:, : rows.shape[1] - 1]], axis=1)
