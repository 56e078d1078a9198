"""What the figures of an audit show, in numbers, for those who do not see them; nothing sounds stronger than it is."""

import math

import numpy as np
from numpy.typing import NDArray

from dpaudit.evidence import round_down
from dpaudit.report.numerals import needed_wealth, wealth_text
from dpaudit.report.plots.column import Column
from dpaudit.report.plots.roc import operating_points
from dpaudit.report.plots.scores import not_drawn
from dpaudit.report.report import Report

__all__ = ["evidence_in_words", "roc_in_words", "scores_in_words"]

_FPRS = (0.001, 0.01, 0.1)


def scores_in_words(column: Column) -> str:
    """The histograms: medians, quartiles and extremes of the two worlds, and the thresholds."""
    drawn = np.isfinite(column.values) & ~column.lost
    said = [
        _world(f"Canary {world}", column.values[drawn & (column.included == inside)], column.unit)
        for world, inside in (("out", False), ("in", True))
    ]
    said += [f"Threshold {label}: {value:.4g}." for label, value in column.thresholds.items()]
    missing = not_drawn(column)
    return " ".join([*said, *([f"Not drawn: {missing}."] if missing else [])])


def _world(name: str, values: NDArray[np.float64], unit: str) -> str:
    if not values.size:
        return f"{name}: no finite score."
    least, low, middle, high, most = np.quantile(values / 4, [0, 0.25, 0.5, 0.75, 1]) * 4  # 1e308 - -1e308 overflows
    return (
        f"{name}, {values.size} {unit}: median {middle:.4g}, the middle half from {low:.4g} to {high:.4g}, "
        f"all from {least:.4g} to {most:.4g}."
    )


def roc_in_words(report: Report, column: Column) -> str:
    """The curve: area, and what was reached at low error rates beside what the claim allows."""
    fpr, tpr = operating_points(column)
    said = [f"Area under the curve {round_down(float(np.trapezoid(tpr, fpr)))}."]
    for name, wrong, right in (('"in"', fpr, tpr), ('"out"', (1 - tpr)[::-1], (1 - fpr)[::-1])):
        parts = []
        for rate in _seen(column, name == '"in"'):
            reached = right[np.searchsorted(wrong, rate, "right") - 1]
            allowed = 1 - float(report.claim.tradeoff(rate))
            parts.append(f"{round_down(float(reached))} at {rate:g} (allowed {_round_up(allowed)})")
        if parts:
            said.append(f"Guessing {name}, the share guessed rightly by the share guessed wrongly: {', '.join(parts)}.")
    return " ".join(said)


def _seen(column: Column, guessing_in: bool) -> list[float]:
    """The rates of a fixed few that so many trials can show."""
    judged = int((column.included != guessing_in).sum())
    return [rate for rate in _FPRS if rate * judged >= 1] or [_FPRS[-1]]


def evidence_in_words(report: Report) -> str:
    """The path: where the wealth ended, its extremes, and the bound beside claim and ceiling."""
    history = report.history
    assert history is not None
    log = np.nan_to_num(history.log_wealth, nan=-np.inf)
    most, least = int(log.argmax()), int(log.argmin())
    ends, high, low = (f"{_wealth(log[at])} at trial {int(history.trial[at])}" for at in (-1, most, least))
    said = [f"Wealth: {ends}, of the {needed_wealth(report.confidence):g} needed; highest {high}, lowest {low}."]
    known = history.bound[np.isfinite(history.bound)]
    if known.size:
        told = f"The lower bound ends at epsilon {round_down(float(known[-1]))}"
        claimed = report.claim.epsilon()
        if math.isfinite(claimed):
            told += f", claimed {claimed:.4g}"
        if report.lower_bound is not None and report.lower_bound.ceiling is not None:
            told += f", ceiling {round_down(report.lower_bound.ceiling)}"
        said.append(f"{told}.")
    return " ".join(said)


def _wealth(log: float) -> str:
    return wealth_text(math.exp(log)) if log < 709 else "inf"


def _round_up(value: float) -> str:
    return f"{math.ceil(value * 1000 - 1e-9) / 1000:.3f}"
