"""Three figures: what the adversary saw, how well it could tell the worlds apart, and how the evidence grew.

matplotlib is imported when a figure is drawn, through its object interface: no pyplot, no global state.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dpaudit.report.plots.evidence import evidence_figure
from dpaudit.report.plots.frame import save_figure
from dpaudit.report.plots.roc import roc_figure
from dpaudit.report.plots.scores import scores_figure
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drawings"]


def _saved(made: "Figure | None", path: Path) -> None:
    if made is not None:
        save_figure(made, path)


drawings: dict[str, Callable[[Report, Path], None]] = {
    "scores": lambda report, path: _saved(scores_figure(report), path),
    "roc": lambda report, path: _saved(roc_figure(report), path),
    "evidence": lambda report, path: _saved(evidence_figure(report), path),
}
"""Name -> a function that writes the figure, in the format of the path's suffix, or nothing if there is nothing."""
