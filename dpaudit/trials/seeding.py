"""The global random state a mechanism starts from, and one torch thread."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def heavy_modules() -> frozenset[str]:
    """Which of the modules with a random state of their own are loaded."""
    return frozenset({"torch", "opacus"} & sys.modules.keys())


def seed_everything(seed: int) -> None:
    """Seed `random`, numpy's global generator and, if it is loaded, torch (all devices).

    Args:
        seed: in [0, 2^32).
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the user's training function may draw from the global generator
    torch = _torch()
    if torch is not None:
        torch.manual_seed(seed)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """One torch thread inside the block: with more, sums and so releases depend on the machine's load.

    In a worker this costs nothing after the first trial; in the user's own process the setting is put back.
    """
    torch = _torch()
    before = 1 if torch is None else int(torch.get_num_threads())
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch() -> Any:
    """Torch if it is loaded completely, else None; never imports it."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "manual_seed") and hasattr(torch, "set_num_threads") else None
