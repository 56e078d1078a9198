import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.shadow_data import Marginal, Noisy, Real, chosen_features


def binary(records=400, features=30, seed=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=records)
    return (rng.random((records, features)) < 0.1 + 0.3 * y[:, None]).astype(np.float32), y


def test_real_data_are_copies():
    data = binary()
    x, y = Real().draw(data, np.random.default_rng(0))
    x[0] = 7
    assert data[0].max() == 1
    np.testing.assert_array_equal(y, data[1])


@pytest.mark.parametrize(("share", "flips"), [(0.1, 3), (0.2, 6), (0.0, 0), (1.0, 30)])
def test_noise_flips_exactly_its_share_of_every_record(share, flips):
    x, y = binary()
    noisy, labels = Noisy(share).draw((x, y), np.random.default_rng(1))
    assert (np.abs(noisy - x).sum(axis=1) == flips).all()
    np.testing.assert_array_equal(labels, y)
    assert set(np.unique(noisy)) <= {0, 1}


def test_every_feature_is_as_likely_to_be_chosen():
    chosen = chosen_features(np.random.default_rng(2), np.full(20_000, 3), 12)
    # 5,000 expected each, sd 61: seven of them, in 12 places, happens once in 10^10
    assert np.abs(chosen.sum(axis=0) - 5000).max() < 7 * 61.3


def test_marginal_features_keep_their_means_and_lose_their_dependence():
    rng = np.random.default_rng(4)
    first = (rng.random(1000) < 0.3).astype(np.float32)
    x = np.stack([first, first, 1 - first], axis=1)  # as dependent as can be
    made, _ = Marginal(rows=20_000, predict=lambda rows: np.full((len(rows), 2), 0.5)).draw(
        (x, np.zeros(1000, int)), np.random.default_rng(5)
    )
    # sd of a mean .0033 and of a covariance below .002: seven of each
    assert np.abs(made.mean(axis=0) - x.mean(axis=0)).max() < 7 * 0.0033
    assert abs(np.cov(made.T)[0, 1]) < 7 * 0.002


def test_marginal_records_are_labelled_by_the_target_or_drawn_within_the_label():
    data = binary()

    def predict(rows):
        sure = (rows[:, :1] > 0.5).astype(float)
        return np.concatenate([1 - sure, sure], axis=1)

    made, labels = Marginal(predict).draw(data, np.random.default_rng(6))
    np.testing.assert_array_equal(labels, made[:, 0].astype(int))
    made, labels = Marginal(rows=6000).draw(data, np.random.default_rng(7))
    rates = [made[labels == c].mean() for c in range(3)]
    own = [data[0][data[1] == c].mean() for c in range(3)]
    np.testing.assert_allclose(rates, own, atol=0.015)  # sd below .002 each


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noisy(1.5), "share of flipped features"),
        (lambda: Noisy(0.1).draw((np.full((4, 3), 0.5), np.zeros(4, int)), np.random.default_rng(0)), "0 and 1"),
        (lambda: Real().draw((np.zeros((4, 3)), np.zeros(5, int)), np.random.default_rng(0)), r"\(n, d\)"),
        (lambda: Marginal(lambda x: np.ones(len(x))).draw(binary(), np.random.default_rng(0)), "predict"),
        (lambda: Marginal(lambda x: np.ones((len(x), 3))).draw(binary(), np.random.default_rng(0)), "sum 1"),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
