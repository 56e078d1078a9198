"""ClipBKD: a backdoor along the direction in which the data varies least."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import Records, read_records
from canaries._features import Floats, flat, unit
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors

_FITTED = 5_000  # records that the logistic model sees at most


def clipbkd(
    data: Any,
    *,
    label: ArrayLike | None = None,
    scale: float = 1.0,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A record along the principal direction of least variance, as long as a record is on average.

    The gradients of the other records hardly use that direction of the first layer, so clipping the canary's gradient
    does not weaken it there. `context["direction"]` is the direction; the statistic of the paper, the difference of
    the canary's logits, is the battery's ``projection`` for a linear model and ``scaled_logit`` for any.

    Where several directions have no variance at all, the one taken has no component of the mean record either, if
    there is such a one, and is closest to that of a record whose features are all equal: it does not depend on how an
    eigenvalue solver breaks ties.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        label: its label (or target); None is the class least likely there under a logistic regression on the data.
        scale: norm of the canary in units of the mean norm of a record.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: features that are not finite or all zero, a `scale` that is not positive, a canary that an integer
            dtype cannot hold.

    Reference: Jagielski, Ullman, Oprea 2020 ("Auditing differentially private machine learning"), algorithm 2.
    """
    records = read_records(data)
    if not 0 < scale < np.inf:
        raise UsageError("scale of clipbkd", allowed="(0, inf)", got=scale)
    rows = flat(records).astype(np.float64)
    if not np.isfinite(rows).all() or not rows.any():
        raise UsageError("principal directions of this data", allowed="finite features, not all 0", got="others")
    direction = least_direction(rows)
    x = direction * (scale * float(np.linalg.norm(rows, axis=1).mean()))
    y = label_for(records, _least_likely(records, rows, x) if label is None else label)
    return neighbors_with(
        records,
        x.reshape(records.x.shape[1:]),
        y,
        name="clipbkd",
        params={"label": shown(y), "scale": scale},
        adjacency=adjacency,
        replaced=replaced,
        context={"direction": direction},
    )


def least_direction(rows: Floats) -> Floats:
    """The unit vector along which `rows` (n, d) vary least, its largest component positive."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    n, d = rows.shape
    if n > d:
        variances, vectors = np.linalg.eigh(centred.T @ centred)
        order = vectors.T[::-1]
        used = int(np.sum(variances > d * np.finfo(float).eps * variances[-1]))
    else:
        _, singular, order = np.linalg.svd(centred, full_matrices=False)
        used = int(np.sum(singular > d * np.finfo(float).eps * singular[0]))
    least = order[-1] if used == d else _flattest(order[:used], mean)
    largest = least[np.argmax(np.abs(least))]
    found = unit(np.where(np.abs(least) > 1e-9 * abs(largest), least * np.sign(largest), 0.0))
    assert found is not None  # it has length 1
    return found


def _flattest(basis: Floats, mean: Floats) -> Floats:
    """Of the directions orthogonal to the rows of `basis` (k, d), k < d, one orthogonal to the mean if there is one."""

    def free(vector: Floats) -> Floats:
        return vector - basis.T @ (basis @ vector)

    level = unit(free(mean)) if np.linalg.norm(free(mean)) > 1e-9 * np.linalg.norm(mean) else None
    fixed = np.random.default_rng(0).normal(size=mean.size)  # where a flat pattern has nothing left
    for pattern in (np.ones(mean.size), np.where(np.arange(mean.size) % 2 == 0, 1.0, -1.0), fixed):
        left = free(pattern)
        if level is not None:
            left = left - level * (level @ left)
        if np.linalg.norm(left) > 1e-6 * np.linalg.norm(pattern) and (found := unit(free(left))) is not None:
            return found
    assert level is not None  # nothing is left but the mean: it is the only direction without variance
    return level


def _least_likely(records: Records, rows: Floats, x: Floats) -> Any:
    """The least likely class of `x` (d,) under a logistic regression; None (the rarest) if there are no two classes."""
    labels = records.y.ravel()
    if not records.labelled or labels.size != len(records) or np.unique(labels).size < 2:
        return None
    from sklearn.linear_model import LogisticRegression

    some = np.random.default_rng(0).permutation(len(records))[:_FITTED]
    if np.unique(labels[some]).size < 2:
        some = np.arange(len(records))
    unit_of_length = float(np.linalg.norm(rows, axis=1).mean())  # for the solver's sake
    model = LogisticRegression(max_iter=1000, C=float(unit_of_length**2)).fit(rows[some] / unit_of_length, labels[some])
    odds = model.predict_log_proba(x[None] / unit_of_length)[0]
    return records.label_of(model.classes_[int(np.argmin(odds))])
