"""A credible interval for epsilon from the joint posterior of both error rates (Zanella-Beguelin et al. 2023)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from dpaudit.errors import require_probability
from dpaudit.evidence import Estimate
from dpaudit.methods.estimates.counts import Counts

__all__ = ["joint_beta"]

Array = NDArray[np.float64]
_MOST = 700.0  # past this e^eps overflows: the credible limit is infinity

# Double-exponential quadrature on (0, 1): nodes u and 1 - u, each accurate near its own end, where the tails are
_T = np.linspace(-3.6, 3.6, 145)
_LEFT, _RIGHT = (1 / (1 + np.exp(sign * np.pi * np.sinh(_T))) for sign in (-1, 1))
_WEIGHTS = np.pi * np.cosh(_T) * _LEFT * _RIGHT * (_T[1] - _T[0])


def joint_beta(
    *, tp: int, fp: int, n_included: int, n_excluded: int, delta: float = 0.0, confidence: float = 0.95
) -> Estimate:
    """Posterior median of epsilon, with its equal-tailed credible interval.

    FNR ~ Beta(FN + 1/2, TP + 1/2) and FPR ~ Beta(FP + 1/2, TN + 1/2), independent; epsilon is the least for which
    (FPR, FNR) lies in the region of (epsilon, delta)-DP, and P[epsilon <= e] the posterior mass of that region. The
    authors' code samples or integrates on a grid for minutes; here the FPR is integrated in closed form and the FNR
    by quadrature, in milliseconds.

    Assumes: Jeffreys priors; the threshold was fixed beforehand and is as good as any. A credible interval: no rate
        of errors is guaranteed.
    Reference: Zanella-Beguelin, Wutschitz, Tople, Salem, Ruehle, Paverd, Naseri, Koepf, Jones 2023 ("Bayesian
        estimation of differential privacy", section 4).

    Args:
        tp: included trials guessed included.
        fp: excluded trials guessed included.
        n_included: trials with the canary in.
        n_excluded: trials with the canary out.
        delta: in [0, 1).
        confidence: posterior probability of the interval.

    Raises:
        UsageError: impossible counts, delta or confidence.
    """
    counts = Counts(tp, fp, n_included, n_excluded, confidence)
    posterior = _Posterior(counts, require_probability("delta", delta, one=False))
    return Estimate(
        value=posterior.quantile(0.5),
        quantity=f"epsilon at delta {delta:g}",
        method="joint-beta posterior",
        assumes="Jeffreys priors on both error rates, threshold fixed beforehand",
        interval=(posterior.quantile(1 - counts.alpha / 2), posterior.quantile(counts.alpha / 2)),
        level=confidence,
    )


class _Posterior:
    """The law of the least epsilon that allows (FPR, FNR)."""

    def __init__(self, counts: Counts, delta: float) -> None:
        self.delta = delta
        self.fnr = (counts.n_included - counts.tp + 0.5, counts.tp + 0.5)
        self.fpr = (counts.fp + 0.5, counts.n_excluded - counts.fp + 0.5)

    def exceeds(self, epsilon: float) -> float:
        """P[(FPR, FNR) is outside the region of (epsilon, delta)-DP], accurate also when it is tiny.

        The region: x + e^eps y >= 1 - delta, e^eps x + y >= 1 - delta, and both with (1 - x, 1 - y), x and y the
        two error rates. Given x = FNR, y outside is a tail of a Beta at either end. Each has a corner in x, where
        the integral is cut.
        """
        grow, rest = math.exp(epsilon), 1 - self.delta
        corner = rest / (1 + grow)
        cuts = [float(betainc(*self.fnr, corner)), float(betainc(*self.fnr[::-1], corner))]
        lower = self._tail(self.fnr, self.fpr, cuts[0], grow)
        return min(1.0, lower + self._tail(self.fnr[::-1], self.fpr[::-1], cuts[1], grow))

    def _tail(self, fnr: tuple[float, float], fpr: tuple[float, float], cut: float, grow: float) -> float:
        """P[x + grow y < 1 - delta or grow x + y < 1 - delta] for the pair with these parameters."""
        rest = 1 - self.delta
        before = cut * _LEFT  # P[x <= node], nodes below the corner: there grow x + y is the narrower line
        x = betaincinv(*fnr, before)
        total = cut * float((_WEIGHTS * betainc(*fpr, np.clip(rest - grow * x, 0, 1))).sum())
        above = (1 - cut) * _RIGHT  # P[x > node], nodes above the corner
        x = 1 - betaincinv(*fnr[::-1], above)
        return total + (1 - cut) * float((_WEIGHTS * betainc(*fpr, np.clip((rest - x) / grow, 0, 1))).sum())

    def quantile(self, upper: float) -> float:
        """The epsilon exceeded with posterior probability `upper`; 0 or infinity where there is none."""
        from scipy.optimize import brentq

        if self.exceeds(0.0) <= upper:
            return 0.0
        high = 1.0
        while self.exceeds(high) > upper:
            if high >= _MOST:
                return math.inf
            high = min(2 * high, _MOST)
        return float(brentq(lambda e: self.exceeds(e) - upper, 0.0, high, xtol=1e-9))
