"""The worlds of the validity tests, and the judge.

Every test here audits a mechanism that keeps its claim exactly, hundreds of times, and counts false refutations. A
test fails iff that count is impossible at the nominal rate: P(Binomial(audits, alpha) >= count) <= 1e-6 (DECISIONS
15). So a valid method fails a test with probability at most 1e-6, the some 100 tests of the suite together with
probability at most 1e-4 over the choice of seeds; the seeds are fixed, and the suite passes always or never.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

from dpaudit.claim import Claim
from dpaudit.mechanisms import known

ALPHA = 0.05
AUDITS = {50: 3000, 200: 1500, 1000: 400}  # trials -> audits


class Noise:
    """Releases that ignore the data, at the strictest claim there is: (0, 0)."""

    def claim(self) -> Claim:
        return Claim(epsilon=0.0)

    def scores(self, included_mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(included_mask.shape)


class LeakyCoin:
    """(epsilon, delta)-DP exactly: with probability delta the bit is published, else randomized response."""

    def __init__(self, epsilon: float, delta: float) -> None:
        self.epsilon, self.delta = epsilon, delta

    def claim(self) -> Claim:
        return Claim(epsilon=self.epsilon, delta=self.delta)

    def scores(self, included_mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        truthful = rng.random(included_mask.shape) < 1 / (1 + np.exp(-self.epsilon))
        answer = np.where(truthful == included_mask, 1.0, -1.0)
        return np.where(rng.random(included_mask.shape) < self.delta, np.where(included_mask, 2.0, -2.0), answer)


MECHANISMS = {
    "noise": Noise(),
    "randomized response": known.RandomizedResponse(1.0),
    "leaky coin": LeakyCoin(1.0, 0.05),
    "laplace": known.Laplace(1.0),
    "gaussian": known.GaussianMechanism(1.0),
    "subsampled gaussian": known.SubsampledGaussian(noise_multiplier=0.6, sample_rate=0.3, steps=1),
}

DRESSINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda s: s,
    "rounded": lambda s: np.round(2 * s) / 2,
    "constant": lambda s: np.zeros_like(s),
    "nan for some": lambda s: np.where(s > 0.5, np.nan, s),
    "infinite for some": lambda s: np.where(s > 1, np.inf, np.where(s < -1, -np.inf, s)),
    "heavy tails": lambda s: np.sinh(20 * s),
    "upside down": lambda s: -s,
}


def play(mechanism, trials: int, audits: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(audits, trials) scores and coins."""
    rng = np.random.default_rng([seed, trials])
    coins = rng.random((audits, trials)) < 0.5
    return mechanism.scores(coins, rng), coins


def assert_valid(refuted: int, audits: int) -> None:
    """Not more false refutations than ALPHA can explain."""
    p = binomtest(refuted, audits, ALPHA, alternative="greater").pvalue
    assert p > 1e-6, f"{refuted} of {audits} true claims refuted at a nominal {ALPHA:.0%} (p = {p:.1e})"


def assert_broken(refuted: int, audits: int) -> None:
    """A rule that is known to be wrong is seen to be wrong: the same judge condemns it."""
    p = binomtest(refuted, audits, ALPHA, alternative="greater").pvalue
    assert p < 1e-6, f"only {refuted} of {audits} true claims refuted: this test no longer shows why the rule exists"
