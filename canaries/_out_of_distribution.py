"""A record that has the values of a real one and none of its structure."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import read_records
from canaries._features import value_range
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.neighbors import Neighbors


def out_of_distribution(
    data: Any,
    *,
    index: int = 0,
    label: ArrayLike | None = None,
    seed: int = 0,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """Record `index`, inverted in the range of the data (low + high - x) and its features permuted.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        index: the record to start from; negative counts from the end.
        label: its label (or target); None is the least frequent label.
        seed: of the permutation.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: data of another kind, no such record, or a label that does not fit.
    """
    records = read_records(data)
    at = records.position(index, "index= names no record")
    y = label_for(records, label)
    low, high = value_range(records)
    inverted = low + high - records.x[at].astype(np.float64)
    x = np.random.default_rng(seed).permutation(inverted.ravel()).reshape(inverted.shape)
    return neighbors_with(
        records,
        x,
        y,
        name="out_of_distribution",
        params={"index": at, "label": shown(y), "seed": seed},
        adjacency=adjacency,
        replaced=replaced,
    )
