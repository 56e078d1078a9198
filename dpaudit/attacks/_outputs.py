"""What a released model says about the canary: one row of log scores, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks._canary import Canary
from dpaudit.attacks._inputs import batch_of, rows_for
from dpaudit.attacks._torch import as_batch, evaluating
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, is_tensor

Row = NDArray[np.float64]


def output_row(module: Any, canary: Canary) -> Row:
    """A module's output on the canary, evaluation mode, no gradient: (k,) float64.

    Raises:
        UsageError: the output is not one tensor with one row.
    """
    import torch

    with torch.no_grad(), evaluating(module) as plain:
        output = plain(as_batch(plain, canary.x))
    if not is_tensor(output) or output.ndim == 0 or output.shape[0] != 1:
        got = f"shape {tuple(output.shape)}" if is_tensor(output) else type(output).__name__
        raise UsageError(
            "the model's output on one record",
            allowed="a tensor of shape (1, k)",
            got=got,
            remedy="loss=, or own Attack",
        )
    row: Row = output.detach().cpu().to(torch.float64).numpy().ravel()
    return row


def class_scores(model: Any, canary: Canary) -> tuple[Row, int]:
    """Log scores of the classes up to a constant, (k,) float64, and the position of the canary's label.

    Outputs of a module are logits (log-probabilities will do; a single output is the logit of class 1), those of an
    object with ``predict_proba`` are probabilities, placed by its ``classes_`` where it has them. A label that such an
    object never saw has probability 0.

    Raises:
        UsageError: no class label, or a label that the model has no output for.
    """
    if is_module(model):
        row, position = output_row(model, canary), canary.label
        row = np.array([0.0, row[0]]) if row.size == 1 else row
    else:
        row, position = _log_probabilities(model, canary)
    if not 0 <= position < row.size:
        raise UsageError(
            "the canary's label has no output", allowed=f"0 to {row.size - 1}", got=canary.name or canary.label
        )
    return row, position


def _log_probabilities(model: Any, canary: Canary) -> tuple[Row, int]:
    batch = rows_for(model, batch_of(canary.x))
    with np.errstate(divide="ignore", invalid="ignore"):
        row = np.log(np.asarray(model.predict_proba(batch), dtype=np.float64).ravel())
    classes = getattr(model, "classes_", None)
    if classes is None:
        return row, canary.label
    where = np.flatnonzero(np.asarray(classes) == (canary.label if canary.name is None else canary.name))
    return (row, int(where[0])) if where.size else (np.append(row, -np.inf), row.size)
