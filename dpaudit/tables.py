"""Recognising tables and loaders by what they can do; nothing here imports them."""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.errors import UsageError

__all__ = ["LABELS", "content_of", "is_frame", "is_hugging_face", "is_loader", "label_column", "records_in"]

LABELS = ("label", "labels", "target", "y")
"""What a label column is called where nobody said so."""


def is_frame(thing: Any) -> bool:
    """A pandas DataFrame."""
    return hasattr(thing, "iloc") and hasattr(thing, "columns") and hasattr(thing, "dtypes")


def is_hugging_face(thing: Any) -> bool:
    """A Hugging Face ``datasets.Dataset``."""
    return all(hasattr(thing, name) for name in ("column_names", "features", "with_format", "select"))


def is_loader(thing: Any) -> bool:
    """A torch DataLoader, or what makes one of a known data set."""
    makes = callable(thing) and hasattr(thing, "make")
    return hasattr(thing, "dataset") and (makes or all(hasattr(thing, name) for name in ("batch_size", "collate_fn")))


def label_column(names: Iterable[Hashable], label: Hashable | None) -> Hashable:
    """`label`, or the one of `names` that is called as labels are.

    Raises:
        UsageError: there is no such column, none, or several.
    """
    known = tuple(names)
    if label is not None:
        if label not in known:
            raise UsageError("label column", allowed=", ".join(map(str, known)), got=str(label))
        return label
    found = [name for name in known if name in LABELS]
    if len(found) != 1:
        raise UsageError(
            "which column of this table is the label?",
            allowed=f"one called {', '.join(LABELS)}, or named",
            got=f"columns {', '.join(map(str, known))}",
            remedy='canaries.Table(data, label="..."), CanarySet(..., label="...")',
        )
    return found[0]


def records_in(data: Any) -> int | None:
    """Number of records of an (x, y) pair, a dict of arrays, a table, a loader or a data set; None without a length."""
    if is_loader(data):
        return records_in(data.dataset)
    if isinstance(data, tuple) and data and hasattr(data[0], "__len__"):
        return len(data[0])
    if isinstance(data, Mapping):
        columns = (column for column in data.values() if hasattr(column, "__len__") and not isinstance(column, str))
        return next((len(column) for column in columns), None)
    return len(data) if hasattr(data, "__len__") else None


def content_of(thing: Any) -> Any:
    """A table or a loader as dicts, lists and arrays, for a digest: its content, wherever it is stored.

    None for anything else.
    """
    if is_frame(thing):
        return _frame(thing)
    if is_hugging_face(thing):
        table = thing.with_format("arrow")[:]
        columns = {name: _arrow(table.column(name)) for name in thing.column_names}
        shown = {name: repr(thing.format[name]) for name in ("type", "columns", "output_all_columns")}
        return {"features": repr(thing.features), "format": shown, "columns": columns}
    if is_loader(thing) and not callable(thing):
        settings = {name: getattr(thing, name, None) for name in ("batch_size", "drop_last", "num_workers")}
        collate = getattr(thing.collate_fn, "__qualname__", type(thing.collate_fn).__qualname__)
        return [thing.dataset, settings, type(getattr(thing, "sampler", None)).__qualname__, collate]
    return None


def _frame(frame: Any) -> dict[str, Any]:
    columns = []
    for at in range(frame.shape[1]):
        series = frame.iloc[:, at]
        dtype, absent = series.dtype, series.isna().to_numpy()
        stored = getattr(dtype, "numpy_dtype", None)  # of a nullable dtype
        cells: Any
        if isinstance(dtype, np.dtype) and dtype.kind in "iubfcMm":
            cells = series.to_numpy()
        elif hasattr(dtype, "categories") and hasattr(series, "cat"):
            cells = [list(dtype.categories), bool(dtype.ordered), series.cat.codes.to_numpy()]
        elif isinstance(stored, np.dtype) and stored.kind in "iubf":
            cells = [absent, series.fillna(stored.type(0)).to_numpy(dtype=stored)]
        else:
            cells = [None if gone else value for value, gone in zip(series.tolist(), absent, strict=True)]
        columns.append([str(dtype), cells])
    index = [list(frame.index.names), frame.index.to_numpy()]
    return {"columns": list(frame.columns), "index": index, "cells": columns}


def _arrow(column: Any) -> Any:
    """An arrow column or array, however it is cut into chunks and whatever else its buffers hold."""
    import pyarrow as pa
    from pyarrow import compute

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of no chunks at all
        return []
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        empty = False if pa.types.is_boolean(kind) else pa.scalar(0).cast(kind)
        missing = array.is_null().to_numpy(zero_copy_only=False)
        return [missing, array.fill_null(empty).to_numpy(zero_copy_only=False)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = compute.list_value_length(array).fill_null(-1)
        return [lengths.to_numpy(zero_copy_only=False), _arrow(array.flatten())]
    if pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}:  # of an image, a sound
        return [_stored(row) for row in array.to_pylist()]
    if pa.types.is_struct(kind):
        parts = {field.name: _arrow(part) for field, part in zip(kind, array.flatten(), strict=True)}
        return [array.is_null().to_numpy(zero_copy_only=False), parts]
    return array.to_pylist()


def _stored(row: Any) -> bytes | None:
    """An image's bytes: in the table, or in the file that the table names."""
    if row is None or row["bytes"] is not None:
        return None if row is None else row["bytes"]
    return Path(row["path"]).read_bytes()
