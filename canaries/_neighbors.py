"""From a crafted record to Neighbors, with all that an adversary may know about it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from canaries._data import Array, Records, cast, with_record
from canaries._features import constant_features, unit
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def neighbors_with(
    records: Records,
    x: Array,
    y: Array,
    *,
    name: str,
    params: Mapping[str, Any],
    adjacency: Adjacency,
    replaced: int | None,
    context: Mapping[str, Any] | None = None,
) -> Neighbors:
    """Neighbours that differ in the record (x, y) alone.

    Args:
        records: the data; it is D0.
        x: the canary's features, cast to the data's dtype here.
        y: its label or target, already in the data's dtype and shape.
        name: the recipe.
        params: its parameters, for the report.
        adjacency: ADD_OR_REMOVE_ONE appends the canary; REPLACE_ONE exchanges record `replaced` for it.
        replaced: REPLACE_ONE only; None is the last record.
        context: overrides of what is derived here: "label" (int), "direction" (unit vector of the flattened x, where
            there is one), "dead_features" (features that are 0 in every record of D0, where there are any).

    Raises:
        UsageError: ZERO_OUT, a `replaced` that does not fit, or a canary equal to the record it replaces.
    """
    at = _position(records, adjacency, replaced)
    features = records.fitted(cast(x, records.x.dtype, "the canary's record"))
    if at is not None and _equal(features, records.x[at]) and _equal(y, records.y[at]):
        raise UsageError(
            "the canary equals the record it replaces", allowed="a record that differs", got=f"record {at}"
        )
    included, record = with_record(records, features, y, at)
    known: dict[str, Any] = {}
    if records.labelled and y.size == 1:
        known["label"] = records.label_of(y.item())
    if records.table is not None:
        known["label_column"] = records.table.target.name
    numbers_only = records.table is None or not records.table.named.any()
    if numbers_only and (direction := unit(features)) is not None:
        known["direction"] = direction
    if (dead := constant_features(records)[0]).size:
        known["dead_features"] = dead
    return Neighbors(
        excluded=records.data,
        included=included,
        adjacency=adjacency,
        canary=record,
        name=name,
        params={**params, **_named(records, params), **({} if at is None else {"replaced": at})},
        context={**known, **(context or {})},
    )


def _position(records: Records, adjacency: Adjacency, replaced: int | None) -> int | None:
    match adjacency:
        case Adjacency.ADD_OR_REMOVE_ONE:
            if replaced is not None:
                raise UsageError(
                    "replaced= makes sense under replace-one only",
                    allowed="replaced=None",
                    got=replaced,
                    remedy="adjacency=Adjacency.REPLACE_ONE",
                )
            return None
        case Adjacency.REPLACE_ONE:
            return records.position(-1 if replaced is None else replaced, "replaced= names no record")
        case _:
            raise UsageError(
                "a recipe cannot make these neighbours: a record that contributes nothing is not a data set",
                allowed=f"{Adjacency.ADD_OR_REMOVE_ONE}, {Adjacency.REPLACE_ONE}",
                got=str(adjacency),
                remedy="Neighbors(excluded, included, adjacency=...) with a training function that skips the record",
            )


def _named(records: Records, params: Mapping[str, Any]) -> dict[str, Any]:
    """The label among the parameters by its name, where the data has names."""
    return {"label": records.label_of(params["label"])} if records.names and "label" in params else {}


def _equal(a: Array, b: Array) -> bool:
    return bool(np.all((a == b) | ((a != a) & (b != b))))
