"""Three figures: the ROC of all attacks, what each attack's scores look like, and the losses behind them.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from collections.abc import Callable
from pathlib import Path

from dpaudit.report.membership.plots.histograms import draw_losses, draw_scores
from dpaudit.report.membership.plots.roc import draw_roc
from dpaudit.report.membership.report import MembershipReport

__all__ = ["drawings"]

drawings: dict[str, Callable[[MembershipReport, Path], None]] = {
    "roc": draw_roc,
    "scores": draw_scores,
    "losses": draw_losses,
}
"""Name -> a function that writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
