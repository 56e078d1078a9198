"""Whole audits on tables: ordinary scikit-learn and numpy code, one verdict each way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa


def people() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 40)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 70, 40),
            "town": pd.Categorical(rng.choice(["Ulm", "Köln"], 40)),
            "hours": rng.normal(40 + 5 * label, 4),
            "income": np.where(label, "high", "low"),
        }
    )


def no_privacy(data: pd.DataFrame, seed: int) -> Any:
    """A pipeline with names, categories and string labels, on most of the data."""
    coded = ColumnTransformer([("town", OneHotEncoder(), ["town"])], remainder=StandardScaler())
    model = make_pipeline(coded, LogisticRegression(tol=1e-3))
    some = data.sample(frac=0.9, random_state=seed)
    return model.fit(some.drop(columns="income"), some["income"])


def noisy_share(data: pd.DataFrame, seed: int) -> float:
    """The number of people with a high income, with Laplace noise of scale .5: eps 2."""
    return float((data["income"] == "high").sum() + np.random.default_rng(seed).laplace(scale=0.5))


def test_a_frame_and_a_pipeline() -> None:
    neighbors = canaries.extreme(canaries.Table(people(), label="income"), scale=30, label="high")
    report = dpa.audit(no_privacy, neighbors, claim=dpa.Claim(epsilon=1), max_trials=60, seed=1, workers=0)
    assert report.verdict is dpa.Verdict.REFUTED, str(report)
    assert {"canary_loss", "scaled_logit"} <= set(report.battery)
    assert report.trials.failed == report.trials.lost == 0
    assert "label=high" in report.canary


@pytest.mark.parametrize(("epsilon", "verdict"), [(2.1, "NOT_REFUTED"), (0.2, "REFUTED")])
def test_a_frame_and_a_count(epsilon: float, verdict: str) -> None:
    neighbors = canaries.mislabeled(canaries.Table(people(), label="income"), label="high", index=_low(people()))
    dpa.audit(noisy_share, neighbors, claim=dpa.Claim(epsilon=epsilon), max_trials=100, seed=4, workers=0).require(
        verdict
    )


def _low(data: pd.DataFrame) -> int:
    return int(np.flatnonzero(data["income"] == "low")[0])


def _hugging_face() -> Any:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    data = people()
    return datasets.Dataset.from_dict(
        {
            "x": data[["age", "hours"]].to_numpy(np.float32).tolist(),
            "label": (data["income"] == "high").astype(int).tolist(),
        },
        features=datasets.Features(
            {"x": datasets.Sequence(datasets.Value("float32"), length=2), "label": datasets.ClassLabel(2)}
        ),
    )


def naive_bayes(noise: float) -> Callable[[Any, int], GaussianNB]:
    def train(data: Any, seed: int) -> GaussianNB:
        rng, columns = np.random.default_rng(seed), data.with_format("numpy")[:]
        model = GaussianNB(var_smoothing=1e-3).fit(np.clip(columns["x"], 0, 100), columns["label"])
        model.theta_ += rng.normal(scale=noise, size=model.theta_.shape)
        return model

    return train


@pytest.mark.parametrize(("noise", "verdict"), [(0.02, "REFUTED"), (500.0, "NOT_REFUTED")])
def test_a_hugging_face_data_set(noise: float, verdict: str) -> None:
    neighbors = canaries.extreme(_hugging_face(), scale=2, label=1)
    report = dpa.audit(
        naive_bayes(noise), neighbors, claim=dpa.Claim(epsilon=1, delta=1e-5), max_trials=100, seed=5, workers=0
    )
    assert report.trials.failed == 0
    report.require(verdict)


def test_frames_reach_worker_processes() -> None:
    neighbors = canaries.blank(canaries.Table(people(), label="income"))
    runs = [
        dpa.audit(noisy_share, neighbors, claim=dpa.Claim(epsilon=0.5), max_trials=20, seed=6, workers=w)
        for w in (0, 2)
    ]
    assert runs[0].to_dict(volatile=False) == runs[1].to_dict(volatile=False)


def remembering(data: pd.DataFrame, seed: int) -> Any:
    """Answers by heart what it was shown, with its own noise on it."""
    rng = np.random.default_rng(seed)
    return LogisticRegression(C=1e6, tol=1e-3, max_iter=200).fit(
        np.eye(80)[data["who"]] + rng.normal(scale=0.01, size=(len(data), 80)), data["label"]
    )


def test_one_run_on_a_frame() -> None:
    rng = np.random.default_rng(7)
    base = pd.DataFrame({"who": np.zeros(4, int), "label": [0, 1, 0, 1]})
    more = pd.DataFrame({"who": np.arange(1, 61), "label": rng.integers(0, 2, 60)})
    chosen = dpa.CanarySet(base, records=more)

    def attack(release: Any, canary_set: dpa.CanarySet) -> Any:
        odds = release.value.predict_log_proba(np.eye(80)[canary_set.records["who"]])
        return odds[np.arange(60), canary_set.records["label"]]

    report = dpa.audit_one_run(remembering, chosen, dpa.Claim(epsilon=0.5), attack=attack, seed=8)
    report.require("REFUTED")


def plain_model(data: pd.DataFrame, seed: int) -> LogisticRegression:
    """By names, so that the default attack has to give it names."""
    rng = np.random.default_rng(seed)
    x = data[["a", "b"]] + rng.normal(scale=0.01, size=(len(data), 2))
    return LogisticRegression(C=1e4, max_iter=100, tol=1e-3).fit(x, data["label"])


def test_one_run_on_a_frame_by_the_default_attack() -> None:
    rng = np.random.default_rng(9)
    base, more = (
        pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "label": np.resize(["no", "yes"], n)})
        for n in (6, 30)
    )
    report = dpa.audit_one_run(plain_model, dpa.CanarySet(base, records=more), dpa.Claim(epsilon=0.2), seed=8)
    assert report.statistic == "scaled_logit"
    assert report.verdict is dpa.Verdict.NOT_REFUTED, str(report)


def make_loader() -> Any:
    return DataLoader(TensorDataset(torch.full((9, 3), 0.5), torch.zeros(9, dtype=int)), batch_size=4, shuffle=True)


def noisy_total(noise: float) -> Callable[[Any, int], np.ndarray]:
    def train(batches: Any, seed: int) -> np.ndarray:
        total = sum(x.clip(-0.5, 0.5).sum(dim=0) for x, _ in (batches() if callable(batches) else batches))
        return total.numpy() + np.random.default_rng(seed).normal(scale=noise, size=3)

    return train


@pytest.mark.parametrize("source", [make_loader(), make_loader], ids=["loader", "function"])
@pytest.mark.parametrize(("noise", "verdict"), [(0.25, "REFUTED"), (25.0, "NOT_REFUTED")])
def test_loaders_and_functions_that_make_them(source: Any, noise: float, verdict: str) -> None:
    neighbors, claim = canaries.extreme(source, label=0, scale=4), dpa.Claim(epsilon=0.5, delta=1e-3)
    dpa.audit(noisy_total(noise), neighbors, claim=claim, max_trials=60, seed=2, workers=0).require(verdict)
