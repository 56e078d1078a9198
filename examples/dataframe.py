"""A private logistic regression on a pandas DataFrame, scaled by statistics of the private data. Refuted.

    dpaudit run examples/dataframe.py

Output perturbation (Chaudhuri, Monteleoni, Sarwate 2011): with records of norm at most 1 the weights of a ridge
logistic regression move by at most 2/(n lambda) when one record is exchanged, and noise of that scale gives pure
eps-DP. Here the columns are scaled by the data's own maximum first: every record is short enough, but one of them
moves all others. `MAXIMA = {...}`, fixed beforehand, mends it.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import canaries
import dpaudit as dpa

EPSILON, RIDGE = 1.0, 0.5
MAXIMA = None  # {"age": 100, "hours": 80}


def people(n=400):
    """Columns as pandas has them: numbers, a category, names as labels."""
    rng = np.random.default_rng(1)
    rich = rng.random(n) < 0.4
    return pd.DataFrame(
        {
            "age": rng.integers(18, 70, n) + 10 * rich,
            "hours": rng.normal(35 + 8 * rich, 6, n).clip(0, 80).round(1),
            "sector": pd.Categorical(np.where(rng.random(n) < 0.5 + 0.2 * rich, "private", "public")),
            "income": np.where(rich, "high", "low"),
        }
    )


class Private:
    """What is published: noisy weights that answer by ``predict_proba``, given rows of the DataFrame."""

    def __init__(self, weights, maxima):
        self.weights, self.maxima, self.classes_ = weights, maxima, np.array(["high", "low"])

    def predict_proba(self, frame):
        low = 1 / (1 + np.exp(-features(frame, self.maxima) @ self.weights))
        return np.stack([1 - low, low], axis=1)


def features(frame, maxima):
    columns = [frame["age"] / maxima["age"], frame["hours"] / maxima["hours"], frame["sector"] == "private"]
    x = np.stack([np.asarray(column, float) for column in columns], axis=1)
    return x / np.maximum(1, np.linalg.norm(x, axis=1, keepdims=True))


def train(data, seed):
    rng = np.random.default_rng(seed)
    maxima = MAXIMA or {"age": data["age"].max(), "hours": data["hours"].max()}
    x, n = features(data, maxima), len(data)
    model = LogisticRegression(C=1 / (n * RIDGE), fit_intercept=False, tol=1e-8).fit(x, data["income"])
    direction = rng.normal(size=3)
    length = rng.gamma(3, 2 / (n * RIDGE * EPSILON))
    return Private(model.coef_[0] + length * direction / np.linalg.norm(direction), maxima)


data = canaries.Table(people(), label="income")
audit = dpa.Audit(
    train,
    canaries.extreme(data, scale=400, label="high", adjacency=dpa.Adjacency.REPLACE_ONE),
    claim=dpa.Claim(epsilon=EPSILON, adjacency=dpa.Adjacency.REPLACE_ONE),
    max_trials=300,
)
