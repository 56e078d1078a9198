"""A record of huge, tiny or non-finite magnitude: many bugs show only there."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import Array, Records, cast, read_records
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def extreme(
    data: Any,
    *,
    scale: float = 100.0,
    nonfinite: Literal["nan", "inf"] | None = None,
    index: int = 0,
    label: ArrayLike | None = None,
    target_scale: float | None = None,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """Record `index` times `scale`, or a record of nothing but NaN or infinity.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        scale: factor on the features; 1e38 and 1e-3 are worth a try.
        nonfinite: "nan" or "inf" in every feature, instead of the scaled record.
        index: the record to start from; negative counts from the end.
        label: its label or target; None is the least frequent label, or for regression the record's own target.
        target_scale: regression only, instead of `label`: factor on the record's own target.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: a record of zeros to scale, values that the data's dtype cannot hold, a label and a target_scale.
    """
    records = read_records(data)
    at = records.position(index, "index= names no record")
    if nonfinite is None:
        with np.errstate(over="ignore", invalid="ignore"):
            x = records.x[at].astype(np.float64) * scale
        if not np.any(x):
            raise UsageError(
                "a record of zeros has no scale", allowed="another index=, a scale other than 0", got=f"index={at}"
            )
        params: dict[str, Any] = {"scale": scale}
    elif nonfinite in ("nan", "inf") and records.x.dtype.kind == "f":
        x = np.full(records.x.shape[1:], float(nonfinite))
        params = {"nonfinite": nonfinite}
    else:
        raise UsageError("nonfinite=", allowed="nan or inf, for features that are floats", got=nonfinite)
    y = _target(records, at, label, target_scale)
    return neighbors_with(
        records,
        x,
        y,
        name="extreme",
        params={**params, "index": at, "label": shown(y)},
        adjacency=adjacency,
        replaced=replaced,
    )


def _target(records: Records, at: int, label: ArrayLike | None, target_scale: float | None) -> Array:
    if target_scale is not None and (label is not None or records.labelled):
        raise UsageError(
            "target_scale= is for a regression target that is not given",
            allowed="label= or target_scale=, the latter with float y",
            got=f"label={label!r}, y of {records.y.dtype}",
        )
    if label is None and not records.labelled:
        factor = 1.0 if target_scale is None else target_scale
        return cast(records.y[at].astype(np.float64) * factor, records.y.dtype, "the canary's target")
    return label_for(records, label)
