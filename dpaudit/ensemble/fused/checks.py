"""What must hold before the kernel, which checks nothing, is let loose on memory."""

from typing import Any

import numpy as np

from dpaudit.ensemble.fused.plan import CROSS_ENTROPY, Stack
from dpaudit.errors import UsageError

__all__ = ["check_pool", "check_shape"]


def check_pool(x: Any, y: Any, stack: Stack, loss: int) -> None:
    """Refuse records and labels that do not fit the stack.

    Raises:
        UsageError: they do not.
    """
    inputs, outputs = int(stack.sizes[0]), int(stack.sizes[-1])
    if np.ndim(x) != 2 or x.shape[1] != inputs:
        raise UsageError("records", allowed=f"an array (n, {inputs})", got=np.shape(x))
    n = len(x)
    if loss == CROSS_ENTROPY:
        whole = np.issubdtype(np.asarray(y).dtype, np.integer)
        if not whole or np.shape(y) != (n,) or (n and not 0 <= int(y.min()) <= int(y.max()) < outputs):
            soft = np.ndim(y) == 2 and not whole
            raise UsageError(
                "labels of cross_entropy in the fused kernel",
                allowed=f"({n},) whole numbers in [0, {outputs})",
                got=f"{np.asarray(y).dtype} {np.shape(y)}",
                remedy="kernel='torch', which takes soft labels" if soft else None,
            )
    elif np.size(y) != n * outputs:
        raise UsageError("targets", allowed=f"({n}, {outputs}) numbers", got=np.shape(y))


def check_shape(name: str, array: Any, *allowed: tuple[int, ...]) -> None:
    """Refuse an array of another shape; None is not given and passes.

    Raises:
        UsageError: it has another shape.
    """
    if array is not None and np.shape(array) not in allowed:
        raise UsageError(f"shape of {name}", allowed=" or ".join(map(str, allowed)), got=np.shape(array))
