from typing import Any

import numpy as np
import pytest
from fused_worlds import reference, sums, world
from scipy import stats

from dpaudit.ensemble.fused import Told, train


def with_canary(clip: Any = 1.3, scale: float = 50.0, each: bool = False, **changes: Any) -> Any:
    w = world((12, 20, 4), models=6, clip=clip, **changes)
    rng = np.random.default_rng(3)
    gradient = scale * rng.normal(size=w.start.shape if each else w.start.shape[1]).astype("f4")
    w.canary = gradient, np.array([True, False] * 3)
    w.canary_coins = rng.random((6, w.steps)) < 0.5
    return w


@pytest.mark.parametrize("clip", [1.3, (0.4, 0.7), None])
@pytest.mark.parametrize("scale", [1e-3, 50.0])
@pytest.mark.parametrize("each", [False, True])
def test_a_gradient_canary_is_clipped_like_a_record_and_joins_by_its_coin(clip: Any, scale: float, each: bool) -> None:
    w = with_canary(clip, scale, each, noise_multiplier=0.7 if clip else 0.0)
    expected = reference(w)
    np.testing.assert_allclose(train(**w.arguments()), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_models_without_the_canary_are_as_if_there_were_none() -> None:
    w = with_canary()
    own = {**w.arguments(), "masks": None, "noise": None, "canary_coins": None}
    plain, out = train(**{**own, "canary": None}), train(**own)
    np.testing.assert_array_equal(out[1::2], plain[1::2])
    assert (out[::2] != plain[::2]).any(axis=1).all()
    for m in range(6):
        mine = {k: own[k][m : m + 1] for k in ("present", "start", "seeds")}
        canary = own["canary"][0], own["canary"][1][m : m + 1]
        np.testing.assert_array_equal(train(**{**own, **mine, "canary": canary}), out[m : m + 1])


def test_the_canarys_own_coin_has_the_sample_rate_and_is_not_a_records() -> None:
    models, steps = 20_000, 4
    told = Told(np.array([[1.0, 0.0], [0.0, 1.0]], "f4"))
    train(
        x=np.ones((1, 1), "f4"),
        y=np.zeros(1, int),
        present=np.ones((models, 1), bool),
        sizes=(1, 2),
        activation=None,
        start=np.zeros(4, "f4"),
        seeds=np.arange(models, dtype=np.uint64),
        noise_multiplier=0.0,
        clip=1.0,
        sample_rate=0.3,
        steps=steps,
        learning_rate=0.0,
        divisor=1.0,
        canary=(np.array([0, 0, 0, 9], "f4"), np.ones(models, bool)),
        told=(told := Told(np.array([[0, 0, 0.5, 0.5]], "f4"))),
    )
    joined = told.projections[:, :, 0] > 0.2  # a record moves both biases by as much, in opposite directions
    assert stats.binomtest(int(joined.sum()), joined.size, 0.3).pvalue > 1e-6
    assert stats.binomtest(int(told.sizes.sum()), told.sizes.size, 0.3).pvalue > 1e-6
    for a, b in ((joined, told.sizes), (joined[:, 0], joined[:, 1]), (told.sizes[:, 0], told.sizes[:, 1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) * np.sqrt(a.size) < 5.5


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_record_holds_the_noised_sums_and_the_batch_sizes(optimizer: str) -> None:
    w = with_canary(optimizer=optimizer)
    told = Told(np.random.default_rng(5).normal(size=(3, w.start.shape[1])).astype("f4"))
    out = train(**w.arguments(), told=told)
    exact = sums(w) @ told.directions.T.astype(float)
    np.testing.assert_allclose(told.projections, exact, atol=1e-5 * np.abs(exact).max())
    np.testing.assert_array_equal(told.sizes, (w.masks & w.present[:, None]).sum(axis=2))
    np.testing.assert_allclose(out, reference(w), rtol=2e-4 if optimizer == "adam" else 1e-5, atol=1e-5)


def test_telling_changes_the_result_by_rounding_only() -> None:
    w = with_canary()
    own = {**w.arguments(), "masks": None, "noise": None, "canary_coins": None}
    told, again = Told(np.eye(2, w.start.shape[1], dtype="f4")), Told(np.eye(2, w.start.shape[1], dtype="f4"))
    np.testing.assert_allclose(train(**own, told=told), train(**own), rtol=1e-5, atol=1e-6)
    train(**own, told=again, threads=4)
    np.testing.assert_array_equal(told.projections, again.projections)
    np.testing.assert_array_equal(told.sizes, again.sizes)
