"""Audits beside the training runs that experiment trackers already keep: `loggers.mlflow` and `loggers.wandb`.

    with mlflow.start_run():
        report = dpa.audit(train, neighbors, claim=claim)
        dpaudit.loggers.mlflow.log(report)

Each module has one function ``log(report, ...)``, which writes into the run that is open. The trackers are extras,
``dpaudit[mlflow]`` and ``dpaudit[wandb]``; they are imported when `log` is called.
"""

from dpaudit.loggers import mlflow, wandb

__all__ = ["mlflow", "wandb"]
