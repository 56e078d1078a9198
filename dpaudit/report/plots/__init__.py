"""Three figures: what the adversary saw, how well it could tell the worlds apart, and how the evidence grew.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from dpaudit.report.plots.drawing import Drawing
from dpaudit.report.plots.evidence import evidence_figure
from dpaudit.report.plots.roc import roc_figure
from dpaudit.report.plots.scores import scores_figure
from dpaudit.report.report import Report

__all__ = ["drawings"]

drawings: dict[str, Drawing[Report]] = {
    "scores": Drawing(scores_figure),
    "roc": Drawing(roc_figure),
    "evidence": Drawing(evidence_figure),
}
"""Name -> what writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
