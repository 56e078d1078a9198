"""What members and non-members look like: the scores of each attack, and the losses."""

from typing import TYPE_CHECKING

from dpaudit.report.membership.parts import Histogram
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.plots.frame import EXCLUDED, INCLUDED, NARROW, plain, plain_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3


def scores_figure(report: MembershipReport, *, narrow: bool = False) -> "Figure | None":
    """One panel an attack; None if no score of any attack is finite."""
    drawn = [(attack.name, attack.histogram) for attack in report.attacks if attack.histogram is not None]
    if not drawn:
        return None
    columns = min(_COLUMNS - narrow, len(drawn))
    rows = -(-len(drawn) // columns)
    if narrow:
        figure = plain_figure("", width=NARROW, height=0.6 + 1.8 * rows)
    else:
        title = "membership: scores of members and non-members"
        figure = plain_figure(title, width=max(5.0, 3.6 * columns), height=0.8 + 2.5 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, histogram) in zip(panels, drawn, strict=False):
        _panel(axes, histogram)
        axes.set_title(plain(name, narrow=True), fontsize=10, parse_math=False)
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def losses_figure(report: MembershipReport, *, narrow: bool = False) -> "Figure | None":
    """Losses in nats; None if none is finite."""
    histogram = report.losses
    if histogram is None:
        return None
    if narrow:
        figure = plain_figure("", width=NARROW, height=3.2)
    else:
        figure = plain_figure("membership: losses of members and non-members", width=7.5, height=4.4)
    axes = figure.subplots()
    _panel(axes, histogram)
    axes.set_xlabel("cross-entropy in nats")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9)
    if any(histogram.missing):
        inside, outside = histogram.missing
        figure.supxlabel(f"not drawn: infinite losses of {inside} members, {outside} non-members", fontsize=9)
    return figure


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
