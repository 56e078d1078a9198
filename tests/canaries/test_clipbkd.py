"""ClipBKD: least variance, mean norm, least likely label."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import canaries
from canaries._clipbkd import least_direction
from dpaudit.datasets import digits
from dpaudit.errors import UsageError


@pytest.fixture(scope="module")
def lively():
    """400 digits, their 35 pixels of largest variance: none is constant."""
    x, y = digits()
    return np.ascontiguousarray(x[:400, np.argsort(-x[:400].var(0))[:35]]), y[:400]


def test_no_direction_has_less_variance(lively):
    x = lively[0]
    direction = canaries.clipbkd(lively).context["direction"]
    singular = np.linalg.svd(x.astype(float) - x.mean(0, dtype=float), compute_uv=False)
    assert np.var(x.astype(float) @ direction) == pytest.approx(singular[-1] ** 2 / 400, rel=1e-6)
    rng = np.random.default_rng(0)
    others = rng.normal(size=(1000, 35))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.var(x.astype(float) @ others.T, axis=0).min() > 2 * np.var(x.astype(float) @ direction)


def test_it_is_as_long_as_a_record_is_on_average(lively):
    x = lively[0].astype(float)
    for scale in (1.0, 0.25):
        canary = canaries.clipbkd(lively, scale=scale).canary[0]
        assert np.linalg.norm(canary) == pytest.approx(scale * np.linalg.norm(x, axis=1).mean(), rel=1e-6)


def test_the_label_is_least_likely_under_a_logistic_model(lively):
    neighbors = canaries.clipbkd(lively)
    model = LogisticRegression(max_iter=2000).fit(*lively)  # as in the paper's code, on raw features
    odds = model.predict_proba(neighbors.canary[0][None])[0]
    assert neighbors.canary[1] == np.argmin(odds) == neighbors.context["label"]
    assert canaries.clipbkd(lively, label=4).canary[1] == 4


@pytest.mark.parametrize("records", [30, 300])  # fewer than features, and more
def test_where_some_directions_have_no_variance_no_record_has_a_component(records):
    x, y = digits()
    data = (x[:records], y[:records])
    direction = canaries.clipbkd(data).context["direction"]
    assert np.abs(data[0].astype(float) @ direction).max() < 1e-9
    again = canaries.clipbkd((data[0][::-1].copy(), data[1][::-1].copy())).context["direction"]
    np.testing.assert_allclose(direction, again, atol=1e-6)


def test_a_constant_feature_is_no_free_direction():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    rows[:, 1], rows[:, 3] = 2.0, -1.0  # constant, but every gradient uses them
    direction = least_direction(rows)
    np.testing.assert_allclose(rows @ direction, 0, atol=1e-12)
    assert np.linalg.norm(direction) == pytest.approx(1)
    alone = least_direction(np.full((5, 1), 3.0))  # nothing else is left
    np.testing.assert_allclose(alone, [1.0])


def test_integers_and_regression(lively):
    x, y = digits()
    counts = np.rint(x[:200] * 16).astype(np.uint8)
    canary = canaries.clipbkd((counts, y[:200])).canary[0]
    assert canary.dtype == np.uint8
    assert not (counts.astype(float) @ canary.astype(float)).any()
    assert canaries.clipbkd((lively[0], lively[1].astype(float)), label=2.5).canary[1] == 2.5
    with pytest.raises(UsageError, match="no rare label"):
        canaries.clipbkd((lively[0], lively[1].astype(float)))


@pytest.mark.parametrize("scale", [0, -1.0, np.inf, np.nan])
def test_what_cannot_be_used_is_refused(lively, scale):
    with pytest.raises(UsageError, match="scale"):
        canaries.clipbkd(lively, scale=scale)
    with pytest.raises(UsageError, match="principal directions"):
        canaries.clipbkd((np.zeros((4, 3)), np.arange(4)))
    with pytest.raises(UsageError, match="principal directions"):
        canaries.clipbkd((np.full((4, 3), np.nan), np.arange(4)))
