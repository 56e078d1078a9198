"""Three figures: the ROC of all attacks, what each attack's scores look like, and the losses behind them.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dpaudit.report.membership.plots.histograms import losses_figure, scores_figure
from dpaudit.report.membership.plots.roc import roc_figure
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.plots.frame import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drawings"]


def _saved(made: "Figure | None", path: Path) -> None:
    if made is not None:
        save_figure(made, path)


drawings: dict[str, Callable[[MembershipReport, Path], None]] = {
    "roc": lambda report, path: _saved(roc_figure(report), path),
    "scores": lambda report, path: _saved(scores_figure(report), path),
    "losses": lambda report, path: _saved(losses_figure(report), path),
}
"""Name -> a function that writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
