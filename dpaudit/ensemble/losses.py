"""Derivative of a record's loss by the outputs of the model; the loss itself is not needed to train."""

from typing import Literal

import torch
from torch import Tensor

from dpaudit.ensemble.pool import Pool
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

Loss = Literal["cross_entropy", "mse"]
_SUM_WITHIN = 1e-4


def check(loss: Loss, pool: Pool, outputs: tuple[int, ...]) -> None:
    """Refuses targets that do not fit the outputs of the model.

    Raises:
        UsageError: wrong kind, range or shape of targets.
    """
    if len(outputs) != 1:
        raise UsageError(
            "outputs of the model", allowed="one vector per record", got=outputs, remedy="end the stack with nn.Flatten"
        )
    y = pool.y
    if loss == "cross_entropy":
        wrong = _wrong_labels(y, outputs[0])
        if wrong is not None:
            raise UsageError(
                "labels of cross_entropy",
                allowed=f"integers in [0, {outputs[0]}), one per record, "
                f"or rows of {outputs[0]} probabilities that sum to 1 (soft labels)",
                got=wrong,
            )
    elif not y.is_floating_point() or tuple(y.shape[1:] or (1,)) != outputs:
        raise UsageError(
            "targets of mse", allowed=f"floats of shape (n, {outputs[0]})", got=f"{y.dtype} {tuple(y.shape)}"
        )


def backprop(loss: Loss, z: Tensor, y: Tensor, scratch: Scratch) -> Tensor:
    """dloss_i / dz_i for each record, (M, W, K), not divided by the size of any batch.

    Args:
        loss: which one.
        z: (M, W, K) outputs.
        y: (M, W) labels or (M, W) or (M, W, K) targets; of cross_entropy (M, W, K) are soft labels.
        scratch: buffers.
    """
    inner = z.transpose(1, 2)  # the memory of a linear layer is (M, K, W)
    out = scratch.get("loss", tuple(inner.shape))
    if loss == "cross_entropy":
        torch.softmax(inner, dim=1, out=out)
        if y.ndim == 3:  # d/dz of -sum_c y_c ln p_c is p sum_c y_c - y, and soft labels sum to 1
            out.sub_(y.transpose(1, 2))
        else:
            out.scatter_add_(1, y[:, None, :], scratch.filled(-1.0, (len(y), 1, y.shape[1])))
    else:
        target = y[:, None, :] if y.ndim == 2 else y.transpose(1, 2)
        torch.sub(inner, target, out=out).mul_(2.0 / inner.shape[1])
    return out.transpose(1, 2)


def _wrong_labels(y: Tensor, classes: int) -> str | None:
    """What is wrong with labels of cross_entropy, hard or soft; None if nothing is."""
    told = f"{y.dtype} {tuple(y.shape)}"
    if not y.is_floating_point():
        fits = y.ndim == 1 and bool((y >= 0).all()) and bool((y < classes).all())
        return None if fits else f"{told}, from {y.min().item()} to {y.max().item()}"
    if tuple(y.shape[1:]) != (classes,):
        return told
    sums = y.double().sum(dim=1)
    # float32 probabilities sum to 1 within some 1e-7 a class; NaN fails both comparisons
    apart = ~((y >= 0).all(dim=1) & ((sums - 1).abs() <= _SUM_WITHIN))
    count = int(apart.sum())
    return f"{told}, {count} rows that are no probabilities" if count else None
