"""Figure 3: wealth and lower bound, trial by trial."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dpaudit.evidence import round_down
from dpaudit.report.numerals import needed_wealth
from dpaudit.report.parts import History
from dpaudit.report.plots.frame import EVIDENCE, EXCLUDED, INCLUDED, RULE, legend, new_figure, plain_decades
from dpaudit.report.plots.thin import thin_path
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOG_MIN, _LOG_MAX = math.log(1e-100), math.log(1e100)  # matplotlib's margins overflow before floats do
_ABOVE: dict[str, Any] = {
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "ncols": 3,
    "fontsize": 9,
}
_LEAST = 1e-6  # a wealth below it leaves the figure: what matters is how near it came to refuting


def evidence_figure(report: Report, *, narrow: bool = False) -> "Figure | None":
    """Wealth against 1/alpha, and the lower bound against its ceiling; None without a history."""
    history = report.history
    if history is None or len(history) == 0:
        return None
    figure = new_figure(report, width=7.5, height=5.6, narrow=narrow)
    above = {**_ABOVE, "ncols": 1 if narrow else 3}
    upper, lower = figure.subplots(2, 1, sharex=True)
    _wealth(upper, history, needed_wealth(report.confidence), above)
    _bound(lower, history, report, above)
    lower.set_xlabel("trials")
    lower.set_xlim(0, int(history.trial[-1]) * 1.02 + 1)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _wealth(axes: "Axes", history: History, needed: float, above: dict[str, Any]) -> None:
    shown = np.nan_to_num(history.log_wealth, nan=_LOG_MIN, posinf=_LOG_MAX, neginf=_LOG_MIN)
    wealth = np.exp(np.clip(shown, _LOG_MIN, _LOG_MAX))
    trial, path = thin_path(np.concatenate([[0], history.trial]), np.concatenate([[1.0], wealth]))
    axes.plot(trial, path, color=EVIDENCE, label="wealth")
    axes.axhline(needed, color=RULE, linewidth=1.2, linestyle="dashed", label=f"{needed:g} refutes the claim")
    axes.set_yscale("log")
    axes.set_ylim(max(_LEAST, min(0.5, float(wealth.min()) / 1.5)), max(needed, float(wealth.max())) * 2)
    plain_decades(axes)
    axes.set_ylabel("wealth against the claim")
    legend(axes, **above)


def _bound(axes: "Axes", history: History, report: Report, above: dict[str, Any]) -> None:
    known = np.isfinite(history.bound)
    trial, path = thin_path(history.trial[known], history.bound[known])
    axes.plot(trial, path, color=INCLUDED, drawstyle="steps-post", label="lower bound")
    claimed = report.claim.epsilon()
    lines = [(claimed, EXCLUDED, "dashdot", f"claimed eps {claimed:.4g}")]
    ceiling = None if report.lower_bound is None else report.lower_bound.ceiling
    if ceiling is not None:
        lines.append((ceiling, RULE, "dotted", f"ceiling {round_down(ceiling)}: perfect scores"))
    for height, colour, style, label in lines:
        if math.isfinite(height):
            axes.axhline(height, color=colour, linewidth=1.2, linestyle=style, label=label)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)
    axes.set_ylabel(f"epsilon at delta {report.claim.quoted_delta:.3g}")
    legend(axes, **above)
