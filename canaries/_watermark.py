"""A real image with a checkerboard in its corner."""

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import read_records
from canaries._features import value_range
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def watermark(
    data: Any,
    *,
    index: int = 0,
    size: int | None = None,
    label: ArrayLike | None = None,
    image_shape: tuple[int, ...] | None = None,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A copy of image `index`, its top left corner a checkerboard of the data's darkest and lightest value.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
            Images are (h, w) or channels first, (c, h, w); flat records need `image_shape` unless they are square.
        index: the image to copy; negative counts from the end.
        size: side of the patch in pixels; None is a quarter of the shorter side, at least 2.
        label: its label; None is the least frequent one that is not the image's own.
        image_shape: (h, w) or (c, h, w) of a flat record.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: records that are not images, or a patch that does not fit in one.

    Reference:
        Tramer, Terzis, Steinke, Song, Jagielski, Carlini 2022 ("Debugging differential privacy: a case study for
        privacy auditing"): the watermark was the canary that separated the two worlds best.
    """
    records = read_records(data)
    at = records.position(index, "index= names no record")
    y = label_for(records, label, other_than=records.y[at] if label is None else None)
    shape = _image_shape(records.x.shape[1:], image_shape)
    side = max(2, min(shape[-2:]) // 4) if size is None else size
    if not (1 <= side <= min(shape[-2:]) and int(side) == side):
        raise UsageError("size of the watermark", allowed=f"a whole number in [1, {min(shape[-2:])}]", got=size)
    low, high = value_range(records)
    rows, columns = np.indices((side, side))
    image = records.x[at].reshape(shape).copy()
    image[..., :side, :side] = np.where((rows + columns) % 2 == 0, high, low).astype(image.dtype)
    return neighbors_with(
        records,
        image.reshape(records.x.shape[1:]),
        y,
        name="watermark",
        params={"index": at, "size": side, "label": shown(y)},
        adjacency=adjacency,
        replaced=replaced,
    )


def _image_shape(record: tuple[int, ...], given: tuple[int, ...] | None) -> tuple[int, ...]:
    features = int(np.prod(record))
    if given is not None:
        if len(given) < 2 or int(np.prod(given)) != features:
            raise UsageError("image_shape", allowed=f"(h, w) or (c, h, w) with {features} pixels", got=given)
        return tuple(given)
    if len(record) >= 2:
        return record
    side = isqrt(features)
    if side * side != features or side < 2:
        raise UsageError(
            "these records are not images",
            allowed="(h, w), (c, h, w) or a flat square",
            got=f"records of shape {record}",
            remedy="image_shape=(h, w), or another recipe such as mislabeled",
        )
    return (side, side)
