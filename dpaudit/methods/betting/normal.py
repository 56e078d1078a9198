"""The normal view of a statistic: s | coin ~ N(m + (coin - 1/2) mu sigma, sigma^2), everything unknown.

Flat prior on m and ln sigma, the outlook's prior on mu, of either sign. A misfit costs power, never validity.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from dpaudit.methods.betting.experts import SIDE
from dpaudit.methods.betting.laws import SHIFTS

__all__ = ["SIGNED_SHIFTS", "Z_EDGES", "NormalPosterior", "NormalSums", "count_per_world", "predict", "probability_in"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FROM_MIDDLE = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.8, 3.2, 3.8])
Z_EDGES = np.concatenate([-_FROM_MIDDLE[:0:-1], _FROM_MIDDLE])
SIGNED_SHIFTS = np.concatenate([-SHIFTS[::-1], SHIFTS])
_NODES, _NODE_WEIGHTS = np.sqrt(3) * np.array([-1.0, 0.0, 1.0]), np.array([1, 4, 1]) / 6  # Gauss-Hermite
_HEAVIEST = 24  # nodes of (mu, sigma) kept for predictions: they hold nearly all the weight
_DOUBT, _EARLY_DOUBT = 1e-4, 0.1  # share of every prediction that says nothing; the second is divided by the trials
assert len(_FROM_MIDDLE) == SIDE


class Nodes(NamedTuple):
    """(..., nodes): weight, middle between the worlds, half their distance, spread of the next score."""

    weight: Array
    middle: Array
    half: Array
    spread: Array


class NormalPosterior(NamedTuple):
    """(audits, statistics, shifts, 3) weight, middle and sigma; (audits, statistics) usable and trials."""

    usable: Mask
    weight: Array
    middle: Array
    sigma: Array
    trials: Array

    def of(self, audits: NDArray[np.intp], statistics: NDArray[np.intp]) -> "NormalPosterior":
        """One statistic of each of some audits: the two leading axes become one."""
        at = audits, statistics
        return NormalPosterior(self.usable[at], self.weight[at], self.middle[at], self.sigma[at], self.trials[at])

    def heaviest(self) -> Nodes:
        """The nodes that matter."""
        shape = (*self.weight.shape[:-2], -1)
        half = (SIGNED_SHIFTS[:, None] * self.sigma / 2).reshape(shape)
        spread = (self.sigma * np.sqrt(1 + 1 / self.trials)[..., None, None]).reshape(shape)
        weight, middle = self.weight.reshape(shape), self.middle.reshape(shape)
        top = np.argpartition(-weight, _HEAVIEST - 1, axis=-1)[..., :_HEAVIEST]
        first = np.arange(0, weight.size, weight.shape[-1]).reshape(*weight.shape[:-1], 1)
        kept = [part.ravel()[first + top] for part in (weight, middle, half, spread)]
        return Nodes(kept[0] / kept[0].sum(axis=-1, keepdims=True), *kept[1:])


def count_per_world(seen: Mask, included: Mask) -> Array:
    """(2, audits, statistics), OUT first: how many of (audits, trials, statistics) are seen; coins (audits, trials)."""
    worlds = np.stack([~included, included], axis=1).astype(np.float64)
    return np.asarray((worlds @ seen.astype(np.float64)).transpose(1, 0, 2))


class NormalSums:
    """Running sums of (audits, statistics) scores per world, about each statistic's first score."""

    def __init__(self, audits: int, statistics: int) -> None:
        shape = (audits, statistics)
        self._origin = np.full(shape, np.nan)
        self._count, self._sum = np.zeros((2, *shape)), np.zeros((2, *shape))
        self._squares = np.zeros(shape)
        self._hopeless = np.zeros(shape, dtype=bool)  # infinite, or too large to be squared

    def add(self, values: Array, included: Mask) -> None:
        """(audits, trials, statistics) scores, NaN for none, and (audits, trials) coins."""
        seen = np.isfinite(values)
        self._hopeless |= np.isinf(values).any(axis=1)
        first = np.take_along_axis(values, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
        self._origin = np.where(np.isnan(self._origin) & seen.any(axis=1), first, self._origin)
        with np.errstate(over="ignore", invalid="ignore"):
            offset = np.where(seen, values - self._origin[:, None], 0.0)
            self._count += count_per_world(seen, included)
            for coin in (0, 1):
                self._sum[coin] += (offset * (included == coin)[..., None]).sum(axis=1)
            self._squares += (offset * offset).sum(axis=1)
            self._hopeless |= ~np.isfinite(self._squares)

    def posterior(self, shift_prior: Array) -> NormalPosterior:
        """Weights of (mu, sigma); per mu, sigma is integrated on three nodes about its mode."""
        n0, n1 = np.maximum(self._count, 1)
        trials = n0 + n1
        mean0, mean1 = self._sum[0] / n0, self._sum[1] / n1
        with np.errstate(over="ignore", invalid="ignore"):
            distance, pairs = mean1 - mean0, n0 * n1 / trials
            within = np.maximum(self._squares - n0 * mean0**2 - n1 * mean1**2, 0.0)
            total = within + pairs * distance**2
            usable = (
                (self._count >= 1).all(axis=0) & ~self._hopeless & (total > 1e-20 * self._squares) & (total > 1e-290)
            )
        total, within, distance = (
            np.where(usable, part, dull) for part, dull in ((total, 1), (within, 1), (distance, 0))
        )
        slope, degrees = (pairs * distance)[..., None] * SIGNED_SHIFTS, (trials - 1)[..., None]
        root = np.sqrt(slope**2 + 4 * degrees * total[..., None])
        mode = np.where(slope > 0, 2 * total[..., None] / (slope + root), (root - slope) / (2 * degrees))
        precision = degrees + total[..., None] / mode**2  # of ln sigma at its mode
        sigma = mode[..., None] * np.exp(_NODES / np.sqrt(precision)[..., None])
        scaled = _deep(distance) / sigma - SIGNED_SHIFTS[:, None]
        log_weight = (
            -_deep(trials - 1) * np.log(sigma)
            - 0.5 * (_deep(within) / sigma**2 + _deep(pairs) * scaled**2)
            + np.log(_NODE_WEIGHTS) + 0.5 * _NODES**2 - 0.5 * np.log(precision)[..., None]
        )  # fmt: skip
        with np.errstate(divide="ignore"):
            log_weight += np.log(shift_prior)[:, None]
        weight = np.exp(log_weight - log_weight.max(axis=(2, 3), keepdims=True))
        weight /= weight.sum(axis=(2, 3), keepdims=True)
        mean = np.where(usable, self._origin + self._sum.sum(axis=0) / trials, 0.0)
        middle = _deep(mean) - _deep((n1 - n0) / (2 * trials)) * SIGNED_SHIFTS[:, None] * sigma
        return NormalPosterior(usable, weight, middle, sigma, trials)


def _deep(values: Array) -> Array:
    return values[..., None, None]


def probability_in(nodes: Nodes, values: Array) -> Array:
    """P(in | score) for (audits, trials, statistics) scores and (audits, statistics, nodes); NaN for no score."""
    weight, middle, half, spread = (part[:, None] for part in nodes)
    logs = []
    for side in (half, -half):
        z = (values[..., None] - middle - side) / spread
        logs.append(np.log(weight + 1e-300) - np.log(spread) - 0.5 * z**2)
    most = np.maximum(logs[0].max(axis=-1), logs[1].max(axis=-1))[..., None]
    p_in, p_out = (np.exp(log - most).sum(axis=-1) for log in logs)
    return np.asarray(p_in / (p_in + p_out))


def predict(posterior: NormalPosterior) -> tuple[Array, Array, Array]:
    """(rows, PLACES, 2) probability of place and coin; (rows,) middle and scale that the places are measured by."""
    middle = (posterior.weight * posterior.middle).sum(axis=(1, 2))
    scale = np.exp((posterior.weight * np.log(posterior.sigma)).sum(axis=(1, 2)))
    weight, centre, half, spread = posterior.heaviest()
    edges = middle[:, None, None] + scale[:, None, None] * Z_EDGES[:, None]
    ends = np.zeros((len(middle), 1)), np.ones((len(middle), 1))
    worlds = []
    for side in (-half, half):
        below = (ndtr((edges - (centre + side)[:, None]) / spread[:, None]) * weight[:, None]).sum(axis=2)
        worlds.append(np.diff(np.concatenate([ends[0], below, ends[1]], axis=1), axis=1) / 2)
    predicted = np.stack(worlds, axis=2)
    doubt = _DOUBT + (_EARLY_DOUBT / posterior.trials)[:, None, None]
    return (1 - doubt) * predicted + doubt * predicted.sum(axis=2, keepdims=True) / 2, middle, scale
