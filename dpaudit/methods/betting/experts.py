"""Experts: the full-stake guesses a portfolio is made of, and what each pays under a claim.

A score falls into one of 36 places, 18 on either side of a middle. An expert is (pattern, eps'): a pattern says "in"
from some place upwards and "out" from its mirror image downwards, or only one of the two. Under a claim with profile
d (the mean of both directions for a pattern that says both, half of one direction for a pattern that says one) it pays

    right 1 + f (1 - d)/(e^eps' + d),    wrong 1 - f,    abstain 1 - f d/(e^eps' + d),    f = .999,

with mean at most 1 over the fair coin. Hence so has every convex combination of experts and cash (which pays 1) that
is fixed before the trial: a factor of a wealth that no true claim lets grow. Every payoff decreases in d.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.profiles import Profile

__all__ = [
    "ABSTAINED",
    "BOTH",
    "IN_ONLY",
    "LOST",
    "OUTCOMES",
    "OUT_ONLY",
    "PLACES",
    "SIDE",
    "deltas",
    "patterns",
    "payoffs",
]

Array = NDArray[np.float64]

STAKE = 0.999
SIDE = 18
PLACES = 2 * SIDE
OUTCOMES = 2 * PLACES + 2  # 2 place + coin; no score; lost by the harness
ABSTAINED, LOST = 2 * PLACES, 2 * PLACES + 1
BOTH, IN_ONLY, OUT_ONLY = 0, 1, 2  # which worlds a pattern ever guesses; decides which delta it pays


class Patterns(NamedTuple):
    """Right and wrong (patterns, OUTCOMES) as 0/1, and which worlds each ever guesses (patterns,)."""

    right: Array
    wrong: Array
    guesses: NDArray[np.intp]


@lru_cache(maxsize=1)
def patterns() -> Patterns:
    """All patterns: three kinds, 18 thresholds each. A lost trial is wrong for every one, even if it abstains."""
    place, coin = np.arange(PLACES), np.array([0, 1])
    right, wrong, guesses = [], [], []
    for kind in (BOTH, IN_ONLY, OUT_ONLY):
        for t in range(SIDE):
            says_in = ((place >= SIDE + t) & (kind != OUT_ONLY))[:, None]
            says_out = ((place < SIDE - t) & (kind != IN_ONLY))[:, None]
            hits, misses = (
                says_in & (coin == 1) | says_out & (coin == 0),
                says_in & (coin == 0) | says_out & (coin == 1),
            )
            right.append([*hits.ravel(), False, False])
            wrong.append([*misses.ravel(), False, True])
            guesses.append(kind)
    return Patterns(np.array(right, dtype=np.float64), np.array(wrong, dtype=np.float64), np.array(guesses))


def deltas(profile: Profile, epsilons: Array) -> Array:
    """(3, epsilons): the delta that a pattern of each kind pays at each eps'."""
    d_in, d_out = profile.in_over_out(epsilons), profile.out_over_in(epsilons)
    return np.stack([(d_in + d_out) / 2, d_in / 2, d_out / 2])


def payoffs(delta: Array, epsilons: Array) -> Array:
    """(experts, OUTCOMES): cash first, then patterns x epsilons; `delta` as from `deltas`."""
    right, wrong, guesses = patterns()
    growth = np.exp(epsilons)
    stake = (STAKE / (growth + delta))[guesses]
    net = right[:, None] - growth[:, None] * wrong[:, None] - delta[guesses][:, :, None]
    return np.concatenate([np.ones((1, OUTCOMES)), (1 + stake[:, :, None] * net).reshape(-1, OUTCOMES)])
