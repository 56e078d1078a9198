"""A real record under a wrong label."""

from typing import Any

from numpy.typing import ArrayLike

from canaries._data import read_records
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from dpaudit.adjacency import Adjacency
from dpaudit.neighbors import Neighbors


def mislabeled(
    data: Any,
    *,
    index: int = 0,
    label: ArrayLike | None = None,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A copy of record `index` with a label it does not have.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        index: the record to copy; negative counts from the end.
        label: the wrong label; None is the least frequent other one. Regression needs one.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last. `replaced=index` relabels in place.

    Raises:
        UsageError: data of another kind, no such record, or a label that is right after all.
    """
    records = read_records(data)
    at = records.position(index, "index= names no record")
    y = label_for(records, label, other_than=records.y[at])
    return neighbors_with(
        records,
        records.x[at],
        y,
        name="mislabeled",
        params={"index": at, "label": shown(y)},
        adjacency=adjacency,
        replaced=replaced,
    )
