"""The one statistic that is drawn: the one the evidence rests on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.report.report import Report
from dpaudit.scores import Game

REVERSED = " (reversed)"


@dataclass(frozen=True, eq=False)
class Column:
    """A statistic of all trials.

    Attributes:
        name: of the statistic.
        values: (n,) float64 as measured; NaN and infinities possible.
        included: (n,) bool, the coins.
        lost: (n,) bool, trials the harness lost.
        sign: 1 if higher means included, -1 if lower does.
        thresholds: label -> value on the scale of `values`.
        unit: what a row is: "trials", or "canaries" of one run.
    """

    name: str
    values: NDArray[np.float64]
    included: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    sign: int
    thresholds: dict[str, float]
    unit: str = "trials"

    @property
    def placed(self) -> NDArray[np.float64]:
        """(n,) sign x value, in the order in which methods count: NaN lowest, lost trials where they hurt."""
        signed = np.where(np.isnan(self.values), -np.inf, self.sign * self.values)
        return np.where(self.lost, np.where(self.included, -np.inf, np.inf), signed)


def best_column(report: Report) -> Column | None:
    """The statistic of report.rule, else report.statistic, else the first one; None without scores."""
    scores = report.scores
    if scores is None or len(scores) == 0:
        return None
    said = str(report.rule.get("statistic") or report.statistic or "")
    sign = int(report.rule.get("sign", -1 if said.endswith(REVERSED) else 1))
    name = said.removesuffix(REVERSED)
    known = name in scores.names
    index = scores.names.index(name) if known else 0
    thresholds = report.rule.get("thresholds", {})
    if not thresholds and report.test is not None and report.test.details.get("threshold") is not None:
        thresholds = {"threshold": report.test.details["threshold"]}  # counting methods have a single one
    return Column(
        name=scores.names[index],
        values=scores.values[:, index],
        included=scores.included_mask,
        lost=scores.lost if len(scores.lost) == len(scores) else np.zeros(len(scores), bool),
        sign=sign if known else 1,
        thresholds={str(label): float(value) for label, value in thresholds.items()} if known else {},
        unit="canaries" if scores.game is Game.ONE_RUN else "trials",
    )
