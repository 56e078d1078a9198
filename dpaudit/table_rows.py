"""Several canaries of one run as rows of a table: picked by their coins, joined to the data, seen by an attack."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.modules import is_tensor
from dpaudit.tables import is_frame, is_hugging_face, is_loader, label_column

__all__ = ["alike", "joined", "picked", "seen"]


def alike(records: Any, base: Any) -> bool:
    """Whether `records` can join `base`: the same kind, the same columns and types."""
    if isinstance(base, tuple) or isinstance(records, tuple):
        two = all(isinstance(pair, tuple) and len(pair) == 2 for pair in (records, base))
        return two and len(records[0]) == len(records[1]) and type(records[0]) is type(base[0])
    if is_frame(base):
        return is_frame(records) and list(records.columns) == list(base.columns) and _same_dtypes(records, base)
    if is_hugging_face(base):
        return is_hugging_face(records) and records.features == base.features
    if isinstance(base, Mapping):
        return isinstance(records, Mapping) and all(
            type(records.get(name)) is type(part) for name, part in base.items()
        )
    plain = is_loader(base) or isinstance(base, (list, str, bytes, np.ndarray)) or is_tensor(base)
    return not plain and all(hasattr(d, "__getitem__") and hasattr(d, "__len__") for d in (records, base))


def picked(records: Any, coins: NDArray[np.bool_]) -> Any:
    """The rows of `coins` (m,) bool."""
    at = np.flatnonzero(coins)
    if isinstance(records, tuple):
        return tuple(part[coins] for part in records)
    if is_frame(records):
        return records.iloc[at]
    if is_hugging_face(records):
        return records.select(at.tolist())
    if isinstance(records, Mapping):
        return {k: [v[i] for i in at] if isinstance(v, list) else v[coins] for k, v in records.items()}
    from torch.utils.data import Subset

    return Subset(records, at.tolist())


def joined(base: Any, more: Any) -> Any:
    """`more` after `base`, of the kind that `base` is; a table's index goes on where it is a range."""
    if isinstance(base, tuple):
        return tuple(_longer(part, rows) for part, rows in zip(base, more, strict=True))
    if is_frame(base):
        return _joined_frames(base, more)
    if is_hugging_face(base):
        from datasets import concatenate_datasets

        parts = [part.with_format(None) for part in (base, more)]
        made = concatenate_datasets(parts, info=base.info, split=base.split)
        made.set_format(**base.format)
        return made
    if isinstance(base, Mapping):
        made = {name: _longer(part, more[name]) for name, part in base.items()}
        return made if type(base) is dict else type(base)(made)  # type: ignore[call-arg]
    from torch.utils.data import ConcatDataset

    return ConcatDataset([base, more])


def seen(records: Any, label: Any) -> tuple[Any, NDArray[Any]]:
    """Features as a model takes them (rows of a frame, an array, or a dict of arrays), and labels as (m,) array.

    Args:
        records: m canaries.
        label: the label column of a table; None looks for one.

    Raises:
        UsageError: no label column, or values that differ in shape.
    """
    if is_frame(records):
        target = label_column(records.columns, label)
        return records.drop(columns=[target]), records[target].to_numpy()
    if is_hugging_face(records):
        records = records.with_format(None)[:]
    elif not isinstance(records, (Mapping, tuple)):
        items = [records[i] for i in range(len(records))]
        if not isinstance(items[0], Mapping):
            return _stacked([item[0] for item in items]), np.asarray(_stacked([item[1] for item in items]))
        records = {name: [item[name] for item in items] for name in items[0]}
    target = label_column(records, label)
    features = {name: _stacked(part) for name, part in records.items() if name != target}
    x = next(iter(features.values())) if len(features) == 1 else features
    return x, np.asarray(_stacked(records[target]))


def _same_dtypes(one: Any, two: Any) -> bool:
    return all(a == b for a, b in zip(one.dtypes.tolist(), two.dtypes.tolist(), strict=True))


def _joined_frames(base: Any, more: Any) -> Any:
    from pandas import RangeIndex, concat

    if isinstance(base.index, RangeIndex):
        step, stop = base.index.step, base.index.stop
        more = more.set_axis(RangeIndex(stop, stop + step * len(more), step))
    made = concat([base, more])
    made.index.name = base.index.name
    made.attrs = dict(base.attrs)
    return made


def _longer(part: Any, more: Any) -> Any:
    if is_tensor(part):
        import torch

        return torch.cat([part, more])
    return [*part, *more] if isinstance(part, list) else np.concatenate([part, more])


def _stacked(values: Any) -> Any:
    """A column as an array."""
    if isinstance(values, np.ndarray) or is_tensor(values):
        return values
    try:
        return np.stack([value.detach().cpu().numpy() if is_tensor(value) else np.asarray(value) for value in values])
    except ValueError:
        raise UsageError(
            "values of the canaries differ in shape", allowed="one shape for all", remedy="pad or crop them first"
        ) from None
