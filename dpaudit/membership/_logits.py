"""Logits, and the probabilities and signals that follow from them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dpaudit.membership.reading import of_logits
from dpaudit.membership.signals import Signals


def log_probabilities(logits: Any) -> NDArray[np.float64]:
    """Logarithms of the softmax over the last axis, float64."""
    given = np.asarray(logits, dtype=np.float64)
    logs: NDArray[np.float64] = given - logsumexp(given, axis=-1, keepdims=True)
    return logs


def signals_of_logits(
    logits: Any,
    labels: NDArray[np.int64],
    members: NDArray[np.bool_],
    population: NDArray[np.bool_] | None = None,
) -> Signals:
    """Signals of (M, R, C) logits, with the outputs kept."""
    given = np.asarray(logits, dtype=np.float64)
    losses, margins = of_logits(given, labels[None])
    return Signals(losses, members, labels, margins, given.astype(np.float32), population)
