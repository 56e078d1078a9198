"""What members and non-members look like: the scores of each attack, and the losses."""

from pathlib import Path
from typing import TYPE_CHECKING

from dpaudit.report.membership.parts import Histogram
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.plots.frame import EXCLUDED, INCLUDED, plain_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3


def draw_scores(report: MembershipReport, path: Path) -> None:
    """One panel an attack; nothing if no score of any attack is finite."""
    drawn = [(attack.name, attack.histogram) for attack in report.attacks if attack.histogram is not None]
    if not drawn:
        return
    columns = min(_COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = plain_figure(
        "membership: scores of members and non-members", width=max(5.0, 3.6 * columns), height=0.8 + 2.5 * rows
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, histogram) in zip(panels, drawn, strict=False):
        _panel(axes, histogram)
        axes.set_title(name, fontsize=10)
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def draw_losses(report: MembershipReport, path: Path) -> None:
    """Losses in nats; nothing if none is finite."""
    histogram = report.losses
    if histogram is None:
        return
    figure = plain_figure("membership: losses of members and non-members", width=7.5, height=4.4)
    axes = figure.subplots()
    _panel(axes, histogram)
    axes.set_xlabel("cross-entropy in nats")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9)
    if any(histogram.missing):
        inside, outside = histogram.missing
        figure.supxlabel(f"not drawn: infinite losses of {inside} members, {outside} non-members", fontsize=9)
    save_figure(figure, path)


def _panel(axes: "Axes", histogram: Histogram) -> None:
    """Shares, for there may be more of one kind than of the other."""
    edges = histogram.axis.bins(len(histogram.inside))
    for label, counts, colour, fill in (
        ("non-members", histogram.outside, EXCLUDED, 0.45),
        ("members", histogram.inside, INCLUDED, 0.30),
    ):
        share = counts / max(int(counts.sum()), 1)
        axes.stairs(share, edges, fill=True, color=colour, alpha=fill)
        axes.stairs(share, edges, color=colour, linewidth=1.4, label=label)
    axes.set_xlim(histogram.axis.low, histogram.axis.high)
    ticks = histogram.axis.ticks()
    if ticks is not None:
        axes.set_xticks(*ticks)
    axes.set_ylabel("share")
    axes.margins(y=0.08)
    axes.spines[["top", "right"]].set_visible(False)
