"""What a claim makes of the experts and of the laws a score may follow: the auditor's expectations before any trial.

Nothing here can make the test invalid. It decides where the bets go, and so how soon a false claim is refuted.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.experts import OUTCOMES, deltas, payoffs
from dpaudit.methods.betting.laws import CELLS, FAMILIES, SHIFTS, standing_laws
from dpaudit.methods.betting.louder import LOUDNESS, louder, worst_case_law
from dpaudit.methods.betting.portfolio import single_growth
from dpaudit.profiles import Profile

__all__ = ["Outlook", "outlook", "telling_epsilons"]

Array = NDArray[np.float64]

_SHARES = np.array([0.05, 0.08, 0.28, 0.05, 0.54])  # of the families, a priori
_MEDIAN_SHIFT, _SPREAD_SHIFT, _RARE = 1.5, 0.32, 0.002  # log-normal, in multiples of the least shift that breaks it
_MEDIAN_LOUDNESS, _SPREAD_LOUDNESS = 1.7, 0.4
_PERFECT = 0.3  # weight of the loudest, perfect scores: they are common (a canary far out) and settle it soonest
_GROWTH_LEVELS = np.array([1, 0.86, 0.72, 0.58, 0.45, 0.33, 0.23, 0.15, 0.09, 0.045, 0.02, 0.007, 0.002])
_EPSILONS = np.concatenate([np.linspace(0, 3, 601), np.linspace(3.01, 12, 900), np.linspace(12.1, 60, 480)])


@dataclass(frozen=True, eq=False)
class Outlook:
    """One claim's view of what may come.

    Attributes:
        epsilons: the eps' of the experts.
        payoffs: (experts, OUTCOMES).
        log_odds_of: (laws, 2 CELLS) ln P(coin | cell) of each law, cell-major.
        prior: (laws,) sum 1; half of it on laws that keep the claim.
        growth: (laws,) what the best single expert gains per trial if the law is known; 0: the law keeps the claim.
        normal_favour: log odds, a priori, of the normal view over the rank view: is the worst case nearly Gaussian?
        outlier_proof: by how many nats far outliers must have been foretold better by themselves than by their ranks.
    """

    epsilons: Array
    payoffs: Array
    log_odds_of: Array
    prior: Array
    growth: Array
    normal_favour: float
    outlier_proof: float

    @property
    def breaks(self) -> NDArray[np.bool_]:
        """(laws,): which laws break the claim."""
        return self.growth > 0

    @property
    def shift_prior(self) -> Array:
        """(2 SHIFTS,) the prior of the shifts alone, downwards and upwards."""
        upwards = self.prior[: len(SHIFTS)] / self.prior[: len(SHIFTS)].sum()
        return np.concatenate([upwards[::-1], upwards]) / 2

    @property
    def shift_growth(self) -> Array:
        """(2 SHIFTS,)."""
        return np.concatenate([self.growth[: len(SHIFTS)][::-1], self.growth[: len(SHIFTS)]])


@lru_cache(maxsize=256)
def outlook(profile: Profile) -> Outlook:
    """The outlook on a claim."""
    eps = telling_epsilons(profile)
    delta = deltas(profile, eps)
    paid = payoffs(delta, eps)
    standing, family = standing_laws()
    laws = np.concatenate([standing, louder(profile)])
    family = np.concatenate([family, np.full(len(LOUDNESS), FAMILIES - 1)])
    growth = _growth(laws, paid)
    conditional = np.log(laws / laws.sum(axis=2, keepdims=True)).reshape(len(laws), -1)
    worst, shifts = worst_case_law(profile), laws[: len(SHIFTS)]
    advantage = np.abs(worst[:, 1] - worst[:, 0]).sum()
    misfit = np.abs(worst - shifts).sum(axis=(1, 2)).min() / advantage if advantage > 1e-9 else 1.0
    skew = np.abs(delta[1] - delta[2]).max() / max(float(delta[0].max()), 1e-12)
    return Outlook(
        epsilons=eps,
        payoffs=paid,
        log_odds_of=conditional,
        prior=_prior(growth, family),
        growth=growth,
        normal_favour=2.0 if misfit < 0.15 else 0.0,
        outlier_proof=2.0 if skew > 0.1 else 0.0,
    )


def telling_epsilons(profile: Profile) -> Array:
    """Up to 13 eps' at which the profile falls to given fractions of delta(0), or to its floor."""
    delta = deltas(profile, _EPSILONS)[0]
    found = [_EPSILONS[np.argmax(delta <= max(level, delta[-1] + 1e-12))] for level in delta[0] * _GROWTH_LEVELS]
    return np.unique(found)


def _growth(laws: Array, paid: Array) -> Array:
    predicted = np.zeros((len(laws), OUTCOMES))
    predicted[:, 2 : 2 + 2 * CELLS] = laws.reshape(len(laws), -1)  # the outermost places are for outliers
    growth = single_growth(predicted, paid)
    return np.asarray(np.where(growth > 1e-7, growth, 0.0))


def _prior(growth: Array, family: NDArray[np.intp]) -> Array:
    """Half on laws that break the claim, not by much; half, evenly, on laws that keep it."""
    breaks = growth > 0
    known = np.flatnonzero(breaks[: len(SHIFTS)])
    likely = np.full(len(growth), _RARE)
    if len(known):  # how far from the claim, measured by the shift that would be as easy to refute
        log_growth = np.log(np.maximum(growth, 1e-30))
        alike = np.interp(log_growth, log_growth[known], np.log(SHIFTS[known]))
        likely += np.exp(-0.5 * ((alike - np.log(SHIFTS[known[0]] * _MEDIAN_SHIFT)) / _SPREAD_SHIFT) ** 2)
    last = family == FAMILIES - 1
    likely[last] = np.exp(-0.5 * (np.log(LOUDNESS / _MEDIAN_LOUDNESS) / _SPREAD_LOUDNESS) ** 2) + 0.01
    likely[np.flatnonzero(last)[-1]] += _PERFECT
    total = np.zeros(len(growth))
    for wanted in (np.where(breaks, likely, 0.0), (~breaks).astype(np.float64)):
        sums = np.bincount(family, wanted, FAMILIES)[family]
        spread = np.where(sums > 0, wanted / np.where(sums > 0, sums, 1.0) * _SHARES[family], 0.0)
        if spread.sum() > 0:
            total += spread / spread.sum()
    return np.asarray(total / total.sum())
