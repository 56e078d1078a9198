"""Where a loss lies among reference losses, and the loss at a level, for few references as well as for many."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dpaudit.errors import UsageError, require_probability

__all__ = ["Distribution", "Empirical", "Gaussian", "Smooth", "distribution", "require_smooth"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Smooth = Literal["linear", "gaussian"]

_LEAST_SPREAD = 1e-6  # of margins; references that all agree must not make a score infinite


class Distribution(Protocol):
    """Reference margins, asked about other margins.

    A margin is the logit of exp(-loss), so that a low loss is a high margin; unlike the loss it does not saturate
    near 0. Level alpha of the losses is level 1 - alpha of the margins.
    """

    def score(self, margins: FloatArray, own: BoolArray | None = None) -> FloatArray:
        """Minus the position of each loss, or what is ordered as it is; any shape, finite.

        Args:
            margins: of the targets.
            own: which of them are themselves among the references, each to be left out while it is scored; None:
                none is.
        """
        ...

    def margin_at(self, alpha: float) -> float:
        """The margin a share `alpha` of references reaches: that of the alpha quantile of the losses; inf: none."""
        ...


@dataclass(frozen=True, eq=False)
class Empirical:
    """Linear interpolation between order statistics, the i-th of n at i / (n + 1).

    With these positions a new loss of the same distribution lies below the quantile at level alpha with probability
    alpha on average, for any n; levels beyond 1 / (n + 1) are not supported and accuse nobody. Beyond the last
    reference the position decays exponentially with the distance in margin, so that the order goes on; this says
    nothing about levels.

    Attributes:
        ordered: (n,) reference margins, ascending.
    """

    ordered: FloatArray

    def score(self, margins: FloatArray, own: BoolArray | None = None) -> FloatArray:
        """Minus the position in (0, 1); a margin equal to references has the middle of theirs."""
        one = np.zeros(margins.shape, dtype=np.intp) if own is None else own.astype(np.intp)
        size = len(self.ordered) - one
        low = np.searchsorted(self.ordered, margins, "left")
        high = np.searchsorted(self.ordered, margins, "right") - one  # without itself
        last = len(self.ordered) - 1
        below = self.ordered[np.clip(low - 1, 0, last)]
        above = self.ordered[np.clip(high + one, 0, last)]
        # the share of references above is the position of the loss
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            inner = size - low + (below - margins) / (above - below)
            first = size + 1 - np.exp(np.minimum(margins - above, 0.0))  # below all references
            beyond = np.exp(np.minimum(below - margins, 0.0))  # above all of them
        place = np.where(low == 0, first, np.where(high >= size, beyond, inner + 1))
        place = np.where(high > low, size - (low + high - 1) / 2, place)
        return np.asarray(-place / (size + 1))

    def margin_at(self, alpha: float) -> float:
        """By linear interpolation; inf below 1 / (n + 1), -inf above n / (n + 1)."""
        size = len(self.ordered)
        rank = (1.0 - require_probability("alpha", alpha)) * (size + 1)
        # a rank that is a whole number but for rounding is that number
        rank = round(rank) if abs(rank - round(rank)) < 1e-9 * (size + 1) else rank
        if rank > size:
            return np.inf
        return -np.inf if rank < 1 else float(np.interp(rank, np.arange(1, size + 1), self.ordered))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal distribution on the margins: the logit of exp(-loss), Ye et al. 2022 and Carlini et al. 2022.

    Attributes:
        size: n, at least 2 (3 for references that are to be left out in turn).
        mean: of the margins.
        squares: sum of squared deviations from it; the variance is this over n.
    """

    size: int
    mean: float
    squares: float

    def score(self, margins: FloatArray, own: BoolArray | None = None) -> FloatArray:
        """Standardised margins: of the same order as minus the position, and never saturated."""
        mean: FloatArray | float = self.mean
        variance: FloatArray | float = self.squares / self.size
        if own is not None:
            apart = margins - self.mean
            rest = self.size - 1
            without = self.mean - apart / rest
            squares = np.maximum(self.squares - apart * (margins - without), 0.0)
            mean, variance = np.where(own, without, mean), np.where(own, squares / rest, variance)
        return np.asarray((margins - mean) / np.maximum(np.sqrt(variance), _LEAST_SPREAD))

    def margin_at(self, alpha: float) -> float:
        """The 1 - alpha quantile of the normal distribution."""
        spread = max(np.sqrt(self.squares / self.size), _LEAST_SPREAD)
        return float(self.mean - spread * ndtri(require_probability("alpha", alpha)))


def distribution(margins: FloatArray, smooth: Smooth) -> Distribution:
    """The distribution of reference margins (n,), in any order; n >= 1, or 2 for ``gaussian``."""
    if smooth == "linear":
        return Empirical(np.sort(margins))
    mean = float(margins.mean())
    return Gaussian(len(margins), mean, float(np.square(margins - mean).sum()))


def least_references(smooth: Smooth) -> int:
    """How many references a distribution needs."""
    return 1 if smooth == "linear" else 2


def require_smooth(smooth: str) -> None:
    """Refuse an unknown way of smoothing."""
    if smooth not in ("linear", "gaussian"):
        raise UsageError("smooth", allowed="'linear', 'gaussian'", got=smooth)
