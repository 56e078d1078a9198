from collections.abc import Iterator

import numpy as np
import pytest
from fused_worlds import World, reference, world

from dpaudit.ensemble.fused import train


def far(w: World) -> float:
    expected = reference(w)
    return float(np.max(np.linalg.norm(train(**w.arguments()) - expected, axis=1) / np.linalg.norm(expected, axis=1)))


@pytest.mark.parametrize(
    ("sizes", "activation"),
    [
        ((5, 2), None),
        ((64, 10), None),
        ((1, 1), None),
        ((16, 16), None),
        ((17, 33), None),
        ((13, 50, 3), "relu"),
        ((13, 50, 3), "tanh"),
        ((13, 50, 3), None),
        ((64, 64, 10), "relu"),
        ((7, 9, 20, 31, 4), "relu"),
        ((7, 9, 20, 31, 4), "tanh"),
        ((100, 128, 65), "tanh"),
    ],
)
def test_the_final_parameters_are_those_of_the_definition(sizes: tuple[int, ...], activation: str | None) -> None:
    assert far(world(sizes, activation)) < 1e-6


@pytest.mark.parametrize(
    "changes",
    [
        {"bias": False},
        {"loss": "mse"},
        {"momentum": 0.9},
        {"optimizer": "adam"},
        {"optimizer": "adam", "betas": (0.5, 0.9), "clip": (0.5, 0.8)},
        {"clip": (0.5, 0.8)},
        {"clip": 1e-3},
        {"clip": 1e6},
        {"clip": None, "noise_multiplier": 0.0},
        {"noise_multiplier": 0.0},
        {"sample_rate": 1.0},
        {"bias": False, "loss": "mse", "momentum": 0.5, "clip": (0.5, 0.8)},
    ],
    ids=str,
)
def test_so_are_those_of_every_variant(changes: dict[str, object]) -> None:
    assert far(world((20, 30, 6), "tanh", **changes)) < 2e-6


def test_the_error_stays_small_over_a_long_training() -> None:
    assert far(world((64, 10), steps=50, n=300, models=2)) < 1e-5
    assert far(world((30, 32, 10), "relu", steps=60, n=100, models=2)) < 1e-5


def test_a_batch_far_larger_than_expected_is_not_cut() -> None:
    w = world((12, 24, 5), n=700, steps=3, sample_rate=0.01)
    w.masks[:] = True
    assert far(w) < 2e-6


def test_a_model_without_records_or_with_empty_batches_gets_noise_alone() -> None:
    w = world((6, 8, 3), models=4)
    w.present[0] = False
    w.masks[1] = False
    out = train(**w.arguments())
    walk = w.start - w.learning_rate / w.divisor * w.noise_multiplier * w.clip * w.noise.sum(axis=1)
    np.testing.assert_allclose(out[:2], walk[:2], rtol=1e-5, atol=1e-6)
    assert np.abs(out[2:] - walk[2:]).max() > 1e-2
    assert far(w) < 2e-6


def test_no_models_and_no_records() -> None:
    w = world((6, 3), models=1)
    none = {
        **w.arguments(),
        "present": w.present[:0],
        "start": w.start[0],
        "seeds": w.seeds[:0],
        "masks": None,
        "noise": None,
    }
    assert train(**none).shape == (0, 21)
    empty = {**w.arguments(), "x": w.x[:0], "y": w.y[:0], "present": w.present[:, :0], "masks": w.masks[:, :, :0]}
    assert np.isfinite(train(**empty)).all()


def test_extreme_logits_stay_exact() -> None:
    w = world((8, 5), noise_multiplier=0.1)
    w.x *= 300
    assert far(w) < 2e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sizes", [(10, 4), (10, 16, 4)])
def test_a_record_that_is_not_finite_spoils_only_the_models_that_have_it(bad: float, sizes: tuple[int, ...]) -> None:
    w = world(sizes, models=5, n=40)
    clean = train(**w.arguments())
    w.x[7, 3] = bad
    w.present[:, 7] = [False, True, False, True, False]
    without = train(**{**w.arguments(), "x": np.where(np.isfinite(w.x), w.x, 0).astype(np.float32)})
    out = train(**w.arguments())
    np.testing.assert_array_equal(out[[0, 2, 4]], without[[0, 2, 4]])
    assert np.isfinite(clean).all()
    drawn = (w.masks[:, :, 7] & w.present[:, 7:8]).any(axis=1)
    assert drawn[1]
    assert np.isnan(out[drawn]).any(axis=1).all()


def splits(models: int) -> Iterator[list[slice]]:
    for size in (1, 2, 5, models):
        yield [slice(i, i + size) for i in range(0, models, size)]


@pytest.mark.parametrize("sizes", [(9, 4), (9, 20, 4)])
def test_any_split_of_the_models_and_any_number_of_threads_give_the_same_bits(sizes: tuple[int, ...]) -> None:
    w = world(sizes, models=11, n=50)
    own = {**w.arguments(), "masks": None, "noise": None}
    whole = train(**own)
    assert len(np.unique(whole, axis=0)) == 11
    for parts in splits(11):
        for part in parts:
            mine = {k: own[k][part] for k in ("present", "start", "seeds")}
            np.testing.assert_array_equal(train(**{**own, **mine}), whole[part])
    for threads in (2, 3, 20):
        np.testing.assert_array_equal(train(**own, threads=threads), whole)
    backwards = {k: own[k][::-1] for k in ("present", "start", "seeds")}
    np.testing.assert_array_equal(train(**{**own, **backwards}), whole[::-1])


def test_a_shared_start_is_that_start_for_every_model() -> None:
    w = world((9, 20, 4), models=3)
    own = {**w.arguments(), "masks": None, "noise": None}
    shared = train(**{**own, "start": w.start[0]})
    np.testing.assert_array_equal(shared, train(**{**own, "start": np.stack([w.start[0]] * 3)}))
