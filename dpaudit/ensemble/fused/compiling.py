"""How the functions of this package are compiled, and kept from one process to the next."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from numba import njit

__all__ = ["digest", "entry", "inlined", "leaf"]

# Parts of the kernel. They own no memory, so numba shall count no references (`_nrt=False`): the atomic counting would
# be a third of the time of a small trial.
leaf: Any = njit(nogil=True, _nrt=False, error_model="numpy")  # type: ignore[call-overload]
inlined: Any = njit(nogil=True, _nrt=False, forceinline=True)  # type: ignore[call-overload]


def digest() -> int:
    """A digest of all sources of this package, for `entry`."""
    here = sorted(Path(__file__).parent.glob("*.py"))
    return int.from_bytes(blake2b(b"\0".join(path.read_bytes() for path in here), digest_size=7).digest(), "little")


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, so that later processes load it (seconds become milliseconds).

    The function must have `digest()` as a free variable: numba looks only at the file of the function itself, and
    would serve machine code of older versions of all the others; it does look at free variables. Where no cache
    folder can be written, every process compiles for itself.
    """
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder to cache in
        return njit(nogil=True)(function)
