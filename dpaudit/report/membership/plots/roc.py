"""The ROC of all attacks in one picture: linear axes beside logarithmic ones, where the confident few show."""

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from dpaudit.report.membership.parts import AttackResult
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.plots.frame import NARROW, RULE, legend, pair, plain, plain_decades, plain_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, with dashes beside them: nine attacks are told apart in grey, too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1)), (0, (2, 1)), (0, (6, 1, 1, 1)))


def roc_figure(report: MembershipReport, *, narrow: bool = False) -> "Figure":
    """True against false positive rate, strongest attack first in the legend."""
    if narrow:
        figure = plain_figure("", width=NARROW, height=7.8)
    else:
        figure = plain_figure("membership: ROC of all attacks", width=10.0, height=5.4)
    linear, logarithmic = pair(figure, stacked=narrow)
    ranked = sorted(report.attacks, key=lambda attack: -attack.auc)
    least = report.setting.least_fpr
    for attack, colour, dashes in zip(ranked, cycle(_COLOURS), cycle(_DASHES), strict=False):
        _curves(attack, linear, logarithmic, least, colour, dashes)
    line = np.geomspace(least, 1, 50)
    for axes in (linear, logarithmic):
        axes.plot(line, line, color=RULE, linewidth=0.8, linestyle=(0, (1, 3)))
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.spines[["top", "right"]].set_visible(False)
    linear.set(xlim=(0, 1), ylim=(0, 1.01))
    logarithmic.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.1))
    plain_decades(logarithmic)
    legend(linear, loc="lower right", fontsize=8.5)
    setting = report.setting
    if narrow:  # there it stands below the figure
        return figure
    figure.supxlabel(
        f"{setting.targets} targets, {setting.members} members and {setting.nonmembers} non-members together; "
        f"dotted: guessing; smallest FPR that can be seen 1/{setting.nonmembers}",
        fontsize=8.5,
    )
    return figure


def _curves(
    attack: AttackResult,
    linear: "Axes",
    logarithmic: "Axes",
    least: float,
    colour: str,
    dashes: Any,
) -> None:
    fpr, tpr = attack.curve
    looks: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.6, "drawstyle": "steps-post"}
    linear.plot(fpr, tpr, label=f"{plain(attack.name, narrow=True)} {attack.auc:.3f}", **looks)
    logarithmic.plot(np.maximum(fpr, least), np.maximum(tpr, least), **looks)  # zeros at the edge
