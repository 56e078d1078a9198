"""A score axis for anything an attack may return: linear where that shows the data, logarithmic about zero else."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TOO_WIDE = 60.0  # range over interquartile range from which a linear axis squeezes the bulk into a bar or two
_FEW_DECADES = 1.5  # a logarithmic axis over less shows nothing that a linear one hides
_HUGE = 1e100  # matplotlib's own arithmetic on a linear axis overflows long before floats do
_TICKS_A_SIDE = 4


@dataclass(frozen=True)
class ScoreAxis:
    """A strictly increasing map from scores to positions.

    Attributes:
        linear: positions are scores; otherwise sign(v) log10(1 + |v| / unit), which never overflows.
        unit: where the logarithmic axis turns linear, > 0.
        low: position of the left end.
        high: position of the right end.
    """

    linear: bool
    unit: float
    low: float
    high: float

    @classmethod
    def fitting(cls, finite: Array) -> "ScoreAxis":
        """The axis for these finite scores (at least one)."""
        low, high = float(finite.min()), float(finite.max())
        half = high / 2 - low / 2  # the whole range of (-1e308, 1e308) overflows
        size = max(abs(low), abs(high))
        if half <= max(1e-13 * size, 1e-290):  # one value, as far as floats can tell
            if size > _HUGE:
                return cls(False, size, -1.0, 1.0)
            pad = max(0.5, 0.05 * size)
            return cls(True, 1.0, low - pad, high + pad)
        quarter, three = np.quantile(finite / 2, [0.25, 0.75])
        sizes = np.abs(finite[finite != 0])
        # Linear below a typical size, but a dozen decades at most.
        unit = max(float(np.quantile(sizes, 0.25)), size * 1e-12, 1e-300)
        ends = cls(False, unit, 0.0, 0.0).positions(np.array([low, high]))
        decades = float(ends[1] - ends[0])
        squeezed = half / _TOO_WIDE > three - quarter and len(np.unique(finite)) > 3
        if half > _HUGE or (squeezed and decades > _FEW_DECADES):
            return cls(False, unit, float(ends[0]) - 0.03 * decades, float(ends[1]) + 0.03 * decades)
        return cls(True, 1.0, low - 0.06 * half, high + 0.06 * half)

    def positions(self, values: Array) -> Array:
        """Where finite `values` go."""
        if self.linear:
            return values
        with np.errstate(divide="ignore"):
            ratio = np.log(np.abs(values)) - math.log(self.unit)
        return np.asarray(np.sign(values) * np.logaddexp(0.0, ratio) / math.log(10.0))

    def bins(self, count: int) -> Array:
        """Edges of `count` bins of equal width on the axis."""
        return np.linspace(self.low, self.high, count + 1)

    def ticks(self) -> tuple[Array, list[str]] | None:
        """Positions and labels for the logarithmic axis; None where matplotlib's own will do."""
        if self.linear:
            return None
        first = math.ceil(math.log10(self.unit))
        last = min(308, first + math.ceil(max(abs(self.low), abs(self.high))))
        stride = max(1, math.ceil((last - first + 1) / _TICKS_A_SIDE))
        at, labels = [0.0], ["0"]
        room = 0.07 * (self.high - self.low)  # labels nearer than this would overlap
        for power in range(first, last + 1, stride):
            position = float(self.positions(np.array([10.0**power]))[0])
            if position - max(at) >= room:
                at += [position, -position]
                labels += [rf"$10^{{{power}}}$", rf"$-10^{{{power}}}$"]
        inside = [i for i in range(len(at)) if self.low <= at[i] <= self.high]
        return np.array(at)[inside], [labels[i] for i in inside]
