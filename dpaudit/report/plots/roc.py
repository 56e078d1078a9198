"""Figure 2: how well the statistic tells the worlds apart, against what the claim allows, both ways round."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.report.plots.column import Column, best_column
from dpaudit.report.plots.frame import ALLOWED, EXCLUDED, INCLUDED, RULE, new_figure, save_figure
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


def draw_roc(report: Report, path: Path) -> None:
    """ROC on logarithmic axes for guesses "in" and, mirrored, "out"; nothing unless both worlds have trials."""
    column = best_column(report)
    if column is None or column.included.all() or not column.included.any():
        return
    fpr, tpr = operating_points(column)
    n_in, n_out = int(column.included.sum()), int((~column.included).sum())
    grid, allowed = _allowed(report.claim, 0.25 / max(n_in, n_out))
    figure = new_figure(report, width=9.0, height=4.8)
    left, right = figure.subplots(1, 2)
    left.set_title('guessing "in"', fontsize=10)
    left.set_xlabel(f"false positive rate ({n_out} trials without canary)")
    left.set_ylabel(f"true positive rate ({n_in} trials with canary)")
    _panel(left, (fpr, tpr), (grid, 1 - allowed), floors=(0.5 / n_out, 0.5 / n_in), colour=INCLUDED)
    right.set_title('guessing "out"', fontsize=10)
    right.set_xlabel(f"false negative rate ({n_in} trials with canary)")
    right.set_ylabel(f"true negative rate ({n_out} trials without canary)")
    mirrored = (1 - tpr)[::-1], (1 - fpr)[::-1]
    region = allowed[::-1], (1 - grid)[::-1]
    _panel(right, mirrored, region, floors=(0.5 / n_in, 0.5 / n_out), colour=EXCLUDED)
    figure.supxlabel(
        f"{column.name}: a curve above the grey region is more than the claim allows, up to chance "
        "(the verdict rests on the test, not on this figure)",
        fontsize=8.5,
    )
    save_figure(figure, path)


def operating_points(column: Column) -> tuple[Array, Array]:
    """(fpr, tpr) of "guess in at or above t" for every threshold t, from (0, 0) to (1, 1); ties fall together."""
    values = column.placed
    thresholds = np.unique(values)[::-1]
    inside, outside = np.sort(values[column.included]), np.sort(values[~column.included])

    def reached(ordered: Array) -> Array:
        at_least = len(ordered) - np.searchsorted(ordered, thresholds, "left")
        return np.concatenate([[0.0], at_least / len(ordered)])

    return reached(outside), reached(inside)


def _allowed(claim: Claim, floor: float) -> tuple[Array, Array]:
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
    x, y = (np.maximum(side, low) for side, low in zip(curve, floors, strict=True))
    axes.plot(x, y, color=colour, linewidth=2.0, drawstyle="steps-post", label="measured")
    axes.set(xscale="log", yscale="log", xlim=(x_floor, 1.15), ylim=(y_floor, 1.15))
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
