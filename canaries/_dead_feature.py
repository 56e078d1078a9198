"""A record that lives in features which carry nothing in the rest of the data."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canaries._data import Records, read_records
from canaries._features import Floats, constant_features, flat, typical_norm, unit
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def dead_feature(
    data: Any,
    *,
    label: ArrayLike | None = None,
    scale: float = 1.0,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A record that is zero except in features that are constant in all of D0.

    No other record's gradient moves the first layer's weights along `context["direction"]`: what moves there is the
    canary and the noise. Features that are 0 everywhere serve first. Features constant at other values c serve as
    well, two or more together, along a direction orthogonal to c, in which no other record has a component.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        label: its label (or target); None is the least frequent label.
        scale: norm of the canary in units of the median norm of a record. Large values saturate a softmax after a
            step or two and then contribute less; small ones leave most of a clipped gradient to the bias. On digits 1
            means 3.9; simulated DP-SGD on a softmax (ideal d' .5, standard error .13) gave a projection d' of .18 at
            scale .1, .38 at .3, .48 at 1, .46 at 3, .37 at 30.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: no feature is constant, or `scale` is not a positive number.
    """
    records = read_records(data)
    if not 0 < scale < np.inf:
        raise UsageError("scale of the dead features", allowed="(0, inf)", got=scale)
    y = label_for(records, label)
    dead, direction = _dead_direction(records)
    x = direction * (scale * typical_norm(records))
    if records.x.dtype.kind in "iub":
        x = np.rint(np.clip(x, *_limits(records.x.dtype)))
    return neighbors_with(
        records,
        x.reshape(records.x.shape[1:]),
        y,
        name="dead_feature",
        params={"label": shown(y), "scale": scale},
        adjacency=adjacency,
        replaced=replaced,
        context={"dead_features": dead, "direction": direction},
    )


def _dead_direction(records: Records) -> tuple[NDArray[np.intp], Floats]:
    zero, constant = constant_features(records)
    pattern = np.zeros(flat(records).shape[1])
    if zero.size:
        pattern[zero] = 1.0
        used = zero
    else:
        level = flat(records)[0, constant].astype(np.float64)
        signs = np.where(np.arange(constant.size) % 2 == 0, 1.0, -1.0)
        free = signs - level * (signs @ level) / max(level @ level, 1e-300)
        pattern[constant] = np.where(np.abs(free) > 1e-9, free, 0.0)
        used = constant
    direction = unit(pattern)
    if direction is None:
        raise UsageError(
            "no feature of this data is constant, so none is dead",
            allowed="a feature that is 0 in every record, or two that are constant",
            got=f"{constant.size} constant of {pattern.size} features",
            remedy="canaries.mislabeled(data), watermark(data) or blank(data)",
        )
    return used, direction


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
