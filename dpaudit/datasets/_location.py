"""Location-30: which of 446 places 5010 Foursquare users of Bangkok visited, in 30 clusters."""

import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from dpaudit.datasets._files import corrupt, data_folder, require_digest
from dpaudit.datasets._pair import Pair
from dpaudit.errors import UsageError

ARCHIVE, MEMBER = "dataset_location.tgz", "bangkok"
ARCHIVES = f"{ARCHIVE} (member {MEMBER!r}), the Location data set published with membership-inference shadow models"
SHA256 = "2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718"
ROWS, FEATURES, CLASSES = 5010, 446, 30


def location(folder: str | os.PathLike[str] | None = None) -> Pair:
    """Location-30, the data set of Shokri et al. 2017 (shadow models).

    Args:
        folder: where dataset_location.tgz is, or its parent; default ``$DPAUDIT_DATA``.

    Returns:
        x, float32 (5010, 446) of 0 and 1, and y, int64 (5010,) in 0..29 (the published labels minus one).

    Raises:
        UsageError: no folder, a missing or damaged archive, or not the published content.
    """
    path = data_folder(folder, "location", ARCHIVES) / ARCHIVE
    content = read_member(path)
    pair = parse_location(content, path, rows=ROWS)
    require_digest(path, content, SHA256, ARCHIVES)
    return pair


def read_member(path: Path) -> bytes:
    """The csv inside the archive, read in memory: nothing is extracted to disk.

    Raises:
        UsageError: the archive is missing or damaged, or has no such member.
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing", allowed=ARCHIVES, got="no such file")
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise corrupt(path, f"member {MEMBER!r} is not a file", ARCHIVES)
            return member.read()
    except KeyError:
        raise corrupt(path, f"no member {MEMBER!r}", ARCHIVES) from None
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise corrupt(path, str(error), ARCHIVES) from None


def parse_location(content: bytes, path: Path, *, rows: int) -> Pair:
    """Rows of ``"label",0,1,...`` with labels from 1.

    Raises:
        UsageError: not numbers, another shape, or values outside their range.
    """
    lines = content.replace(b'"', b"").decode("latin-1").splitlines()
    if not lines:
        raise corrupt(path, "no rows", ARCHIVES)
    try:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise corrupt(path, str(error), ARCHIVES) from None
    if table.shape != (rows, FEATURES + 1):
        raise corrupt(path, f"a table of shape {table.shape}, not {(rows, FEATURES + 1)}", ARCHIVES)
    x, y = table[:, 1:], table[:, 0] - 1
    if not (np.isin(x, (0, 1)).all() and ((y >= 0) & (y < CLASSES)).all()):
        raise corrupt(path, "features other than 0 and 1, or labels outside 1..30", ARCHIVES)
    return x.astype(np.float32), y
