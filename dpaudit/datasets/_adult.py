"""UCI Adult (census income), encoded with public constants only.

Scales and categories are written down here and never taken from the records: a range learned from the data
would let one canary move every other record, and D0 and D1 would no longer be neighbours.
"""

import csv
import os
from pathlib import Path

import numpy as np

from dpaudit.datasets._files import corrupt, data_folder, read_file, require_digest
from dpaudit.datasets._pair import Pair

ARCHIVES = "adult.data.gz and adult.test.gz (or the plain files), Adult from the UCI Machine Learning Repository"
FILES = {  # train? -> name, rows, sha256 of the decompressed file
    True: ("adult.data", 32561, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
    False: ("adult.test", 16281, "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"),
}
FIELDS = 15
LABELS = {"<=50K": 0, ">50K": 1}
SCALES = {  # field -> (position, divisor that maps the documented range into [0, 1])
    "age": (0, 100),
    "education-num": (4, 16),
    "capital-gain": (10, 99999),
    "capital-loss": (11, 5000),
    "hours-per-week": (12, 100),
}
CATEGORIES = {  # field -> (position, values in the order of adult.names)
    "workclass": (
        1,
        "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked",
    ),
    "marital-status": (
        5,
        "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent Married-AF-spouse",
    ),
    "occupation": (
        6,
        "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners "
        "Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv "
        "Armed-Forces",
    ),
    "relationship": (7, "Wife Own-child Husband Not-in-family Other-relative Unmarried"),
    "race": (8, "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black"),
    "sex": (9, "Female Male"),
    "native-country": (
        13,
        "United-States Cambodia England Puerto-Rico Canada Germany Outlying-US(Guam-USVI-etc) India Japan "
        "Greece South China Cuba Iran Honduras Philippines Italy Poland Jamaica Vietnam Mexico Portugal "
        "Ireland France Dominican-Republic Laos Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua "
        "Scotland Thailand Yugoslavia El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands",
    ),
}
MISSING = "?"
ADULT_COLUMNS = (
    *SCALES,
    *(f"{field}={value}" for field, (_, values) in CATEGORIES.items() for value in values.split()),
)
"""Names of the 88 columns of `adult`, in order."""


def adult(folder: str | os.PathLike[str] | None = None, *, train: bool = True) -> Pair:
    """UCI Adult: does a person of the 1994 census earn more than 50K a year?

    Five numbers divided by public constants (age / 100, education-num / 16, capital-gain / 99999,
    capital-loss / 5000, hours-per-week / 100), then seven fields one-hot; a missing value ("?") is all zeros
    in its field. Left out: fnlwgt (a survey weight) and education (education-num in words).
    `ADULT_COLUMNS` names the columns.

    Args:
        folder: where adult.data.gz and adult.test.gz are, or its parent; default ``$DPAUDIT_DATA``.
        train: the 32561 training rows, or the 16281 test rows.

    Returns:
        x, float32 (n, 88) in [0, 1], and y, int64 (n,): 1 for more than 50K.

    Raises:
        UsageError: no folder, a missing or damaged file, or not the published content.
    """
    name, rows, digest = FILES[train]
    where = data_folder(folder, "adult", ARCHIVES)
    path, content = read_file(where, name, ARCHIVES)
    pair = parse_adult(content, path, rows=rows)
    require_digest(path, content, digest, ARCHIVES)
    return pair


def parse_adult(content: bytes, path: Path, *, rows: int) -> Pair:
    """Encode the comma-separated rows; the test file opens with a comment and ends its labels in a full stop.

    Raises:
        UsageError: another number of rows, an unknown category or label, or something that is not a number.
    """
    lines = (line for line in content.decode("latin-1").splitlines() if line and not line.startswith("|"))
    try:
        records = list(csv.reader(lines, skipinitialspace=True))
    except csv.Error as error:
        raise corrupt(path, str(error), ARCHIVES) from None
    if len(records) != rows:
        raise corrupt(path, f"{len(records)} rows, not {rows}", ARCHIVES)
    column = {name: i for i, name in enumerate(ADULT_COLUMNS)}
    x = np.zeros((rows, len(ADULT_COLUMNS)), np.float32)
    y = np.zeros(rows, np.int64)
    for i, record in enumerate(records):
        if len(record) != FIELDS:
            raise corrupt(path, f"row {i} has {len(record)} fields, not {FIELDS}", ARCHIVES)
        try:
            y[i] = LABELS[record[-1].rstrip(".")]
            for field, (position, divisor) in SCALES.items():
                x[i, column[field]] = float(record[position]) / divisor
            for field, (position, _) in CATEGORIES.items():
                if record[position] != MISSING:
                    x[i, column[f"{field}={record[position]}"]] = 1
        except (KeyError, ValueError) as error:
            raise corrupt(path, f"row {i} cannot be read: {error}", ARCHIVES) from None
    return x, y
