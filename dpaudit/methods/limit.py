"""The information limit: how many trials any test needs, on average, if the truth is known."""

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence
from dpaudit.methods.betting.experts import BOTH, IN_ONLY, OUT_ONLY, deltas
from dpaudit.methods.betting.outlook import telling_epsilons
from dpaudit.methods.betting.portfolio import improve
from dpaudit.methods.betting.stakes import Stakes

__all__ = ["best_fixed_rule", "information_limit"]

Array = NDArray[np.float64]
_CELLS, _ROUNDS = 36, 500
_FRACTIONS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)


def information_limit(claim: Claim, p_in: Array, p_out: Array, *, confidence: float = 0.95) -> float:
    """Least expected number of trials until a test at `confidence` can refute a false claim: ln(1/alpha) / KL.

    KL is the divergence of the truth (coin and score) from the nearest law that keeps the claim. By duality it is
    the growth of the best portfolio of guesses (reverse information projection; Grunwald, de Heide, Koolen 2024),
    which is solved for here, on 36 cells of like likelihood ratio; the answer is about 1 % too large.

    Args:
        claim: the claim.
        p_in: (n,) probabilities of n outcomes with the canary in, sum 1.
        p_out: (n,) and out.
        confidence: in (0, 1).

    Returns:
        Trials, both worlds together; inf if the claim holds.
    """
    first, second = _cells(p_in, p_out)
    growth = _payoffs(claim, len(first))
    predicted = np.concatenate([first, second])[None] / 2
    weights = np.full((1, len(growth)), 1 / len(growth))
    weights = improve(weights, predicted, growth, _ROUNDS)
    gained = float((predicted * np.log(np.maximum(weights @ growth, 1e-300))).sum())
    return float(-np.log1p(-require_confidence(confidence)) / gained) if gained > 1e-9 else np.inf


def best_fixed_rule(claim: Claim, p_in: Array, p_out: Array) -> tuple[float, Array, Array]:
    """The single full guess that grows most: (log growth per trial, (n,) log factors with the canary in, and out).

    Over all pairs of thresholds on outcomes in the order given, both and one-sided, eps' and stakes.

    Args:
        claim: the claim.
        p_in: (n,) probabilities of n outcomes in order of their score.
        p_out: (n,).
    """
    n = len(p_in)
    eps = telling_epsilons(claim.profile)
    pays = Stakes(tuple(eps), _FRACTIONS).log_factors(claim.profile)
    above = [np.concatenate([np.cumsum(p[::-1])[::-1], [0.0]]) / 2 for p in (p_in, p_out)]
    most, best = 0.0, None
    for kind in (BOTH, IN_ONLY, OUT_ONLY):
        upper, lower = _thresholds(n, kind)
        right = above[0][upper] + (0.5 - above[1][lower])
        wrong = above[1][upper] + (0.5 - above[0][lower])
        chance = np.stack([right, wrong, 1 - right - wrong])
        for paid in pays[kind].reshape(-1, 3):
            growth = paid @ chance
            at = int(growth.argmax())
            if growth[at] > most:
                most, best = float(growth[at]), (upper[at], lower[at], paid)
    if best is None:
        return 0.0, np.zeros(n), np.zeros(n)
    place, (first, below, (right, wrong, abstains)) = np.arange(n), best
    says = [place >= first, place < below]
    return most, np.select(says, [right, wrong], abstains), np.select(says, [wrong, right], abstains)


def _thresholds(n: int, kind: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every pair (upper, lower) with which a guess of a kind says "in" from `upper` on and "out" below `lower`."""
    upper, lower = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    fits = (upper >= lower) & ((upper < n) != (kind == OUT_ONLY)) & ((lower > 0) != (kind == IN_ONLY))
    return upper[fits], lower[fits]


def _cells(p_in: Array, p_out: Array) -> tuple[Array, Array]:
    """At most 36 cells of like likelihood ratio."""
    if len(p_in) != len(p_out):
        raise UsageError("laws of different lengths", allowed="two of the same", got=f"{len(p_in)} and {len(p_out)}")
    order = np.argsort(np.log(p_in + 1e-300) - np.log(p_out + 1e-300), kind="stable")
    first, second = p_in[order], p_out[order]
    if len(first) <= _CELLS:
        return first, second
    cell = np.minimum((np.cumsum(first + second) / 2 * _CELLS).astype(int), _CELLS - 1)
    return np.asarray(np.bincount(cell, first, _CELLS)), np.asarray(np.bincount(cell, second, _CELLS))


def _payoffs(claim: Claim, cells: int) -> Array:
    """(experts, 2 cells): every pair of thresholds at every telling eps', and cash."""
    eps, place, rows = telling_epsilons(claim.profile), np.arange(cells), [np.ones((1, 2 * cells))]
    delta = deltas(claim.profile, eps)
    for upper in range(cells + 1):
        for lower in range(upper + 1):
            if upper == cells and lower == 0:
                continue
            kind = BOTH if upper < cells and lower > 0 else IN_ONLY if lower == 0 else OUT_ONLY
            says_in, says_out = place >= upper, place < lower
            right = np.concatenate([says_in, says_out])
            wrong = np.concatenate([says_out, says_in])
            stake = (1 / (np.exp(eps) + delta[kind]))[:, None]
            rows.append(1 + stake * (right - np.exp(eps)[:, None] * wrong - delta[kind][:, None]))
    return np.maximum(np.concatenate(rows), 0.0)
