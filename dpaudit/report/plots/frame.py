"""What all figures share: size, colours, title, and saving the same bytes for the same report."""

from pathlib import Path
from typing import TYPE_CHECKING

from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart by people with any colour vision, and in grey.
INCLUDED, EXCLUDED, ALLOWED, RULE, EVIDENCE = "#D55E00", "#0072B2", "#B8B8B8", "#000000", "#009E73"


def new_figure(report: Report, *, width: float, height: float) -> "Figure":
    """An empty figure whose title is the verdict and the claim. Sizes in inches."""
    claim, verdict = report.claim, report.verdict.value.replace("_", " ")
    title = f"{verdict}: claim ({claim.epsilon():.4g}, {claim.quoted_delta:.3g})-DP"
    return plain_figure(title, width=width, height=height)


def plain_figure(title: str, *, width: float, height: float) -> "Figure":
    """An empty figure with a title, on no screen. Sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write the figure; the format is the suffix of `path`."""
    import matplotlib as mpl

    # Without a fixed salt and date two renderings of one report would differ.
    with mpl.rc_context({"svg.hashsalt": "dpaudit"}):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=metadata)
