"""Three figures: what the adversary saw, how well it could tell the worlds apart, and how the evidence grew.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from collections.abc import Callable
from pathlib import Path

from dpaudit.report.plots.evidence import draw_evidence
from dpaudit.report.plots.roc import draw_roc
from dpaudit.report.plots.scores import draw_scores
from dpaudit.report.report import Report

__all__ = ["drawings"]

drawings: dict[str, Callable[[Report, Path], None]] = {
    "scores": draw_scores,
    "roc": draw_roc,
    "evidence": draw_evidence,
}
"""Name -> a function that writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
