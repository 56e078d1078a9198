"""Figure 2: how well the statistic tells the worlds apart, against what the claim allows, both ways round."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.report.plots.column import Column, best_column
from dpaudit.report.plots.frame import (
    ALLOWED,
    EXCLUDED,
    INCLUDED,
    RULE,
    legend,
    new_figure,
    pair,
    plain,
    plain_decades,
)
from dpaudit.report.plots.thin import thin_staircase
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

READING = (
    "a curve above the grey region is more than the claim allows, up to chance "
    "(the verdict rests on the test, not on this figure)"
)


def roc_figure(report: Report, *, narrow: bool = False) -> "Figure | None":
    """ROC on logarithmic axes for guesses "in" and, mirrored, "out"; None unless both worlds have trials."""
    column = best_column(report)
    if column is None or column.included.all() or not column.included.any():
        return None
    fpr, tpr = operating_points(column)
    n_in, n_out = int(column.included.sum()), int((~column.included).sum())
    grid, allowed = allowed_region(report.claim, 0.25 / max(n_in, n_out))
    figure = new_figure(report, width=9.0, height=7.6 if narrow else 4.8, narrow=narrow)
    left, right = pair(figure, stacked=narrow)
    inside, out = ("in", "out") if column.unit == "canaries" else ("with canary", "without canary")
    left.set_title('guessing "in"', fontsize=10)
    left.set_xlabel(f"false positive rate ({n_out} {column.unit} {out})")
    left.set_ylabel(f"true positive rate ({n_in} {column.unit} {inside})")
    _panel(left, (fpr, tpr), (grid, 1 - allowed), floors=(0.5 / n_out, 0.5 / n_in), colour=INCLUDED)
    right.set_title('guessing "out"', fontsize=10)
    right.set_xlabel(f"false negative rate ({n_in} {column.unit} {inside})")
    right.set_ylabel(f"true negative rate ({n_out} {column.unit} {out})")
    mirrored = (1 - tpr)[::-1], (1 - fpr)[::-1]
    region = allowed[::-1], (1 - grid)[::-1]
    _panel(right, mirrored, region, floors=(0.5 / n_in, 0.5 / n_out), colour=EXCLUDED)
    if not narrow:  # there it stands below the figure
        figure.supxlabel(f"{plain(column.name)}: {READING}", fontsize=8.5, parse_math=False)
    return figure


def operating_points(column: Column) -> tuple[Array, Array]:
    """(fpr, tpr) of "guess in at or above t" for every threshold t, from (0, 0) to (1, 1); ties fall together."""
    _, tp, fp = operating_counts(column)
    n_in, n_out = int(column.included.sum()), int((~column.included).sum())
    return np.concatenate([[0.0], fp / n_out]), np.concatenate([[0.0], tp / n_in])


def operating_counts(column: Column) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """(threshold, tp, fp) of "guess in at or above t" for every distinct score t of `placed`, the highest first."""
    values = column.placed
    thresholds = np.unique(values)[::-1]

    def reached(scores: Array) -> NDArray[np.int64]:
        return np.asarray(len(scores) - np.searchsorted(np.sort(scores), thresholds, "left"), np.int64)

    return thresholds, reached(values[column.included]), reached(values[~column.included])


def allowed_region(claim: Claim, floor: float) -> tuple[Array, Array]:
    """A grid of rates, dense at both ends, and the claim's trade-off function on it."""
    near_zero = np.geomspace(floor, 0.5, 160)
    grid = np.concatenate([[0.0], near_zero, (1 - near_zero)[::-1][1:], [1.0]])
    return grid, claim.tradeoff(grid)


def _panel(
    axes: "Axes",
    curve: tuple[Array, Array],
    region: tuple[Array, Array],
    *,
    floors: tuple[float, float],
    colour: str,
) -> None:
    """One way round. Zeros are drawn at half a trial, the left and lower edge."""
    x_floor, y_floor = floors
    x, y = (np.maximum(side, low) for side, low in zip(region, floors, strict=True))
    axes.fill_between(x, y_floor, y, color=ALLOWED, alpha=0.45, linewidth=0, label="the claim allows this")
    axes.plot(x, y, color="#707070", linewidth=1.0)
    line = np.geomspace(x_floor, 1, 50)
    axes.plot(line, line, color=RULE, linewidth=0.8, linestyle=(0, (1, 3)), label="guessing blindly")
    x, y = thin_staircase(*(np.maximum(side, low) for side, low in zip(curve, floors, strict=True)))
    axes.plot(x, y, color=colour, linewidth=2.0, drawstyle="steps-post", label="measured")
    axes.set(xscale="log", yscale="log", xlim=(x_floor, 1.15), ylim=(y_floor, 1.15))
    plain_decades(axes)
    legend(axes, loc="lower right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
