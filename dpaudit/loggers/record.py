"""What of a report goes to an experiment tracker, whichever it is."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from dpaudit.errors import UsageError
from dpaudit.report import Report
from dpaudit.report.redaction import redacted

__all__ = ["Record", "record_of", "shown", "tracker"]


@dataclass(frozen=True)
class Record:
    """Every number and text is one of `Report.to_dict`, the path is that of the plots.

    Attributes:
        params: what was decided before the first trial.
        metrics: what came out; without those that no method gave.
        tags: the verdict and what else is text.
        path: evidence by number of trials: name -> ((k,) trials, (k,) values); empty if the method keeps none.
    """

    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    path: Mapping[str, tuple[list[int], list[float]]]


def shown(report: Report, redact: bool) -> Report:
    """`report` as it may be logged.

    Raises:
        UsageError: no report of an audit.
    """
    if not isinstance(report, Report):
        raise UsageError("a logger takes the report of an audit", allowed="dpa.Report", got=type(report).__name__)
    return redacted(report) if redact else report


def record_of(report: Report, prefix: str, points: int) -> Record:
    """The record of `report`, all names as ``prefix/name``.

    Args:
        report: of an audit, of many runs or of one.
        prefix: keeps several audits in one run apart.
        points: most points of the path; the first, the last and evenly spaced ones between are kept, >= 2.

    Raises:
        UsageError: an empty prefix, or a number of points that makes no path.
    """
    if not prefix or points < 2:
        raise UsageError("prefix= and points=", allowed="some text, at least 2", got=f"{prefix!r}, {points}")
    told = report.to_dict()
    claim, trials, bound, test = told["claim"], told["trials"], told["lower_bound"] or {}, told["test"] or {}
    params = {
        **{f"claim_{name}": claim[name] for name in ("epsilon", "delta", "adjacency", "kind", "source")},
        "max_trials": trials["requested"],
        **{name: told[name] for name in ("confidence", "seed", "method", "engine", "threat_model", "canary")},
        **{f"version_{package}": version for package, version in told["versions"].items()},
    }
    metrics = {
        "epsilon_lower_bound": bound.get("epsilon"),
        "epsilon_ceiling": bound.get("ceiling"),
        "claim_epsilon": claim["epsilon"],
        "p_value": test.get("p_value"),
        "e_value": test.get("e_value"),
        **{f"trials_{name}": trials[name] for name in ("completed", "included", "excluded", "failed", "lost")},
    }
    tags = {name: told[name] for name in ("verdict", "statistic", "reason", "fingerprint", "reproduce")}
    return Record(
        params={f"{prefix}/{name}": value for name, value in params.items()},
        metrics={f"{prefix}/{name}": float(value) for name, value in metrics.items() if value is not None},
        tags={f"{prefix}/{name}": str(value) for name, value in tags.items() if value},
        path={f"{prefix}/{name}": column for name, column in _path(report, points).items()},
    )


def tracker(name: str) -> ModuleType:
    """The tracker's own package.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(
            f"{name} is not installed", allowed="an environment with it", remedy=f'pip install "dpaudit[{name}]"'
        ) from None


def _path(report: Report, points: int) -> dict[str, tuple[list[int], list[float]]]:
    history = report.history
    if history is None or len(history) == 0:
        return {}
    at = np.unique(np.linspace(0, len(history) - 1, points).astype(int))
    columns: dict[str, Any] = {"log_wealth": history.log_wealth, "epsilon_lower_bound_so_far": history.bound}
    kept = {name: at[~np.isnan(column[at])] for name, column in columns.items()}
    return {
        name: (history.trial[rows].tolist(), columns[name][rows].tolist()) for name, rows in kept.items() if len(rows)
    }
