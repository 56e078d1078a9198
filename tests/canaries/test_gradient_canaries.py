"""Recipes whose canary is a gradient."""

import numpy as np
import pytest
import torch

import canaries
import dpaudit as dpa
from dpaudit.mechanisms import WithGradient

X = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
X[:, 3] = 0
DATA = X, np.arange(8) % 2
MODEL = torch.nn.Linear(5, 2)
RECIPES = {
    "dirac": lambda data, model, **more: canaries.dirac(data, model, **more),
    "random_direction": lambda data, model, **more: canaries.random_direction(data, model, **more),
    "sequence": lambda data, model, **more: canaries.sequence(data, model, steps=6, **more),
}


@pytest.mark.parametrize("name", list(RECIPES))
def test_d1_is_the_same_data_and_a_gradient_of_the_norm_asked_for(name):
    made = RECIPES[name](DATA, MODEL, norm=7.0)
    assert made.name == name
    assert made.excluded is DATA
    assert isinstance(made.included, WithGradient)
    assert made.included.data is DATA
    np.testing.assert_allclose(np.linalg.norm(np.atleast_2d(made.included.gradient), axis=1), 7.0, rtol=1e-6)
    assert made.context["gradient"] is made.included.gradient
    np.testing.assert_allclose(np.linalg.norm(made.context["directions"], axis=-1), 1.0, rtol=1e-12)
    assert made.adjacency is dpa.Adjacency.ADD_OR_REMOVE_ONE
    assert made.digest == RECIPES[name](DATA, 12, norm=7.0, **({"coordinate": 3} if name == "dirac" else {})).digest


def test_dirac_goes_where_no_record_does():
    assert np.flatnonzero(canaries.dirac(DATA, MODEL).context["gradient"]).tolist() == [3]
    assert canaries.dirac(DATA, 12).params["coordinate"] == 11
    assert canaries.dirac(DATA, MODEL, coordinate=-2).params["coordinate"] == 10
    data_set = torch.utils.data.TensorDataset(*map(torch.as_tensor, DATA))
    assert canaries.dirac(data_set, MODEL).params["coordinate"] == 3
    busy = X + 1, DATA[1]
    assert canaries.dirac(busy, MODEL).params["coordinate"] == 11
    convolution = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 2), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    assert canaries.dirac(DATA, convolution).params["coordinate"] == 23


def test_frozen_weights_do_not_count():
    model = torch.nn.Linear(5, 2)
    model.weight.requires_grad_(False)
    assert canaries.dirac(DATA, model).context["gradient"].shape == (2,)
    model.bias.requires_grad_(False)
    with pytest.raises(dpa.UsageError, match="no weight that is trained"):
        canaries.dirac(DATA, model)


def test_random_directions_and_sequences_follow_their_seed():
    for recipe in (canaries.random_direction, RECIPES["sequence"]):
        gradients = [recipe(DATA, MODEL, seed=seed).context["gradient"] for seed in (1, 1, 2)]
        assert (gradients[0] == gradients[1]).all()
        assert (gradients[0] != gradients[2]).any()


def test_a_sequence_visits_all_weights_before_one_comes_again():
    long = canaries.sequence(DATA, MODEL, steps=30)
    places = long.context["gradient"].argmax(axis=1)
    assert long.context["directions"].shape == (30, 1, 12)
    assert sorted(places[:12]) == sorted(places[12:24]) == list(range(12))


def test_a_set_has_quiet_weights_first_and_none_twice():
    made = canaries.dirac_set(DATA, MODEL, 12, norm=5.0)
    assert len(made) == 12
    places = made.gradients.argmax(axis=1).tolist()
    assert places[:2] == [3, 8]
    assert sorted(places) == list(range(12))
    assert made.included([True] * 12) is DATA
    assert made.digest == canaries.dirac_set(DATA, MODEL, 12, norm=5.0).digest
    assert made.digest != canaries.dirac_set(DATA, MODEL, 11, norm=5.0).digest


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_records_of_a_set_join_the_data_in_its_own_kind(kind):
    base = tuple(kind(part) for part in DATA)
    made = dpa.CanarySet(base, records=(kind(X[:3] + 9), kind(np.array([1, 0, 1]))))
    x, y = made.included([True, False, True])
    assert type(x) is type(base[0])
    assert x.shape == (10, 5)
    assert y.tolist() == [*DATA[1].tolist(), 1, 1]
    np.testing.assert_array_equal(x[8:], (X[:3] + 9)[[0, 2]])
    assert len(made) == 3


def test_the_direction_of_a_record_is_that_of_its_gradient():
    """Squared error of a linear model at zero weights: -2 y (x, 1)."""
    x, y = np.array([3.0, 0, -4, 0, 0], np.float32), np.array([2.0], np.float32)
    worlds = dpa.Neighbors(
        excluded=(X, X[:, :1]), included=(np.vstack([X, x]), np.append(X[:, :1], [y], 0)), canary=(x, y)
    )
    model = torch.nn.Linear(5, 1)
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    expected = -np.array([3.0, 0, -4, 0, 0, 1]) / np.sqrt(26)
    np.testing.assert_allclose(canaries.record_direction(worlds, model), expected[None], rtol=1e-6)
    model.weight.requires_grad_(False)
    assert canaries.record_direction(worlds, model).tolist() == [[-1.0]]
    classes = canaries.blank(DATA, label=1)
    assert canaries.record_direction(classes, MODEL).shape == (1, 12)
    with pytest.raises(dpa.UsageError, match="no record"):
        canaries.record_direction(canaries.dirac(DATA, MODEL), MODEL)


def test_what_does_not_fit_is_told():
    for call, said in (
        (lambda: canaries.dirac(DATA, MODEL, coordinate=12), "coordinate"),
        (lambda: canaries.dirac(DATA, MODEL, norm=0), "norm"),
        (lambda: canaries.dirac(DATA, "model"), "number of weights"),
        (lambda: canaries.random_direction(DATA, 0), "no weight"),
        (lambda: canaries.sequence(DATA, MODEL, steps=0), "steps"),
        (lambda: canaries.dirac_set(DATA, MODEL, 13), "1 to 12"),
        (lambda: dpa.CanarySet(DATA), "either"),
        (lambda: dpa.CanarySet(DATA, gradients=np.ones(3)), r"\(m, P\)"),
        (lambda: dpa.CanarySet(DATA, records=X), "pair"),
        (lambda: canaries.dirac_set(DATA, MODEL, 3).included([True]), "coins"),
        (lambda: canaries.dirac_set(DATA, MODEL, 3).coins([0.5, 1, 0]), "coins"),
    ):
        with pytest.raises(dpa.UsageError, match=said):
            call()
