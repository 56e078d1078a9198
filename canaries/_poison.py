"""Mislabelled copies of a target in both worlds, which turn an inlier into an outlier."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canaries._data import read_records, with_record
from canaries._features import constant_features
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from canaries._rows import canary_of, read_neighbors, selected, whole, with_copies
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def poison(
    source: Any,
    *,
    target: int | None = None,
    copies: int = 8,
    label: ArrayLike | None = None,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """Neighbours of a target whose mislabelled copies are in D0 and in D1.

    The copies teach the model a wrong label for the target; only a training set that holds the target itself
    contradicts it. They are the same in both worlds, so that the target is still all that differs.

    Of use where the target is an inlier and the attack sees outputs. Softmax on 400 digits, full batches, random
    starts, no privacy: the scaled logits of three targets separate 1.7, 2.9, 1.8 standard deviations without copies
    and 4.3, 5.4, 7.0 with eight. With clipping and the randomness of Poisson batches it won nothing over `mislabeled`
    (`search` tells).

    Args:
        source: `Neighbors`, whose canary is the target, or data in any kind a recipe takes, of which record `target`
            is taken out (D0) or left in (D1).
        target: position of the target in the data, negative from the end; None is 0. Not for `Neighbors`.
        copies: how many, >= 1.
        label: the copies' label (or float target); None is the least frequent label that the target does not have.
        adjacency: not for `Neighbors`, which bring theirs.
        replaced: REPLACE_ONE with data only: which record of the data without the target goes; None is the last.

    Raises:
        UsageError: neither neighbours nor data, no such record, the target's own label, arguments that do not go
            together.

    Reference: Tramer, Shokri, San Joaquin, Le, Jagielski, Hong, Carlini 2022 ("Truth Serum"), section 4.1.
    """
    number = whole("copies of the poison", copies, least=1)
    if isinstance(source, Neighbors):
        if target is not None or replaced is not None or adjacency is not Adjacency.ADD_OR_REMOVE_ONE:
            raise UsageError(
                "target=, adjacency= and replaced= are for data",
                allowed="poison(neighbors, copies=, label=)",
                got=f"target={target}, adjacency={adjacency}, replaced={replaced}",
            )
        return _poisoned(source, number, label, {"of": source.describe()})
    records = read_records(source)
    at = records.position(0 if target is None else target, "target= names no record")
    if len(records) == 1:
        raise UsageError("the target is all the data", allowed="at least two records", got="one")
    label_column = None if records.table is None else records.table.target.name
    rest = read_records(selected(records.data, [i for i in range(len(records)) if i != at]), label_column)
    x, y = records.x[at], records.y[at]
    if records.table is not None and rest.table is not None:  # names are numbered by the data that holds them
        x, y = rest.table.numbers_of(records.table.record_at(at), rest.x, rest.y)
    plain = neighbors_with(rest, x, y, name="target", params={}, adjacency=adjacency, replaced=replaced)
    return _poisoned(plain, number, label, {"target": at, **plain.params})


def _poisoned(neighbors: Neighbors, copies: int, label: ArrayLike | None, params: dict[str, Any]) -> Neighbors:
    records = read_neighbors(neighbors)
    target = canary_of(neighbors)
    label_column = neighbors.context.get("label_column")
    if records.table is not None:
        x, y = records.table.numbers_of(target, records.x, records.y)
    else:
        x, y = (_plain(part, like.dtype) for part, like in zip(target, (records.x, records.y), strict=True))
    wrong = label_for(records, label, other_than=y)
    _, bad = with_record(records, x, wrong, None)
    excluded = with_copies(neighbors.excluded, bad, copies, label_column)
    if neighbors.adjacency is Adjacency.ADD_OR_REMOVE_ONE:  # the canary stays the last record
        included = with_copies(excluded, target, neighbors.canaries, label_column)
    else:
        included = with_copies(neighbors.included, bad, copies, label_column)
    context = {key: value for key, value in neighbors.context.items() if key != "dead_features"}
    dead = constant_features(read_records(excluded, label_column))[0]  # the copies have the target's features
    if dead.size:
        context["dead_features"] = dead
    return replace(
        neighbors,
        excluded=excluded,
        included=included,
        name="poison",
        params={**params, "copies": copies, "label": records.label_of(wrong) if records.names else shown(wrong)},
        context=context,
    )


def _plain(part: Any, dtype: np.dtype[Any]) -> Any:
    moved = part.detach().cpu() if hasattr(part, "detach") else part
    if str(getattr(moved, "dtype", "")) == "torch.bfloat16":
        moved = moved.float()
    return np.asarray(moved).astype(dtype)
