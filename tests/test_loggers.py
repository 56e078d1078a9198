"""Both loggers against the real trackers, offline: what they keep is what report.json says."""

import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.errors import UsageError
from dpaudit.loggers.record import record_of
from dpaudit.neighbors import Neighbors


def noisy_count(data: np.ndarray, seed: int) -> float:
    return float(len(data) + np.random.default_rng(seed).normal(scale=0.5))


@pytest.fixture(scope="module")
def report() -> dpa.Report:
    neighbors = Neighbors(np.zeros(3), np.zeros(4))
    return dpa.audit(noisy_count, neighbors, claim=dpa.Claim(epsilon=0.2), max_trials=200, seed=3, workers=0)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_FILE_STORE": "true",  # mlflow-skinny has no database
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "HOME": str(tmp_path),
        **{f"WANDB_{kind}": str(tmp_path) for kind in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR")},
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mlflow(tmp_path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, at import
        mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    mlflow.set_tracking_uri(tmp_path.as_uri() + "/mlruns")
    return mlflow


def test_the_record_is_what_the_report_says(report: dpa.Report) -> None:
    record, told = record_of(report, "dpaudit", 1000), report.to_dict()
    assert record.tags["dpaudit/verdict"] == told["verdict"] == "REFUTED"
    assert record.metrics["dpaudit/epsilon_lower_bound"] == told["lower_bound"]["epsilon"]
    assert record.metrics["dpaudit/trials_completed"] == told["trials"]["completed"]
    assert record.metrics["dpaudit/e_value"] == told["test"]["e_value"]
    assert record.params["dpaudit/claim_epsilon"] == 0.2
    assert record.params["dpaudit/seed"] == 3
    trials, wealth = record.path["dpaudit/log_wealth"]
    assert report.history is not None
    assert trials == report.history.trial.tolist()
    assert wealth == report.history.log_wealth.tolist()
    short = record_of(report, "other", 5).path["other/log_wealth"]
    assert (len(short[0]), short[0][0], short[0][-1]) == (5, trials[0], trials[-1])


@pytest.mark.filterwarnings("ignore")
def test_mlflow(report: dpa.Report, mlflow: Any) -> None:
    record = record_of(report, "dpaudit", 1000)
    with mlflow.start_run() as run:
        dpa.loggers.mlflow.log(report)
        dpa.loggers.mlflow.log(report, prefix="again", files=False, redact=True)
    client = mlflow.MlflowClient()
    kept = client.get_run(run.info.run_id).data
    assert {k: v for k, v in kept.params.items() if k.startswith("dpaudit/")} == {
        name: str(value) for name, value in record.params.items()
    }
    assert {name: kept.metrics[name] for name in record.metrics} == record.metrics
    assert record.tags.items() <= kept.tags.items()
    history = client.get_metric_history(run.info.run_id, "dpaudit/log_wealth")
    trials, wealth = record.path["dpaudit/log_wealth"]
    assert [(point.step, point.value) for point in history] == list(zip(trials, wealth, strict=True))
    assert {"dpaudit/report.json", "dpaudit/plots"} <= {
        f.path for f in client.list_artifacts(run.info.run_id, "dpaudit")
    }
    saved = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="dpaudit/report.json")
    assert json.loads(Path(saved).read_text())["verdict"] == "REFUTED"
    assert "again/log_wealth" not in kept.metrics
    assert kept.tags["again/verdict"] == "REFUTED"
    assert kept.metrics["again/epsilon_lower_bound"] == record.metrics["dpaudit/epsilon_lower_bound"]
    assert client.list_artifacts(run.info.run_id, "again") == []


def records_of(raw: bytes) -> Iterator[Any]:
    """The records in a run's own file: 7 bytes, then LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    at, part = 7, b""
    while at + 7 <= len(raw):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        part, at = part + raw[at + 7 : at + 7 + size], at + 7 + size
        if kind in (1, 4) and at <= len(raw):  # whole, or the last part
            found = wandb_internal_pb2.Record()
            found.ParseFromString(part)
            part = b""
            yield found


def history_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of an offline run, once its service, a process of its own, has written the last record."""
    for _ in range(600):
        records = list(records_of(next(folder.glob("wandb/offline-run-*/run-*.wandb")).read_bytes()))
        if any(record.HasField("exit") for record in records):
            break
        time.sleep(0.1)
    return [
        {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]


@pytest.mark.filterwarnings("ignore")
def test_wandb(report: dpa.Report, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    record = record_of(report, "dpaudit", 50)
    with wandb.init(project="audits", dir=tmp_path) as run:
        dpa.loggers.wandb.log(report, points=50)
        assert record.params.items() <= dict(run.config).items()
        for name, value in {**record.metrics, **record.tags}.items():
            assert run.summary[name] == value
    rows = history_of(tmp_path)
    trials, wealth = record.path["dpaudit/log_wealth"]
    told = [(row["dpaudit/trial"], row["dpaudit/log_wealth"]) for row in rows if "dpaudit/log_wealth" in row]
    assert told == list(zip(trials, wealth, strict=True))
    assert list(tmp_path.glob("**/staging/*"))  # the files, for the upload that never happens here


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_told_with_its_extra(
    name: str, report: dpa.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf'{name} is not installed.*pip install "dpaudit\[{name}\]"'):
        getattr(dpa.loggers, name).log(report)


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_logged(report: dpa.Report, mlflow: Any) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    for logger, remedy in ((dpa.loggers.mlflow, "start_run"), (dpa.loggers.wandb, "wandb.init")):
        with pytest.raises(UsageError, match=f"run is open.*{remedy}"):
            logger.log(report)
        with pytest.raises(UsageError, match="takes the report of an audit"):
            logger.log({"verdict": "REFUTED"})
        with pytest.raises(UsageError, match="prefix="):
            logger.log(report, prefix="")
