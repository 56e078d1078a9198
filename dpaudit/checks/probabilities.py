"""The two tests that checks use: of a standard deviation, and of independence. Both are exact for Gaussian noise."""

import numpy as np
from scipy.special import betainc, gammainc, gammaincc

from dpaudit.checks.observe.seen import FloatArray

__all__ = ["SURE", "correlation", "spread"]

SURE = 1e-7
"""A p-value below this, after correction for all that a check compared, is a fault.

Four checks have one, so that a right mechanism is accused with probability below 1e-6.
"""


def spread(squares: float, coordinates: int) -> tuple[float, float]:
    """One-sided p-values of a sum of `coordinates` squared standard normals: too small, too large.

    Null hypothesis: the noise is N(0, std^2) in each coordinate; then the sum is chi-square.
    """
    half = coordinates / 2
    return float(gammainc(half, squares / 2)), float(gammaincc(half, squares / 2))


def correlation(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Correlation of two noise vectors (through 0: their mean is known) and its two-sided p-value.

    Null hypothesis: independent, one of them isotropic Gaussian; then r^2 is Beta(1/2, (k - 1)/2) for k coordinates.
    """
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    if norms == 0 or not np.isfinite(norms):
        return 0.0, 1.0
    r = float(np.dot(one, other)) / norms
    return r, float(betainc((len(one) - 1) / 2, 0.5, max(0.0, 1.0 - min(1.0, r * r)))) if len(one) > 1 else 1.0
