"""The portfolio that grows most, on average, if outcomes come as predicted."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["improve", "single_growth"]

Array = NDArray[np.float64]
_FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def improve(weights: Array, predicted: Array, payoffs: Array, rounds: int) -> Array:
    """Weights with a larger predicted growth E ln(weights . payoffs), by multiplicative updates.

    Cover's update multiplies each weight by the expected ratio of its payoff to the portfolio's. Here that ratio is
    raised to a power, one per row, that rises while the growth rises and falls when it does not; a step that loses
    is not taken, so the growth never falls.

    Args:
        weights: (rows, experts), positive, rows of sum 1.
        predicted: (rows, outcomes) probabilities.
        payoffs: (experts, outcomes).
        rounds: updates.

    Reference: Cover 1984 ("An algorithm for maximizing expected log investment return").
    """
    transposed = np.ascontiguousarray(payoffs.T)
    factors = np.maximum(weights @ payoffs, 1e-12)
    value = (predicted * np.log(factors)).sum(axis=1)
    power = None
    for _ in range(rounds):
        gain = np.log(np.maximum((predicted / factors) @ transposed, 1e-300))
        most = np.maximum(gain.max(axis=1), 1e-12)
        power = np.clip(1 / most, 4.0, 1e5) if power is None else np.minimum(power, 6 / most)
        change = power[:, None] * gain
        change -= change.max(axis=1, keepdims=True)
        moved = weights * np.exp(np.maximum(change, -60.0))
        moved /= moved.sum(axis=1, keepdims=True)
        paid = np.maximum(moved @ payoffs, 1e-12)
        reached = (predicted * np.log(paid)).sum(axis=1)
        better = reached >= value
        weights, factors = np.where(better[:, None], moved, weights), np.where(better[:, None], paid, factors)
        value, power = np.where(better, reached, value), np.where(better, 1.6 * power, power / 5)
    return weights


def single_growth(predicted: Array, payoffs: Array) -> Array:
    """(rows,): the predicted growth of the best single expert at a few fractions of its stake; 0 if all lose."""
    best = np.zeros(len(predicted))
    for fraction in _FRACTIONS:
        best = np.maximum(best, (predicted @ np.log(1 - fraction + fraction * payoffs).T).max(axis=1))
    return best
