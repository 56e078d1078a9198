"""One outcome as one row of the ledger, and back."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dpaudit.errors import AuditError
from dpaudit.trials.trial import Outcome, Status, Trial

Row = tuple[Any, ...]


def to_row(outcome: Outcome, names: Sequence[str], *, after_stop: bool) -> Row:
    """In the order of the table's columns; statistics as little-endian float64 in the order of `names`."""
    trial, values = outcome.trial, b""
    if outcome.status is Status.OK:
        statistics = [outcome.statistics.get(name, math.nan) for name in names]
        values = np.asarray(statistics, dtype="<f8").tobytes()
    return (
        trial.index,
        int(trial.included),
        trial.seed,
        str(outcome.status),
        outcome.error,
        outcome.trace,
        outcome.seconds,
        values,
        outcome.digest,
        int(after_stop),
        json.dumps(outcome.notices),
    )


def from_row(row: Sequence[Any], names: Sequence[str]) -> Outcome:
    """The inverse of `to_row`.

    Raises:
        AuditError: the row is damaged.
    """
    index, included, seed, status, error, trace, seconds, values, digest, _, notices = row
    try:
        ended = Status(status)
        numbers = np.frombuffer(values, dtype="<f8").tolist()
        return Outcome(
            Trial(index, bool(included), seed),
            ended,
            dict(zip(names, numbers, strict=True)) if ended is Status.OK else {},
            error,
            trace,
            seconds,
            digest,
            tuple((str(text), int(count)) for text, count in json.loads(notices)),
        )
    except (ValueError, TypeError):
        raise AuditError(f"the ledger is damaged: trial {index} cannot be read") from None
