"""Prints the coefficients in `dpaudit/ensemble/fused/elementary.py`: python tests/ensemble/fused/fit_polynomials.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

NODES = np.cos((np.arange(4000) + 0.5) * np.pi / 4000)


def fit(f: Callable[[Any], Any], low: float, high: float, degree: int) -> tuple[float, Any]:
    """Nearly the polynomial with the least largest error (Lawson): weights grow where the error is large."""
    x = (low + high) / 2 + (high - low) / 2 * NODES
    powers, y, weights = np.vander(x, degree + 1, increasing=True), f(x), np.ones_like(x)
    best = np.inf, np.zeros(degree + 1)
    for _ in range(200):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(powers * root[:, None], y * root, rcond=None)[0]
        error = np.abs(powers @ coefficients - y)
        best = min(best, (float(error.max()), coefficients), key=lambda one: one[0])
        weights = weights * error / (weights * error).sum()
    return best


def log_rest(f: Any) -> Any:
    """(ln(1 + f) - f) / f^2, by its series near 0."""
    near = np.abs(f) < 1e-4
    return np.where(near, -1 / 2 + f / 3 - f**2 / 4, (np.log1p(f) - f) / np.where(near, 1, f**2))


def exp_rest(r: Any) -> Any:
    """(e^r - 1 - r) / r^2, by its series near 0."""
    near = np.abs(r) < 1e-3
    return np.where(near, 1 / 2 + r / 6 + r**2 / 24 + r**3 / 120, (np.expm1(r) - r) / np.where(near, 1, r**2))


FITS: dict[str, tuple[Callable[[Any], Any], float, float, int]] = {
    "logarithm": (log_rest, np.sqrt(0.5) - 1, np.sqrt(2.0) - 1, 8),
    "sine": (lambda z: np.sin(np.pi / 2 * np.sqrt(z)) / np.sqrt(z), 1e-12, 0.25, 3),
    "cosine": (lambda z: np.cos(np.pi / 2 * np.sqrt(z)), 1e-12, 0.25, 4),
    "exponential": (exp_rest, -1.001 * np.log(2.0) / 2, 1.001 * np.log(2.0) / 2, 5),
}

if __name__ == "__main__":
    for name, arguments in FITS.items():
        error, found = fit(*arguments)
        print(f"{name}: largest error {error:.1e}: " + ", ".join(f"{c:.9e}" for c in found))
