"""Records as a model takes them, whatever kind of data they come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.digest import arrays_in
from dpaudit.errors import UsageError
from dpaudit.tables import is_frame

__all__ = ["batch_of", "numbers_of", "rows_for", "table_array"]


def batch_of(x: Any) -> Any:
    """The features of one record as a batch of one: a row of a frame is one already, a dict becomes one of columns."""
    if is_frame(x):
        return x
    if isinstance(x, Mapping):
        return {name: np.asarray(value)[None] for name, value in x.items()}
    return np.asarray(x)[None]


def rows_for(model: Any, batch: Any) -> Any:
    """A batch as ``predict_proba`` of this model takes it: by names if it was fitted with names, else as an array.

    Raises:
        UsageError: columns that are no numbers, for a model that knows no names.
    """
    names = getattr(model, "feature_names_in_", None)
    if is_frame(batch) or isinstance(batch, Mapping):
        if names is not None and set(names) <= set(batch.keys()):
            if is_frame(batch):
                return batch[list(names)]
            from pandas import DataFrame  # the model has seen one

            return DataFrame({name: list(batch[name]) for name in names})
        if is_frame(batch) and not _numeric(batch):
            return batch  # a model of its own that takes frames
        array = _side_by_side(batch)
    else:
        array = batch if isinstance(batch, np.ndarray) else next(arrays_in(batch))
    flat = array.reshape(len(array), -1)
    return flat if getattr(model, "n_features_in_", None) == flat.shape[1] else array


def numbers_of(x: Any) -> Any:
    """The features of one record for a torch module: those of a table as (d,) float64, others as they are.

    Raises:
        UsageError: a table with columns that are no numbers.
    """
    return _side_by_side(batch_of(x))[0] if is_frame(x) or isinstance(x, Mapping) else x


def table_array(batch: Any) -> Any:
    """The features of m records for a torch module: those of a table as (m, d) float64, others as they are.

    Raises:
        UsageError: a table with columns that are no numbers.
    """
    return _side_by_side(batch) if is_frame(batch) or isinstance(batch, Mapping) else batch


def _side_by_side(batch: Any) -> NDArray[np.float64]:
    columns = {name: np.asarray(batch[name]) for name in batch.keys()}  # noqa: SIM118 (of a frame, or a dict)
    if (is_frame(batch) and not _numeric(batch)) or any(part.dtype.kind not in "iubf" for part in columns.values()):
        raise UsageError(
            "this record has columns that are no numbers",
            allowed="a model with predict_proba and feature_names_in_, such as a scikit-learn pipeline",
            got=", ".join(f"{name}: {part.dtype}" for name, part in list(columns.items())[:8]),
            remedy="attack=dpa.attacks.Function(lambda release, neighbors: ...)",
        )
    parts = [part.reshape(len(part), -1).astype(np.float64) for part in columns.values()]
    return np.concatenate(parts, axis=1)


def _numeric(frame: Any) -> bool:
    return all(getattr(dtype, "kind", "O") in "iubf" for dtype in frame.dtypes) and not bool(frame.isna().any().any())
