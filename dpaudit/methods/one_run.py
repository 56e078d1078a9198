"""One training run: right guesses against (epsilon, delta)-DP (Steinke, Nasr, Jagielski 2023)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, expit, gammaln, log_expit

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.methods.guessing import Guesses, check_guesses
from dpaudit.methods.one_run_method import OneRunBound, OneRunMethod
from dpaudit.profiles import FloatArray, Profile

__all__ = ["OneRun", "lower_bound_from_counts", "p_value"]

_EPSILONS = np.concatenate([np.linspace(0, 10, 501), np.linspace(10.2, 60, 250)])
_NAME = "one-run"


@dataclass(frozen=True)
class OneRun(OneRunMethod):
    """Right guesses in one run cannot be many more than randomised response would allow.

    Null hypothesis: the claim holds: the run is (eps', delta(eps'))-DP with respect to each canary, at every eps' >= 0,
        delta(eps') being the larger of the two directions.
    Guarantee: refutes a true claim with probability at most 1 - confidence. Exact: no limit theorem is used.
    Assumes: each of the m canaries in or out by its own fair coin, the same training for all; how many are guessed
        fixed beforehand (`FixedK`) or paid for (`KGrid`). Nothing about how the canaries interact.
    Reference: Steinke, Nasr, Jagielski 2023 (arXiv 2305.08846), Corollary 5.4, Lemma 4.7 for the bound.

    Proof sketch. Theirs: for every v and every eps', P[V >= v] <= p(v, eps') (function `p_value`), V being the number
    of right guesses. Ours: the minimum over eps' is free, although eps' is chosen after V is seen. Let p(v) be that
    minimum. It depends on m, the guesses, v and the claim only, and P[V >= v] <= p(v) for every v. With v0 the least
    v for which p(v) <= alpha, P[p(V) <= alpha] <= P[V >= v0] <= p(v0) <= alpha. The lower bound is the same
    argument: an epsilon is refuted with any larger one, since (eps, delta)-DP implies (eps'', delta)-DP.
    """

    name: ClassVar[str] = _NAME

    def p_value(self, found: Guesses, claim: Claim) -> float:
        """The least over a grid of eps' (any grid is valid); the claim's own epsilon is on it."""
        epsilons, deltas = _curve(claim.profile, claim.epsilon())
        return float(p_value(found.m, found.guesses, found.correct, epsilons, deltas).min())

    def epsilon(self, found: Guesses, delta: float, alpha: float) -> float:
        """Bisection to 1e-12, rounded down."""
        return _largest_refuted(found.m, found.guesses, found.correct, delta, alpha)


def p_value(m: int, guesses: int, correct: int, epsilon: ArrayLike, delta: ArrayLike) -> FloatArray:
    """An upper bound on P[V >= correct] for every (epsilon, delta)-DP run, in [0, 1], of the broadcast shape.

    beta + 2 m delta a, beta = P[W >= v], W ~ Binomial(guesses, e^eps/(1 + e^eps)), and
    a = max over i in 1..v of P[v - i <= W <= v - 1]/i.

    Args:
        m: canaries with a coin of their own, guessed or not.
        guesses: canaries guessed, in [1, m].
        correct: right guesses v, in [0, guesses].
        epsilon: >= 0, any shape.
        delta: in [0, 1], any shape.

    Raises:
        UsageError: impossible counts, epsilon below 0, delta outside [0, 1].
    """
    check_guesses(m, guesses, correct)
    eps, d = np.broadcast_arrays(np.asarray(epsilon, np.float64), np.asarray(delta, np.float64))
    if not np.all(eps >= 0):
        raise UsageError("epsilon of one run", allowed="[0, inf]", got=epsilon)
    if not np.all((d >= 0) & (d <= 1)):
        raise UsageError("delta of one run", allowed="[0, 1]", got=delta)
    if correct == 0:
        return np.ones(eps.shape)
    law = _Binomial(guesses, np.minimum(eps, 700.0))
    return np.asarray(np.minimum(1.0, law.upper_tail(correct) + 2 * m * d * law.densest_window(correct)))


def lower_bound_from_counts(
    *, m: int, guesses: int, correct: int, delta: float = 0.0, confidence: float = 0.95
) -> OneRunBound:
    """Lower bound on epsilon at `delta` from counts alone, for a rule of guessing fixed before the run.

    Null hypothesis: the run is (eps', delta)-DP with respect to each canary, for some eps' below the bound.
    Guarantee, Assumes, Reference: as `OneRun`; `guesses` fixed beforehand.

    Args:
        m: canaries with a coin of their own, guessed or not.
        guesses: canaries guessed, in [1, m].
        correct: right guesses, in [0, guesses].
        delta: in [0, 1).
        confidence: in (0, 1).

    Raises:
        UsageError: impossible counts, delta or confidence.
    """
    check_guesses(m, guesses, correct)
    require_probability("delta", delta, one=False)
    alpha = 1 - require_confidence(confidence)
    return OneRunBound(
        epsilon=_largest_refuted(m, guesses, correct, delta, alpha),
        delta=delta,
        confidence=confidence,
        method=f"{_NAME}, guesses fixed beforehand",
        ceiling=_largest_refuted(m, guesses, guesses, delta, alpha),
        n_included=None,
        n_excluded=None,
        m=m,
        guesses=guesses,
        correct=correct,
    )


class _Binomial:
    """Binomial(n, q) for a vector of q = e^eps/(1 + e^eps); 1 - q is kept apart, since q may round to 1."""

    def __init__(self, n: int, epsilon: NDArray[np.float64]) -> None:
        self.n = n
        self.wrong = expit(-epsilon)
        self._log_right, self._log_wrong = log_expit(epsilon), log_expit(-epsilon)

    def upper_tail(self, v: int) -> FloatArray:
        """P[W >= v] for v >= 1."""
        return np.asarray(betaincc(self.n - v + 1, v, self.wrong))

    def lower_tail(self, k: NDArray[np.int64]) -> FloatArray:
        """P[W <= k] for k < n; 0 for k < 0."""
        return np.where(k < 0, 0.0, betainc(self.n - k, np.maximum(k, 0) + 1, self.wrong))

    def mass(self, k: NDArray[np.int64]) -> FloatArray:
        """P[W = k] for 0 <= k <= n."""
        ways = gammaln(self.n + 1) - gammaln(k + 1) - gammaln(self.n - k + 1)
        return np.asarray(np.exp(ways + k * self._log_right + (self.n - k) * self._log_wrong))

    def densest_window(self, v: int) -> FloatArray:
        """The largest over i in 1..v of P[v - i <= W <= v - 1]/i, v >= 1, without a loop over i.

        The quotient is the mean mass over the window. The mass rises up to the mode and falls after it, so a window
        that ends below the mode is best with one point; one that ends above it gains by growing as long as the next
        mass is at least the mean, which is true up to some i and false from there on: bisection.
        """
        end = np.full(self.wrong.shape, v - 1, np.int64)
        mode = np.minimum(np.floor((self.n + 1) * (1 - self.wrong)).astype(np.int64), self.n)
        below = self.lower_tail(end)
        low = np.maximum(v - mode, 1)  # the window down to the mode
        high = np.full_like(low, v)
        while np.any(low < high):
            i = (low + high + 1) // 2
            mean = (below - self.lower_tail(v - i)) / np.maximum(i - 1, 1)  # of the window of i - 1 points
            grows = self.mass(v - i) >= mean
            low, high = np.where(grows & (low < high), i, low), np.where(grows, high, np.maximum(i - 1, low))
        window = (below - self.lower_tail(v - 1 - low)) / low
        return np.where(end <= mode, self.mass(end), window)


def _largest_refuted(m: int, guesses: int, correct: int, delta: float, alpha: float) -> float:
    """The largest epsilon with p-value <= alpha that bisection finds; any epsilon so refuted is a valid bound."""

    def refuted(epsilon: float) -> bool:
        p = float(p_value(m, guesses, correct, epsilon, delta))
        return p <= alpha and p < 1

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high) and high < 700:
        low, high = high, 2 * high
    while high - low > 1e-12 * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


@lru_cache(maxsize=64)
def _curve(profile: Profile, epsilon: float) -> tuple[FloatArray, FloatArray]:
    """The claim on a grid of eps', its quoted epsilon among them: (eps', larger of the two deltas)."""
    grid = np.append(_EPSILONS, epsilon) if np.isfinite(epsilon) else _EPSILONS
    return grid, np.maximum(profile.in_over_out(grid), profile.out_over_in(grid))
