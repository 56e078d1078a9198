"""Scores of canaries that are sequences of tokens, by the trained language model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dpaudit.attacks.canary_records import Columns, model_of, outputs_of, records_of
from dpaudit.errors import UsageError
from dpaudit.neighbors import CanarySet
from dpaudit.release import Release

__all__ = ["TokenLosses"]

_IGNORED = -100  # torch's own ignore_index: padding


@dataclass(frozen=True)
class TokenLosses:
    """``token_loss``: MINUS the summed cross-entropy of a canary's tokens, in nats: its log-likelihood.

    The model gives (m, L, V) logits for the x of m canaries, whose y are the (m, L) tokens that were to be predicted;
    -100 marks padding, which does not count. How likely a sequence is anyway differs from canary to canary:
    ``Calibrated(TokenLosses(), references=1)`` subtracts what models say that saw none of them.

    Reference: Carlini, Liu, Erlingsson, Kos, Song 2019 ("The secret sharer"), log-perplexity.
    """

    def reference_masks(self, m: int) -> NDArray[np.bool_]:
        """No references."""
        return np.zeros((0, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release] = ()) -> Columns:
        """The one column.

        Raises:
            UsageError: a release that is no model of these sequences, or tokens that it has no output for.
        """
        x, y = records_of(canaries)
        if y.ndim != 2 or y.dtype.kind not in "iu":
            raise UsageError("tokens of the canaries", allowed="(m, L) integers", got=f"{y.shape} of {y.dtype}")
        logits = outputs_of(model_of(release), x)
        if logits.ndim != 3 or logits.shape[:2] != y.shape:
            allowed = f"({len(y)}, {y.shape[1]}, V): logits for every token of a sequence"
            raise UsageError("the model's outputs on the canaries", allowed=allowed, got=logits.shape)
        counted = y != _IGNORED
        if (y[counted] < 0).any() or (y[counted] >= logits.shape[2]).any():
            got = f"{y[counted].min()} to {y[counted].max()}"
            raise UsageError("a canary's token has no output", allowed=f"0 to {logits.shape[2] - 1}", got=got)
        at = np.where(counted, y, 0).astype(np.intp)[..., None]
        with np.errstate(all="ignore"):  # a diverged model overflows; its score is inf or NaN
            likely = np.take_along_axis(logits, at, axis=2)[..., 0] - logsumexp(logits, axis=2)
            return {"token_loss": np.where(counted, likely, 0.0).sum(axis=1)}
