"""What the battery does with each kind of release."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.adjacency import Adjacency
from dpaudit.attacks import Attack, Battery, CanaryLoss, Function, NonFinite, Numbers, ScaledLogit, WeightScale
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.transcript import Transcript

MODULE = {
    "canary_loss",
    "scaled_logit",
    "projection",
    "gradient",
    "weight_norm",
    "weight_max",
    "leaf_difference",
    "low_bits",
    "non_finite",
}
BUFFERS = {"buffer_norm", "buffer_max", "buffer_fit", "buffer_count"}


def test_every_attack_is_one():
    for attack in (Battery(), CanaryLoss(), Function(lambda r, n: 0.0), NonFinite(), Numbers(), ScaledLogit()):
        assert isinstance(attack, Attack)


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), np.array(2.5), np.array([2.5]), torch.tensor(2.5), [2.5]])
def test_a_number(value, neighbors):
    assert Battery().statistics(Release(value), neighbors) == {"value": 2.5, "norm": 2.5, "non_finite": 0.0}


def test_numbers_need_no_canary():
    assert Battery().statistics(Release(1, discrete=True), Neighbors(0.0, 1.0))["value"] == 1.0


def test_a_small_array(neighbors):
    row = Battery().statistics(Release(np.array([[3.0, -4.0]])), neighbors)
    assert row == {"value_0": 3.0, "value_1": -4.0, "norm": 5.0, "non_finite": 0.0}
    row = Battery().statistics(Release(torch.tensor([3.0, 1.0]), initial=torch.tensor([0.0, 5.0])), neighbors)
    assert row == {"value_0": 3.0, "value_1": -4.0, "norm": 5.0, "non_finite": 0.0}
    assert len(Battery().statistics(Release(np.zeros(64)), neighbors)) == 66
    with pytest.raises(UsageError, match=r"Release\.initial"):
        Battery().statistics(Release(np.zeros(2), initial=np.zeros(3)), neighbors)


def test_a_large_array(neighbors):
    values = np.zeros(65)
    values[[1, 2]] = [3.0, -4.0]
    direction = np.zeros(65)
    direction[2] = 2.0
    towards = Neighbors(0, 1, context={"direction": direction})
    assert Battery().statistics(Release(values), towards) == {
        "norm": 5.0,
        "max": 4.0,
        "projection": -4.0,
        "non_finite": 0.0,
    }
    assert np.isnan(Battery().statistics(Release(values), neighbors)["projection"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers(bad, neighbors):
    for value in (bad, np.array([1.0, bad]), np.full(100, bad)):
        row = Battery().statistics(Release(value), neighbors)
        assert row["non_finite"] == 1.0
        assert not np.isfinite(row["norm"])


def test_a_linear_model_has_the_same_names_whatever_became_of_it(softmax, make_linear, neighbors):
    assert set(Battery().statistics(Release(softmax), neighbors)) == MODULE
    assert set(Battery().statistics(Release(softmax, initial=softmax), neighbors)) == MODULE
    diverged = make_linear(np.full((3, 3), np.nan), np.zeros(3))
    row = Battery().statistics(Release(diverged, initial=softmax), neighbors)
    assert set(row) == MODULE
    assert row.pop("non_finite") == 1.0
    assert not np.isfinite(list(row.values())).any()


def test_what_a_kind_of_model_and_canary_cannot_have_is_absent(softmax, neighbors, make_linear, make_neighbors):
    def names(model, neighbors):
        return set(Battery().statistics(Release(model, initial=model), neighbors))

    normalised = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    assert names(normalised, neighbors) == MODULE | BUFFERS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(make_linear([[1.0] * 3], [0.0]), make_neighbors(y=0.5)) == MODULE - {"scaled_logit"}
        assert names(softmax, make_neighbors(x=np.zeros(3, np.float32))) == MODULE - {"projection"}  # no direction
    image = make_neighbors(x=np.ones((1, 3, 3), np.float32))
    convolution = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3))
    assert names(convolution, image) == MODULE - {"projection"}
    unknown = Neighbors(neighbors.excluded, neighbors.included, context=neighbors.context)
    with pytest.warns(RuntimeWarning, match="needs the canary's record"):
        assert names(softmax, unknown) == MODULE


def test_a_gradient_canary_is_looked_for_in_the_weights(softmax, make_linear, neighbors):
    gradient = np.arange(12, dtype=np.float32)  # of the weights row by row, then the biases
    unknown = Neighbors(neighbors.excluded, neighbors.excluded, Adjacency.REPLACE_ONE, context={"gradient": gradient})
    moved = make_linear(-0.5 * gradient[:9].reshape(3, 3), -0.5 * gradient[9:])
    start = make_linear(np.zeros((3, 3)), np.zeros(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = Battery().statistics(Release(moved, initial=start), unknown)
    assert set(row) == MODULE - {"canary_loss", "scaled_logit", "projection"}
    assert row["gradient"] == pytest.approx(0.5 * np.linalg.norm(gradient))
    sequence = replace(unknown, context={"gradient": np.stack([gradient, gradient])})
    assert Battery().statistics(Release(moved, initial=start), sequence)["gradient"] == pytest.approx(row["gradient"])
    short = replace(unknown, context={"gradient": gradient[:5]})
    with pytest.warns(RuntimeWarning, match="the gradient canary's length; allowed: 12 trained weights; got: 5"):
        assert np.isnan(Battery().statistics(Release(moved, initial=start), short)["gradient"])


def test_a_transcript_and_what_came_out_at_its_end(softmax, neighbors):
    seen = Transcript(projections=np.array([[1.0, 0.5], [2.0, 0.5]]), clip_bounds=np.ones(2))
    alone = Battery().statistics(Release(seen), neighbors)
    assert alone["transcript_sum"] == pytest.approx(3.0)
    assert alone["non_finite"] == 0.0
    assert not MODULE - {"non_finite"} & alone.keys()
    for release in (
        Release(replace(seen, final=softmax, initial=softmax)),
        Release(replace(seen, final=softmax), initial=softmax),
    ):
        assert Battery().statistics(release, neighbors).keys() == alone.keys() | MODULE
    start_unknown = Battery().statistics(Release(replace(seen, final=softmax)), neighbors)
    assert start_unknown.keys() == alone.keys()
    broken = Transcript(projections=np.array([[np.nan, 0.0]] * 2), clip_bounds=np.ones(2))
    assert Battery().statistics(Release(broken), neighbors)["non_finite"] == 1.0
    both = replace(broken, final=softmax, initial=softmax)
    assert Battery().statistics(Release(both), neighbors)["non_finite"] == 1.0


def test_regression(make_linear, make_neighbors):
    row = Battery().statistics(Release(make_linear([[1.0] * 3], [0.0])), make_neighbors(y=0.5))
    assert row["canary_loss"] == -(1.5**2)


def test_a_model_that_does_not_take_the_record_says_why_and_the_rest_stands(neighbors):
    model = nn.Conv2d(1, 3, 2)
    with pytest.warns(RuntimeWarning, match="says nothing") as told:
        row = Battery().statistics(Release(model, initial=model), neighbors)
    assert set(row) == MODULE - {"projection"}
    assert np.isnan(row["canary_loss"])
    assert np.isnan(row["gradient"])
    assert row["weight_norm"] == 0
    assert {str(w.message).split()[0] for w in told} == {"canary_loss", "scaled_logit", "gradient", "leaf_difference"}


def test_sklearn_models():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    data = (x, y)
    neighbors = Neighbors(data, (np.vstack([x, x[:1]]), np.append(y, 2)), canary=(x[0], 2))
    models = [
        LogisticRegression(),
        RandomForestClassifier(3, random_state=0),
        MLPClassifier((4,), max_iter=300, tol=1.0, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ]
    for model in models:
        model.fit(x, y)
        row = Battery().statistics(Release(model), neighbors)
        assert set(row) == {"canary_loss", "scaled_logit", "non_finite"}
        assert row["canary_loss"] == pytest.approx(np.log(model.predict_proba(x[:1])[0, 2]))
        assert row["non_finite"] == 0


@pytest.mark.parametrize("value", ["a model", {"weights": 1.0}, object(), None, np.array(["a"]), []])
def test_other_releases_ask_for_an_attack(value, neighbors):
    with pytest.raises(UsageError, match=r"no statistic is known.*Function"):
        Battery().statistics(Release(value), neighbors)


def test_parts(softmax, neighbors):
    row = Battery([CanaryLoss(), WeightScale()]).statistics(Release(softmax), neighbors)
    assert set(row) == {"canary_loss", "weight_norm", "weight_max"}
    with pytest.raises(UsageError, match="share a name; allowed: one each; got: canary_loss"):
        Battery([CanaryLoss(), CanaryLoss()]).statistics(Release(softmax), neighbors)
    for bad in ([], [3.0]):
        with pytest.raises(UsageError, match="parts of a battery"):
            Battery(bad)
    with pytest.raises(UsageError, match="loss="):
        Battery([CanaryLoss()], loss=nn.functional.cross_entropy)


def test_own_loss_reaches_loss_and_gradient(softmax, make_linear, neighbors):
    def loss(output, y):
        return (output[0, 0] - 7.0) ** 2

    start = make_linear(np.zeros((3, 3)), np.zeros(3))
    row = Battery(loss=loss).statistics(Release(softmax, initial=start), neighbors)
    assert row["canary_loss"] == pytest.approx(-25)
    assert row["gradient"] == pytest.approx((2 * 0.5 + 1.0) / np.sqrt(5), rel=1e-6)  # along (x, 1) of output 0


def test_own_attacks(softmax, neighbors):
    def share(release, neighbors):
        return release.value.weight.mean()

    attack = Function(share)
    assert attack.statistics(Release(softmax), neighbors)["score"] == pytest.approx(17 / 9)
    assert attack.name == "share"
    assert Function(lambda r, n: {"a": 1, "b": np.nan}).statistics(Release(0), neighbors)["a"] == 1.0
    with pytest.raises(UsageError, match="a float, or named floats"):
        Function(lambda r, n: "high").statistics(Release(0), neighbors)
    with pytest.raises(UsageError):
        Function(3.0)


def test_reprs_serve_as_fingerprints():
    def first(output, y):
        return 1.0

    def second(output, y):
        return 2.0

    assert repr(Battery()) == "Battery()"
    assert repr(Battery([CanaryLoss(), ScaledLogit()])) == "Battery(parts=[CanaryLoss(), ScaledLogit()])"
    texts = {repr(Battery(loss=first)), repr(Battery(loss=second)), repr(CanaryLoss(first)), repr(Function(first))}
    assert len(texts) == 4
    assert not any(" at 0x" in text for text in texts)
