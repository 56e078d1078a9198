import math

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.shadow_data import ShadowSource
from dpaudit.membership.synthesis import Binary, FromMarginals, Synthesis, Synthetic, Uniform

FEATURES, CLASSES = 24, 4
WEIGHTS = np.random.default_rng(8).normal(size=(FEATURES, CLASSES))


def predict(x):
    z = (x - 0.5) @ WEIGHTS
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def one_by_one(settings, ask, label, features, rng):
    """Algorithm 1 as it is printed, for one record."""
    x = rng.integers(2, size=(1, features)).astype(np.float32)
    best, best_confidence, rejections, k = None, 0.0, 0, min(settings.k_max, features)
    for step in range(1, settings.iter_max + 1):
        said = ask(x)
        confidence = said[0, label]
        coin = rng.random(1)
        if confidence >= best_confidence:
            best, best_confidence, rejections = x, confidence, 0
            if confidence > settings.conf_min and said.argmax() == label and coin[0] < confidence:
                return x[0], step
        else:
            rejections += 1
            if rejections > settings.rej_max:
                k, rejections = max(settings.k_min, math.ceil(k / 2)), 0
        keys = rng.random((1, features))
        drawn = rng.integers(2, size=(1, features))
        x = best.copy()
        for feature in np.argsort(keys[0])[:k]:
            x[0, feature] = drawn[0, feature]
    return None, settings.iter_max


@pytest.mark.parametrize("seed", range(12))
def test_one_record_is_found_as_the_printed_algorithm_finds_it(seed):
    settings = Synthesis(Binary(FEATURES), conf_min=0.9, k_max=16, k_min=2, rej_max=3, iter_max=200)
    made = settings.synthesise(predict, seed % CLASSES, 1, np.random.default_rng(seed))
    x, steps = one_by_one(settings, predict, seed % CLASSES, FEATURES, np.random.default_rng(seed))
    assert made.found[0] == (x is not None)
    assert made.queries == steps
    if x is not None:
        np.testing.assert_array_equal(made.x[0], x)


@pytest.mark.parametrize("space", [Binary(FEATURES), Uniform(FEATURES), FromMarginals(np.eye(FEATURES))])
def test_found_records_are_classified_with_the_confidence_asked_for(space):
    settings = Synthesis(space, conf_min=0.6, k_max=16, k_min=2, iter_max=150)
    made = settings.synthesise(predict, 2, 200, np.random.default_rng(1))
    said = predict(made.x)
    np.testing.assert_allclose(said[:, 2], made.confidence)
    assert made.found.sum() >= 100
    assert (said[made.found, 2] > 0.6).all()
    assert (said[made.found].argmax(axis=1) == 2).all()
    assert len(np.unique(made.x[made.found], axis=0)) > 50  # many records, not one many times


def test_the_target_is_asked_about_all_open_records_at_once():
    sizes = []

    def counting(x):
        sizes.append(len(x))
        return predict(x)

    made = Synthesis(Binary(FEATURES), conf_min=0.5, k_max=16).synthesise(counting, 0, 50, np.random.default_rng(2))
    assert sizes[0] == 50
    assert sizes == sorted(sizes, reverse=True)
    assert made.queries == sum(sizes)


def test_what_was_not_found_is_said_and_left_out_of_a_data_set():
    def shy(x):  # never surer than .5
        return np.full((len(x), 2), 0.5)

    settings = Synthesis(Binary(4), conf_min=0.6, k_max=4, k_min=1, iter_max=5)
    made = settings.synthesise(shy, 0, 3, np.random.default_rng(0))
    assert not made.found.any()
    assert "0 of 3" in repr(made)
    with pytest.raises(UsageError, match="class 0"):
        Synthetic(shy, settings).draw((np.zeros((3, 4)), np.zeros(3, dtype=np.int64)), np.random.default_rng(0))


def test_a_data_set_has_as_many_of_each_class_as_asked_for():
    labels = np.repeat([3, 1], [20, 10])
    source: ShadowSource = Synthetic(predict, Synthesis(Binary(FEATURES), conf_min=0.4, k_max=16))
    x, y = source.draw((np.full((30, FEATURES), np.nan), labels), np.random.default_rng(5))
    assert np.bincount(y).tolist() == [0, 10, 0, 20]
    np.testing.assert_array_equal(predict(x).argmax(axis=1), y)


def test_settings_and_labels_out_of_range_are_refused():
    with pytest.raises(UsageError, match="conf_min"):
        Synthesis(Binary(3), conf_min=1.0)
    with pytest.raises(UsageError, match="k_min"):
        Synthesis(Binary(3), k_min=8, k_max=4)
    with pytest.raises(UsageError, match="label"):
        Synthesis(Binary(FEATURES)).synthesise(predict, CLASSES, 2, np.random.default_rng(0))
