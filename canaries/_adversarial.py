"""A record whose gradient goes where those of other records do not."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canaries._data import Array, Records, read_records
from canaries._features import typical_norm
from canaries._labels import label_for, shown
from canaries._neighbors import neighbors_with
from canaries._rows import whole
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors

if TYPE_CHECKING:
    from torch import Tensor

    from canaries._per_sample import PerSample

_SAMPLE = 256  # records whose gradients span what is to be avoided
_ENERGY = 0.99  # share of their squared length that is avoided
_LABELS = 20  # tried at most


def adversarial(
    data: Any,
    model: Any,
    *,
    label: ArrayLike | None = None,
    steps: int = 100,
    norm: float | None = None,
    loss: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
    replaced: int | None = None,
) -> Neighbors:
    """A record crafted by gradient ascent on a surrogate model.

    With g the gradient of the record's loss and V the directions that hold 99 % of the squared length of 256 records'
    gradients, it maximises |g - V V^T g|^2 over records no longer than `norm`: what no other record's gradient hides,
    and what survives a clipped sum.

    Args:
        data: of any kind that `canaries` lists, such as an (x, y) pair of arrays; handed on in the same kind.
        model: the surrogate, a torch module; the public start itself serves best. Read in evaluation mode, not changed.
        label: its label (or target); None is the label with which that maximum is largest.
        steps: of Adam, from a random record; 0 for that record.
        norm: largest Euclidean norm of the record; None is the median norm of the data.
        loss: the model's own, ``loss(output, y)`` with a batch of one; None is cross-entropy or mean squared error.
        seed: of the first record and of the 256.
        adjacency: ADD_OR_REMOVE_ONE appends the canary, REPLACE_ONE exchanges a record for it.
        replaced: REPLACE_ONE only: which record goes; None is the last.

    Raises:
        UsageError: no torch module, one that does not take these records, a setting out of its range.
    """
    records = read_records(data)
    turns = whole("steps of the ascent", steps, least=0)
    longest = typical_norm(records) if norm is None else float(norm)
    if not 0 < longest < np.inf:
        raise UsageError("norm of the canary", allowed="(0, inf)", got=norm)
    gradients = _gradients_of(model, loss)
    labels = [label_for(records, one) for one in (_labels(records) if label is None else [label])]
    try:
        x, y = _ascend(records, gradients, labels, turns, longest, seed)
    except UsageError:
        raise
    except Exception as error:  # the user's model and loss may raise anything
        told = " ".join(str(error).split())[:200]
        raise UsageError(
            "the surrogate model does not take these records",
            allowed="a module with (1, k) outputs for a batch of one, in evaluation mode",
            got=f"{type(error).__name__}: {told}",
            remedy="loss=, or another recipe",
        ) from error
    return neighbors_with(
        records,
        _fitted(x, records.x.dtype),
        y,
        name="adversarial",
        params={"label": shown(y), "steps": turns, "norm": longest, "seed": seed},
        adjacency=adjacency,
        replaced=replaced,
    )


def _gradients_of(model: Any, loss: Callable[[Any, Any], Any] | None) -> "PerSample":
    from torch import nn

    from canaries._per_sample import PerSample

    if not isinstance(model, nn.Module) or not any(p.is_floating_point() for p in model.parameters()):
        raise UsageError("the surrogate model", allowed="a torch.nn.Module with weights", got=type(model).__name__)
    return PerSample(copy.deepcopy(model).eval(), loss)


def _labels(records: Records) -> list[Any]:
    if not records.labelled or int(np.prod(records.y.shape[1:])) != 1:
        return [None]  # `label_for` says what is missing
    found, counts = np.unique(records.y, return_counts=True)
    return [records.label_of(one) for one in found[np.argsort(counts, kind="stable")][:_LABELS]]


def _ascend(
    records: Records, gradients: "PerSample", labels: list[Array], steps: int, longest: float, seed: int
) -> tuple[NDArray[np.float64], Array]:
    """The best record, (record shape) float64, and its label."""
    import torch

    rng, like = np.random.default_rng(seed), gradients.like
    some = rng.permutation(len(records))[:_SAMPLE]
    first = _within(rng.normal(size=(1, *records.x.shape[1:])), longest).repeat(len(labels), axis=0)

    def on_device(part: Array, dtype: Any) -> "Tensor":
        return torch.as_tensor(np.ascontiguousarray(part)).to(like.device, dtype)

    answers = None if records.labelled else like.dtype
    x = on_device(first, like.dtype).requires_grad_()
    y, others = (on_device(part, answers) for part in (np.stack(labels), records.y[some]))
    used = _span(gradients(on_device(records.x[some], like.dtype), others))
    optimizer = torch.optim.Adam([x], lr=longest / 30, maximize=True)
    for _ in range(steps):
        optimizer.zero_grad()
        _unused(gradients(x, y), used).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            x.mul_((longest / x.flatten(1).norm(dim=1)).clamp(max=1.0).view(-1, *[1] * (x.ndim - 1)))
    with torch.no_grad():
        reached = _unused(gradients(x, y), used).nan_to_num(nan=-1.0)
    best = int(reached.argmax())
    return np.asarray(x[best].detach().cpu().double().numpy()), labels[best]


def _within(x: Array, longest: float) -> Array:
    return np.asarray(x * (longest / np.linalg.norm(x)))


def _span(rows: "Tensor") -> "Tensor":
    """(k, P) orthonormal directions with 99 % of the squared length of `rows` (m, P)."""
    import torch

    wide = rows.double()
    squares, vectors = (part.flip(-1) for part in torch.linalg.eigh(wide @ wide.T))  # far smaller than an SVD
    energy = squares.cumsum(0) / squares.sum().clamp(min=1e-300)
    kept = int((energy < _ENERGY).sum()) + 1
    directions: Tensor = vectors[:, :kept].T @ wide / squares[:kept, None].clamp(min=1e-300).sqrt()
    return directions.to(rows.dtype)


def _unused(rows: "Tensor", used: "Tensor") -> "Tensor":
    """(B,) squared length of `rows` (B, P) outside the span of `used` (k, P)."""
    return ((rows - (rows @ used.T) @ used) ** 2).sum(dim=1)


def _fitted(x: NDArray[np.float64], dtype: np.dtype[Any]) -> Array:
    if dtype.kind not in "iub":
        return x
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.clip(np.rint(x), low, high)
