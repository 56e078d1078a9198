"""What every data set returns."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pair: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]
"""``(x, y)``: float32 features of shape (n, ...) in [0, 1] and int64 labels of shape (n,).

A plain tuple and not a named one: canary recipes build D1 as a plain tuple, and both worlds are of one kind.
"""
