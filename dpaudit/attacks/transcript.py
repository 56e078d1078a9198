"""Statistics of a white-box adversary who saw every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.transcript import Transcript

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TranscriptScores:
    """A few statistics of a `Transcript`; x_t is step t's projection on the first direction, in units of its bound C_t.

    * ``transcript_sum``: the sum of x_t; no constant needs to be known.
    * ``transcript_optimal``: sum_t ln(1 - q + q exp((2 x_t - 1) / (2 sigma^2))), the log-likelihood ratio of a Gaussian
      that is subsampled at rate q, where noise multiplier sigma and q are declared and other records have no part in
      the direction; the best score there is for the claimed mechanism.
    * ``transcript_max``: the largest x_t; a record that is not clipped, or counted twice, is one large step.
    * ``transcript_spread``: standard deviation of x_t over the steps; noise that is missing or the same in every step
      leaves the coins of the canary alone to see.
    * ``transcript_contrast``: with two directions or more, the sum of x_t on the first minus that on the second; noise
      that two leaves share cancels.
    * ``transcript_steps``: their number; steps that depend on the data.
    * ``clip_bound``: the last one, where it changed on the way.

    Of a single step, ``transcript_sum`` and ``transcript_contrast`` alone: the others say the same.

    Reference: Nasr, Songi, Thakurta, Papernot, Carlini 2021 ("Adversary instantiation"); Nasr et al. 2023 ("Tight
    auditing of differentially private machine learning"), the score of section 5.
    """

    name: ClassVar[str] = "transcript"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The statistics of one transcript.

        Raises:
            UsageError: the release is no transcript.
        """
        seen = release.value
        if not isinstance(seen, Transcript):
            raise UsageError("scores of a transcript", allowed="a Transcript", got=type(seen).__name__)
        with np.errstate(all="ignore"):
            return _scores(seen)


def _scores(seen: Transcript) -> dict[str, float]:
    x = seen.units
    first = x[:, 0] if x.shape[1] else np.full(len(x), np.nan)
    row = {"transcript_sum": float(first.sum())}
    if x.shape[1] > 1:
        row["transcript_contrast"] = float((x[:, 0] - x[:, 1]).sum())
    if seen.steps == 1:
        return row
    if seen.noise_multiplier and seen.sample_rate is not None:
        row["transcript_optimal"] = float(likelihood_ratio(first, seen.noise_multiplier, seen.sample_rate).sum())
    row["transcript_max"] = float(first.max(initial=-np.inf))
    row["transcript_spread"] = float(first.std()) if seen.steps else np.nan
    row["transcript_steps"] = float(seen.steps)
    if seen.steps and np.ptp(seen.clip_bounds) > 0:
        row["clip_bound"] = float(seen.clip_bounds[-1])
    return row


def likelihood_ratio(x: Floats, noise_multiplier: float, sample_rate: float) -> Floats:
    """ln(1 - q + q exp((2 x - 1) / (2 sigma^2))), elementwise and without overflow; x in units of the bound."""
    inside = np.log(sample_rate) + (2 * x - 1) / (2 * noise_multiplier**2)
    return np.asarray(np.logaddexp(np.log1p(-sample_rate) if sample_rate < 1 else -np.inf, inside))


def canary_scores(transcript: Any) -> Floats:
    """(m,) scores of the m canaries of ONE training whose directions are the transcript's columns.

    The optimal score of each where the constants are declared, else the sum of its projections. Higher means more
    likely included. They are dependent: ``dpa.Scores.one_run(scores=, included_mask=)``.

    Raises:
        UsageError: not a transcript.
    """
    if not isinstance(transcript, Transcript):
        raise UsageError("scores of canaries", allowed="a Transcript", got=type(transcript).__name__)
    x = transcript.units
    if transcript.noise_multiplier and transcript.sample_rate is not None:
        with np.errstate(all="ignore"):
            x = likelihood_ratio(x, transcript.noise_multiplier, transcript.sample_rate)
    return np.asarray(x.sum(axis=0))
