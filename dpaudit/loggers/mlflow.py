"""A report in an MLflow run. The package of the same name is imported when `log` is called (extra dpaudit[mlflow])."""

import tempfile
import time

from dpaudit.errors import UsageError
from dpaudit.loggers.record import record_of, shown, tracker
from dpaudit.report import Report

__all__ = ["log"]

_BATCH = 1000  # metrics that one request of MLflow takes


def log(
    report: Report, *, prefix: str = "dpaudit", files: bool = True, points: int = 1000, redact: bool = False
) -> None:
    """Write `report` into the MLflow run that is open.

    Parameters are what was decided beforehand, metrics what came out, the verdict a tag ``dpaudit/verdict``; the
    logarithm of the wealth and the bound are metrics with the number of trials as their step; the files of
    ``report.save`` are artifacts under ``dpaudit/``.

    Args:
        report: of an audit.
        prefix: of all names; another one for a second audit in the same run.
        files: whether to store the saved files.
        points: most points of the path of the evidence, >= 2.
        redact: leave out what tells of single trials: the path, and what ``report.save(redact=True)`` leaves out.

    Raises:
        UsageError: MLflow is not installed, no run is open, or no report of an audit.
    """
    report = shown(report, redact)
    record = record_of(report, prefix, points)
    mlflow = tracker("mlflow")
    run = mlflow.active_run()
    if run is None:
        raise UsageError(
            "no MLflow run is open", allowed="a run to log into", got="none", remedy="with mlflow.start_run(): ..."
        )
    mlflow.log_params(dict(record.params))
    mlflow.set_tags(dict(record.tags))
    mlflow.log_metrics(dict(record.metrics), step=report.trials.completed)
    now = int(time.time() * 1000)
    path = [
        mlflow.entities.Metric(name, value, now, trial)
        for name, (trials, values) in record.path.items()
        for trial, value in zip(trials, values, strict=True)
    ]
    for at in range(0, len(path), _BATCH):
        mlflow.MlflowClient().log_batch(run.info.run_id, metrics=path[at : at + _BATCH])
    if files:
        with tempfile.TemporaryDirectory(prefix="dpaudit-") as folder:
            report.save(folder)
            mlflow.log_artifacts(folder, artifact_path=prefix)
