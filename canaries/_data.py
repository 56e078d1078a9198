"""Reading data of any supported kind as numpy, and writing one more record back in that same kind."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.errors import UsageError
from dpaudit.tables import is_loader

if TYPE_CHECKING:
    from canaries._tables import TableView

Array = NDArray[Any]
_KINDS = (
    "an (x, y) pair of numpy arrays or torch tensors, a torch Dataset of (x, y) or dict items, a DataLoader or a "
    "function that makes one, a dict of arrays, a list of dicts, a pandas DataFrame, a Hugging Face Dataset"
)


@dataclass(frozen=True)
class Records:
    """A data set as the recipes see it.

    Attributes:
        x: (n, ...) numeric array, one record a row, any record shape.
        y: (n,) or (n, k) numeric array: integers are labels, floats are targets.
        data: the data set as the training function gets it; never modified.
        table: how its columns became x and y; None for data that is no table.
    """

    x: Array
    y: Array
    data: Any
    table: "TableView | None" = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def labelled(self) -> bool:
        """Whether y holds class labels (integers) rather than targets (floats)."""
        return self.y.dtype.kind in "iub"

    @property
    def names(self) -> tuple[Any, ...]:
        """What the labels in `y` stand for, by position; empty where they are numbers of their own."""
        return () if self.table is None else self.table.target.values

    def label_of(self, y: Any) -> Any:
        """A label of `y` as the data has it."""
        return self.names[int(y)] if self.names else int(y)

    def fitted(self, x: Array) -> Array:
        """`x`, a record in the dtype of the data, as the data can hold it: columns of names hold names they know."""
        return x if self.table is None else self.table.fitted(x)

    def position(self, index: int, what: str) -> int:
        """`index` as a position in [0, n); negative ones count from the end.

        Raises:
            UsageError: no such record.
        """
        if not (-len(self) <= index < len(self) and int(index) == index):
            raise UsageError(what, allowed=f"a whole number in [{-len(self)}, {len(self) - 1}]", got=index)
        return int(index) % len(self)


def read_records(data: Any, label: Any = None) -> Records:
    """The records of `data` as numpy arrays.

    Args:
        data: of any kind; a `Table` says itself which column is the label.
        label: the label column of a table; None looks for one.

    Raises:
        UsageError: another kind of data, no records, lengths that differ, or values that are not numbers.
    """
    from canaries._tables import Table, read_table, store_of

    if isinstance(data, Table):
        return read_records(data.data, data.label)
    if is_loader(data):
        from canaries._loaders import checked

        return replace(read_records(checked(data).dataset, label), data=data)
    if callable(data) and not hasattr(data, "__len__"):
        from canaries._loaders import factory_of

        return read_records(factory_of(data), label)
    store = None if isinstance(data, tuple) else store_of(data)
    table = None
    if store is not None:
        x, y, table = read_table(store, label)
    elif isinstance(data, tuple) and len(data) == 2 and all(_is_array(part) for part in data):
        x, y = (to_numpy(part) for part in data)
    elif _is_tensor_data_set(data):
        x, y = (to_numpy(part) for part in data.tensors)
    elif _is_data_set(data):
        x, y = _stack_items(data)
    else:
        raise UsageError("a recipe cannot read this data", allowed=_KINDS, got=_shape_of(data))
    if x.ndim == 0 or y.ndim == 0 or len(x) == 0:
        raise UsageError("the data set is empty", allowed="at least one record", got=f"x of shape {x.shape}")
    if len(x) != len(y):
        raise UsageError("x and y differ in length", allowed=f"{len(x)} labels", got=f"{len(y)}")
    for name, part in {"x": x, "y": y}.items():
        if part.dtype.kind not in "iubf":
            raise UsageError(f"{name} does not hold real numbers", allowed="integers or floats", got=str(part.dtype))
    return Records(x, y, data, table)


def with_record(records: Records, x: Array, y: Array, replaced: int | None) -> tuple[Any, tuple[Any, Any]]:
    """The data with record (x, y) appended, or put in place of record `replaced`, and that record in its own kind.

    `x` and `y` already have the dtype of the data's numpy view; kind, dtype and device come out as they went in.
    """
    data = records.data
    if is_loader(data):
        made, record = with_record(replace(records, data=data.dataset), x, y, replaced)
        return reading(data, made), record
    if records.table is not None:
        return records.table.with_record(x, y, replaced)
    if isinstance(data, tuple):
        parts = [edit(part, value, replaced) for part, value in zip(data, (x, y), strict=True)]
        at = -1 if replaced is None else replaced
        made = type(data)._make(parts) if hasattr(data, "_make") else tuple(parts)
        return made, (parts[0][at], parts[1][at])
    if _is_tensor_data_set(data):
        made = type(data)(*(edit(part, value, replaced) for part, value in zip(data.tensors, (x, y), strict=True)))
        return made, made[-1 if replaced is None else replaced]
    from canaries._edited import Edited

    first = data[0]
    record = (as_kind(x, first[0]), as_kind(y, first[1]))
    return Edited(data, record, len(records) if replaced is None else replaced), record


def reading(loader: Any, dataset: Any) -> Any:
    """The same loader, or function that makes it, over `dataset`."""
    from canaries._loaders import LoaderFactory, rebuilt

    if isinstance(loader, LoaderFactory):
        return replace(loader, dataset=dataset)
    return rebuilt(loader, dataset)


def cast(values: ArrayLike, dtype: np.dtype[Any], what: str) -> Array:
    """`values` in `dtype`, integers rounded.

    Raises:
        UsageError: a value does not fit.
    """
    wide = np.asarray(values)
    if dtype.kind in "iub":
        whole = np.rint(wide)
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not np.all((whole >= low) & (whole <= high)):
            raise UsageError(f"{what} does not fit {dtype}", allowed=f"[{low}, {high}]", got=_extremes(wide))
        return np.asarray(whole.astype(dtype))
    with np.errstate(over="ignore"):
        narrow = np.asarray(wide.astype(dtype))
    if np.any(np.isfinite(wide) & ~np.isfinite(narrow)):
        raise UsageError(
            f"{what} overflows {dtype}", allowed=f"up to {float(np.finfo(dtype).max):.3g}", got=_extremes(wide)
        )
    return narrow


def _extremes(values: Array) -> str:
    return f"values from {float(values.min()):.4g} to {float(values.max()):.4g}"


def _is_tensor(thing: Any) -> bool:
    return hasattr(thing, "detach") and hasattr(thing, "cpu") and hasattr(thing, "dtype")


def _is_array(thing: Any) -> bool:
    return isinstance(thing, np.ndarray) or _is_tensor(thing)


def _is_data_set(data: Any) -> bool:
    plain = isinstance(data, (tuple, list, Mapping, str, bytes)) or _is_array(data)
    return not plain and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _is_tensor_data_set(data: Any) -> bool:
    return type(data).__name__ == "TensorDataset" and len(getattr(data, "tensors", ())) == 2


def to_numpy(thing: Any) -> Array:
    """An array or tensor, or a number, as a numpy array."""
    if not _is_tensor(thing):
        return np.asarray(thing)
    plain = thing.detach().cpu()
    if str(plain.dtype) == "torch.bfloat16":  # numpy has none; float32 holds it exactly
        plain = plain.float()
    return np.asarray(plain.numpy())


def _stack_items(data: Any) -> tuple[Array, Array]:
    items = [data[i] for i in range(len(data))]
    if not items:
        raise UsageError("the data set is empty", allowed="at least one record", got="none")
    if any(not isinstance(item, (tuple, list)) or len(item) != 2 for item in items):
        raise UsageError("items of this Dataset", allowed="(x, y) pairs", got=_shape_of(items[0]))
    try:
        x, y = (np.stack([to_numpy(item[i]) for item in items]) for i in (0, 1))
    except ValueError:
        raise UsageError(
            "records of this Dataset differ in shape", allowed="one shape for all", remedy="pad or crop them first"
        ) from None
    return x, y


def edit(part: Any, value: Array, replaced: int | None) -> Any:
    """An array or tensor with `value` appended, or in place of record `replaced`."""
    if not _is_tensor(part):
        if replaced is None:
            return np.concatenate([part, value[None]])
        edited = part.copy()
        edited[replaced] = value
        return edited
    import torch

    one = as_kind(value, part)
    if replaced is None:
        return torch.cat([part.detach(), one[None]])
    tensor = part.detach().clone()
    tensor[replaced] = one
    return tensor


def as_kind(value: Array, like: Any) -> Any:
    """`value` as a tensor, an array or a number of the dtype that `like` is."""
    if _is_tensor(like):
        import torch

        return torch.as_tensor(value.copy()).to(dtype=like.dtype, device=like.device)
    if isinstance(like, np.ndarray):
        return value.astype(like.dtype)
    return type(like)(value.item())  # a plain number, or numpy's


def _shape_of(data: Any) -> str:
    if isinstance(data, (tuple, list)):
        return f"{type(data).__name__} of {len(data)}: {', '.join(type(part).__name__ for part in data[:4])}"
    return type(data).__name__
