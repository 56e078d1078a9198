"""The likeliest way to break a claim: the worst case the claim allows, only louder."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.laws import laws_from_odds
from dpaudit.profiles import DPSGD, Gaussian, Profile

__all__ = ["LOUDNESS", "louder", "worst_case", "worst_case_law"]

Array = NDArray[np.float64]

LOUDNESS = np.array([1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 6.0, 12.0])
_LOUDEST_EXACT = 6.0  # beyond it a loss distribution of DP-SGD takes seconds
_RANKS = np.concatenate([np.linspace(1e-4, 0.02, 25), np.linspace(0.025, 0.975, 96), np.linspace(0.98, 1 - 1e-4, 25)])
_EPSILONS = np.concatenate([[0.0], np.geomspace(1e-3, 40, 1500)])


def louder(profile: Profile) -> Array:
    """(LOUDNESS, CELLS, 2) laws: the claim with its noise divided by each `LOUDNESS`.

    Of a profile that has no noise to divide the worst case's log likelihood ratio is multiplied instead.
    """
    match profile:
        case Gaussian(mu=mu):
            made = [laws_from_odds(worst_case(Gaussian(mu * a)), _RANKS) for a in LOUDNESS]
        case DPSGD(noise_multiplier=sigma, interval=interval):
            made = []
            for a in LOUDNESS:
                exact = min(a, _LOUDEST_EXACT)  # a coarser loss distribution will do: nothing rests on it but power
                less = replace(profile, noise_multiplier=sigma / exact, interval=max(interval, 0.004 * exact))
                made.append(laws_from_odds(a / exact * worst_case(less), _RANKS))
        case _:
            odds = worst_case(profile)
            made = [laws_from_odds(a * odds, _RANKS) for a in LOUDNESS]
    return np.stack(made)


def worst_case_law(profile: Profile) -> Array:
    """(CELLS, 2): the law of the pair of worlds that attains the profile everywhere."""
    return laws_from_odds(worst_case(profile), _RANKS)


def worst_case(profile: Profile) -> Array:
    """(ranks,): the log likelihood ratio at each rank, of the pair of worlds that attains the profile everywhere.

    With L that ratio, delta(eps) = P1(L > eps) - e^eps P0(L > eps) and so P0(L > eps) = -delta'(eps) e^-eps (Dong,
    Roth, Su 2019, Proposition 2.12, in other words); the mirror gives the ranks of negative L.
    """
    tails = []
    middle = (_EPSILONS[1:] + _EPSILONS[:-1]) / 2
    for delta in (profile.in_over_out(_EPSILONS), profile.out_over_in(_EPSILONS)):
        slope = np.minimum(np.diff(delta) / np.diff(_EPSILONS), 0.0)
        rarer = np.minimum.accumulate(np.clip(-slope * np.exp(-middle), 0.0, 1.0))
        likelier = np.minimum(1.0, np.interp(middle, _EPSILONS, delta) + np.exp(middle) * rarer)
        tails.append(np.minimum.accumulate((rarer + likelier) / 2))
    above, below = tails
    rank = np.maximum.accumulate(np.concatenate([below[::-1], 1 - above]))
    odds = np.concatenate([-middle[::-1], middle])
    return np.asarray(odds[np.minimum(np.searchsorted(rank, _RANKS), len(odds) - 1)])
