"""Choosing the canary's label or target."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import Array, Records, cast
from dpaudit.errors import UsageError


def label_for(records: Records, label: ArrayLike | None, *, other_than: Array | None = None) -> Array:
    """The canary's y, in the shape and dtype of the data's.

    Args:
        records: the data.
        label: a class label, a regression target, or None for the least frequent label of the data.
        other_than: the right answer, which the canary must not have.

    Raises:
        UsageError: no label for regression, a label that is not a whole number, or the right one.
    """
    if label is None:
        chosen: ArrayLike = rarest_label(records, other_than)
    elif records.names:
        chosen = _position(records, label)
    else:
        chosen = label
    given = np.asarray(chosen)
    if given.dtype.kind not in "iubf" or (records.labelled and not np.all(given == np.rint(given))):
        raise UsageError("the canary's label", allowed="a whole number" if records.labelled else "a number", got=chosen)
    shape = records.y.shape[1:]
    one = given.size == 1 and int(np.prod(shape)) == 1
    if not one and given.shape != shape:
        raise UsageError("the canary's label", allowed=f"shape {shape}, as in the data", got=f"shape {given.shape}")
    y = cast(given.reshape(shape), records.y.dtype, "the canary's label")
    if other_than is not None and np.array_equal(y, other_than):
        raise UsageError("the canary's label is the right one", allowed="any other", got=shown(y))
    return y


def _position(records: Records, label: Any) -> int:
    """Of a label that is a name."""
    if label not in records.names:
        raise UsageError("the canary's label", allowed=", ".join(map(str, records.names)), got=str(label))
    return records.names.index(label)


def rarest_label(records: Records, other_than: Array | None = None) -> int:
    """The least frequent label of the data, the smallest among equals.

    Raises:
        UsageError: the data has targets, not labels, or only the label to avoid.
    """
    if not records.labelled or int(np.prod(records.y.shape[1:])) != 1:
        raise UsageError("regression data has no rare label", allowed="a target for the canary", remedy="label=1.0")
    labels, counts = np.unique(records.y, return_counts=True)
    if other_than is not None:
        keep = labels != other_than.ravel()[0]
        labels, counts = labels[keep], counts[keep]
    if len(labels) == 0:
        raise UsageError("the data has a single label", allowed="a label for the canary", remedy="label=1")
    return int(labels[np.argmin(counts)])


def shown(y: Array) -> Any:
    """A label as the report shows it: int, float or list."""
    return y.item() if y.size == 1 else y.tolist()
