"""How many canaries of one run to guess: chosen before the training, for a suspect with half the claimed noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.methods.guessing import FixedK, Guesses
from dpaudit.methods.one_run_combined import fisher
from dpaudit.methods.one_run_fdp import OneRunFDP
from dpaudit.methods.one_run_method import OneRunMethod

__all__ = ["SHARES", "HalfTheNoise", "planned_k"]

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Of the canaries, guessed in; as many are guessed out."""

_MOST_DRAWS = 2_000_000
_LOUDEST = 16.0  # mu of a claim that promises next to nothing
_DELTA = 1e-5
_WORTH_WHILE = 0.2


@dataclass(frozen=True)
class HalfTheNoise:
    """m ideal canaries that do not interfere, each seen through half the Gaussian noise that the claim allows.

    The signal of one canary is twice the mu of the Gaussian mechanism that has the claim's epsilon at its delta
    (1e-5 for a claim quoted at delta 0). A planning model: no statement rests on it.

    Args:
        claim: what is claimed.
        m: canaries in a run.
    """

    claim: Claim
    m: int

    @property
    def mu(self) -> float:
        """Distance of the two worlds of a canary, in standard deviations."""
        delta = self.claim.quoted_delta or _DELTA
        wanted = self.claim.epsilon(delta)
        low, high = 0.0, _LOUDEST
        while high - low > 1e-4:
            middle = (low + high) / 2
            low, high = (middle, high) if Claim.gaussian(mu=middle, delta=delta).epsilon() < wanted else (low, middle)
        return 2 * high

    def correct(self, k: int, audits: int) -> NDArray[np.int64]:
        """(audits,) right guesses of k in and k out, always the same draws."""
        rng = np.random.default_rng(0)
        mu, counts = self.mu, np.empty(audits, np.int64)
        for audit in range(audits):
            mask = rng.random(self.m) < 0.5
            order = np.argsort(mu * mask + rng.standard_normal(self.m))
            counts[audit] = mask[order[self.m - k :]].sum() + (~mask[order[:k]]).sum()
        return counts

    def power(self, method: OneRunMethod, confidence: float, runs: int = 1, audits: int = 100) -> float:
        """The share of simulated audits, each of `runs` runs, that refute the claim at the method's first (k, k).

        A rule with several sizes, or one that guesses one kind only, is judged as if it had paid for its first size
        alone with as many guesses of either kind.
        """
        k_in, k_out = method.k.sizes(self.m)[0]
        k = max(1, (k_in + k_out) // 2)
        counts = self.correct(k, audits * runs)
        p = {int(c): method.p_value(Guesses(self.m, k, k, int(c)), self.claim) for c in np.unique(counts)}
        combined = [fisher([p[int(c)] for c in row]) for row in counts.reshape(audits, runs)]
        return float(np.mean(np.array(combined) <= 1 - confidence))


def planned_k(claim: Claim, m: int, method: OneRunMethod | None = None, confidence: float = 0.95) -> FixedK:
    """k+ = k-, the share of `SHARES` with the strongest evidence against the claim if half its noise is missing.

    A function of claim and m alone, so the guesses are fixed before the training and nothing is paid for the choice.
    "Strongest": among sizes with which perfect guesses refute, the largest power against `HalfTheNoise`; between equal
    ones the least p-value at the lower fifth of its right guesses. Where no size has a power of .2, only loud faults
    can be found, and those want many guesses: the least p-value of perfect guesses. So loud claims (epsilon 8) and
    small sets have many guesses, claims of a point rather than a profile few.

    Args:
        claim: to be tested.
        m: canaries in a run, at least 2.
        method: whose p-values count; None for f-DP.
        confidence: of the statement, in (0, 1).
    """
    judge, suspect = method or OneRunFDP(), HalfTheNoise(claim, m)
    audits = max(20, min(200, _MOST_DRAWS // m))
    sizes = sorted({min(max(1, round(share * m)), m // 2) for share in SHARES})

    def p_value(k: int, correct: int) -> float:
        return judge.p_value(Guesses(m, k, k, correct), claim)

    def strength(k: int) -> tuple[bool, float, float, float]:
        counts = suspect.correct(k, audits)
        low, high = k, 2 * k + 1  # the least count that refutes; 2k + 1: none does
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if p_value(k, middle) <= 1 - confidence else (middle + 1, high)
        fifth = int(np.quantile(counts, 0.2, method="lower"))
        power, perfect = float(np.mean(counts >= low)), p_value(k, 2 * k)
        quiet = power >= _WORTH_WHILE
        return perfect > 1 - confidence, -power if quiet else 0.0, p_value(k, fifth) if quiet else 1.0, perfect

    best = min(sizes, key=strength)
    return FixedK(best, best)
