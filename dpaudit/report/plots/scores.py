"""Figure 1: the scores of the two worlds, and where the adversary draws its line."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from dpaudit.report.plots.axis import ScoreAxis
from dpaudit.report.plots.column import Column, best_column
from dpaudit.report.plots.frame import EXCLUDED, INCLUDED, RULE, legend, new_figure, plain
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST_BINS, _MOST_BINS = 16, 48


def scores_figure(report: Report, *, narrow: bool = False) -> "Figure | None":
    """Histograms of the statistic in the two worlds with the decision rule; None without scores."""
    column = best_column(report)
    if column is None:
        return None
    figure = new_figure(report, width=7.5, height=3.6 if narrow else 4.4, narrow=narrow)
    from matplotlib.ticker import MaxNLocator  # after the figure, which minds what MPLBACKEND says

    axes = figure.add_subplot()
    side = "higher" if column.sign > 0 else "lower"
    axes.set_xlabel(f"{plain(column.name, narrow=narrow)}   ({side}: more likely included)", parse_math=False)
    axes.set_ylabel(column.unit)
    drawn = np.isfinite(column.values) & ~column.lost
    if drawn.any():
        axis = ScoreAxis.fitting(column.values[drawn])
        bins = int(np.clip(2 * np.sqrt(drawn.sum()), _FEWEST_BINS, _MOST_BINS))
        for world, colour, style, fill in (
            (False, EXCLUDED, "solid", 0.45),
            (True, INCLUDED, (0, (4, 1)), 0.30),
        ):
            which = drawn & (column.included == world)
            label = f"canary {'in' if world else 'out'}: {which.sum()} {column.unit}"
            heights, edges = np.histogram(axis.positions(column.values[which]), axis.bins(bins))
            axes.stairs(heights, edges, fill=True, color=colour, alpha=fill)
            axes.stairs(heights, edges, color=colour, linewidth=1.6, linestyle=style, label=label)
        # An outlying threshold must not squeeze the histogram: only those within the axis are drawn.
        dashes = cycle(("dashed", "dotted", "dashdot"))
        for label, value in column.thresholds.items():
            at = float(axis.positions(np.array([value]))[0]) if np.isfinite(value) else value
            if axis.low <= at <= axis.high:
                axes.axvline(
                    at,
                    color=RULE,
                    linewidth=1.4,
                    linestyle=next(dashes),
                    label=f"{plain(label, narrow=narrow)} {value:.4g}",
                )
        axes.set_xlim(axis.low, axis.high)
        ticks = axis.ticks()
        if ticks is not None:
            axes.set_xticks(*ticks)
        axes.margins(y=0.08)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        # Two columns above the axes: the thresholds' labels do not fit into one row with the worlds'.
        legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
    else:
        axes.text(0.5, 0.5, "no finite score", transform=axes.transAxes, ha="center")
        axes.set_yticks([])
    missing = not_drawn(column)
    if missing:
        figure.supxlabel(f"not drawn: {missing}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def not_drawn(column: Column) -> str:
    """What the histogram cannot show, per world."""
    kept = ~column.lost
    groups = {
        "NaN": kept & np.isnan(column.values),
        "+inf": kept & np.isposinf(column.values),
        "-inf": kept & np.isneginf(column.values),
        "lost": column.lost,
    }
    return "; ".join(
        f"{which.sum()} {name} ({(which & column.included).sum()} in, {(which & ~column.included).sum()} out)"
        for name, which in groups.items()
        if which.any()
    )
