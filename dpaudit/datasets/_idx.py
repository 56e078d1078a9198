"""The IDX format of the MNIST family: two zero bytes, a type code, the number of axes, the axes, the data."""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpaudit.datasets._files import corrupt

UNSIGNED_BYTE = 0x08


def parse_idx(content: bytes, path: Path, *, shape: tuple[int, ...], archives: str) -> NDArray[np.uint8]:
    """The array in `content`, which must be uint8 of exactly this `shape`.

    Raises:
        UsageError: another magic number, another shape, or bytes missing or left over.
    """
    magic = bytes((0, 0, UNSIGNED_BYTE, len(shape)))
    header = 4 + 4 * len(shape)
    if content[:4] != magic:
        raise corrupt(path, f"magic bytes {content[:4].hex()}, not {magic.hex()}", archives)
    if len(content) < header:
        raise corrupt(path, "the header ends early", archives)
    found = struct.unpack(f">{len(shape)}I", content[4:header])
    if found != shape:
        raise corrupt(path, f"shape {found}, not {shape}", archives)
    if len(content) - header != math.prod(shape):
        raise corrupt(path, f"{len(content) - header} bytes of data, not {math.prod(shape)}", archives)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
