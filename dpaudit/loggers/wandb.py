"""A report in a Weights & Biases run. The package is imported when `log` is called (extra dpaudit[wandb])."""

import re
import tempfile
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.loggers.record import record_of, shown, tracker
from dpaudit.report import Report

__all__ = ["log"]


def log(
    report: Report,
    *,
    run: Any = None,
    prefix: str = "dpaudit",
    files: bool = True,
    points: int = 1000,
    redact: bool = False,
) -> None:
    """Write `report` into a Weights & Biases run.

    What was decided beforehand goes to the run's config, what came out and the verdict (``dpaudit/verdict``) to its
    summary, the logarithm of the wealth and the bound to its history, against ``dpaudit/trial``; the files of
    ``report.save`` become an artifact of type "dpaudit".

    Args:
        report: of an audit.
        run: what `wandb.init` returned; None is the run that is open.
        prefix: of all names; another one for a second audit in the same run.
        files: whether to store the saved files.
        points: most points of the path of the evidence, >= 2.
        redact: leave out what tells of single trials: the path, and what ``report.save(redact=True)`` leaves out.

    Raises:
        UsageError: wandb is not installed, no run is open, or no report of an audit.
    """
    report = shown(report, redact)
    record = record_of(report, prefix, points)
    wandb = tracker("wandb")
    run = wandb.run if run is None else run
    if run is None:
        raise UsageError(
            "no Weights & Biases run is open",
            allowed="a run to log into",
            got="none",
            remedy='with wandb.init(project="audits") as run: ...',
        )
    run.config.update(dict(record.params))
    if record.path:
        step = f"{prefix}/trial"
        run.define_metric(step, hidden=True)
        for name in record.path:
            run.define_metric(name, step_metric=step)
        rows: dict[int, dict[str, float]] = {}
        for name, (trials, values) in record.path.items():
            for trial, value in zip(trials, values, strict=True):
                rows.setdefault(trial, {})[name] = value
        for trial in sorted(rows):
            run.log({step: trial, **rows[trial]})
    run.summary.update({**record.metrics, **record.tags})
    if files:
        name = re.sub(r"[^\w.-]+", "-", f"{prefix}-{report.fingerprint[:12]}").strip("-")
        artifact = wandb.Artifact(name, type="dpaudit")
        with tempfile.TemporaryDirectory(prefix="dpaudit-") as folder:
            report.save(folder)
            artifact.add_dir(folder)
            run.log_artifact(artifact)
