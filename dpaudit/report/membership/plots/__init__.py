"""Three figures: the ROC of all attacks, what each attack's scores look like, and the losses behind them.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from dpaudit.report.membership.plots.histograms import losses_figure, scores_figure
from dpaudit.report.membership.plots.roc import roc_figure
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.plots.drawing import Drawing

__all__ = ["drawings"]

drawings: dict[str, Drawing[MembershipReport]] = {
    "roc": Drawing(roc_figure),
    "scores": Drawing(scores_figure),
    "losses": Drawing(losses_figure),
}
"""Name -> what writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
