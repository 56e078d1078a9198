"""An empty record under a rare label."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import read_records
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.neighbors import Neighbors


def blank(
    data: Any,
    *,
    label: ArrayLike | None = None,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A record of zeros.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        label: its label (or target); None is the least frequent label.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: data of another kind, or a label that does not fit it.
    """
    records = read_records(data)
    y = label_for(records, label)
    x = np.zeros(records.x.shape[1:])
    return neighbors_with(
        records, x, y, name="blank", params={"label": shown(y)}, adjacency=adjacency, replaced=replaced
    )
