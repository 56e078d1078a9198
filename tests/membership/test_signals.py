"""Signals: what is checked, what is derived, and that files give back what went in."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership import Signals, margins_of
from dpaudit.membership.signals import MARGIN_BOUND


def some(models=4, records=6, augmentations=None, seed=0, **more):
    rng = np.random.default_rng(seed)
    shape = (models, records) if augmentations is None else (models, records, augmentations)
    return Signals(rng.exponential(size=shape), rng.random((models, records)) < 0.5, **more)


def full():
    """With everything a file can hold."""
    rng = np.random.default_rng(1)
    population = np.arange(6) >= 4
    return Signals(
        rng.exponential(size=(4, 6, 2)),
        (rng.random((4, 6)) < 0.5) & ~population,
        labels=np.array([0, 1, 2, 0, 1, 2]),
        outputs=rng.normal(size=(4, 6, 3)).astype(np.float32),
        population=population,
    )


def exact_margin(loss):
    getcontext().prec = 80
    return float(-((Decimal(loss).exp() - 1).ln()))


@pytest.mark.parametrize("loss", [1e-30, 1e-12, 1e-3, 0.5, 0.6931, 3.0, 40.0, 99.0])
def test_margins_keep_their_digits_at_either_end(loss):
    assert margins_of(np.array([loss]))[0] == pytest.approx(exact_margin(loss), rel=1e-13, abs=1e-13)


def test_margins_of_certainty_are_finite():
    assert margins_of(np.array([0.0, 1e-300, 5e3, np.inf])).tolist() == [
        MARGIN_BOUND,
        MARGIN_BOUND,
        -MARGIN_BOUND,
        -MARGIN_BOUND,
    ]


def test_given_margins_are_kept_and_bounded():
    signals = some(2, 2, margins=np.array([[1.0, np.inf], [-np.inf, -3.0]]))
    assert signals.margins.tolist() == [[1.0, MARGIN_BOUND], [-MARGIN_BOUND, -3.0]]


def test_a_record_itself_is_the_first_augmentation():
    signals = some(augmentations=3)
    assert signals.augmentations == 3
    np.testing.assert_array_equal(signals.loss, signals.losses[:, :, 0])
    np.testing.assert_array_equal(signals.margin, signals.margins[:, :, 0])
    plain = some()
    assert plain.augmentations == 1
    np.testing.assert_array_equal(plain.loss, plain.losses)


def test_coverage_counts_models_by_loops():
    signals = some(5, 7)
    for r in range(7):
        inside = sum(bool(signals.members[m, r]) for m in range(5))
        assert (signals.coverage.inside[r], signals.coverage.outside[r]) == (inside, 5 - inside)


def test_attacked_are_those_outside_the_population():
    assert full().attacked.tolist() == [True] * 4 + [False] * 2
    assert some().attacked.all()


@pytest.mark.parametrize("index", [slice(1, 3), [3, 0], np.array([True, False, True, False])])
def test_models_at_takes_rows_of_everything_that_has_them(index):
    whole, part = full(), full().models_at(index)
    rows = index if isinstance(index, slice) else np.asarray(index)
    for name in ("losses", "members", "margins", "outputs"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows])
    np.testing.assert_array_equal(part.labels, whole.labels)
    np.testing.assert_array_equal(part.population, whole.population)


@pytest.mark.parametrize("index", [slice(1, 5), [5, 0, 2], np.arange(6) % 2 == 0])
def test_records_at_takes_columns_of_everything_that_has_them(index):
    whole, part = full(), full().records_at(index)
    columns = index if isinstance(index, slice) else np.asarray(index)
    for name in ("losses", "members", "margins", "outputs"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:, columns])
    np.testing.assert_array_equal(part.labels, whole.labels[columns])
    np.testing.assert_array_equal(part.population, whole.population[columns])


def test_without_leaves_one_model_out():
    whole = full()
    for model in range(4):
        rest = whole.without(model)
        assert rest.models == 3
        np.testing.assert_array_equal(rest.losses, np.delete(whole.losses, model, axis=0))


def test_one_model_or_record_by_number_keeps_the_axes():
    assert full().models_at(2).losses.shape == (1, 6, 2)
    assert full().records_at(2).losses.shape == (4, 1, 2)


@pytest.mark.parametrize("signals", [some(), full()], ids=["least", "full"])
def test_a_file_gives_back_what_went_in(signals, tmp_path):
    path = tmp_path / "signals.npz"
    signals.save(path)
    signals.save(path)  # over the first
    back = Signals.load(path)
    for name in ("losses", "members", "labels", "margins", "outputs", "population"):
        before, after = getattr(signals, name), getattr(back, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_array_equal(before, after)
            assert before.dtype == after.dtype
    assert [file.name for file in tmp_path.iterdir()] == ["signals.npz"]


def test_a_file_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", losses=np.array([[object()]]), members=np.ones((1, 1), bool))
    with pytest.raises(UsageError, match="without pickled objects"):
        Signals.load(tmp_path / "bad.npz")


def test_files_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", losses=np.ones((1, 1)), mask=np.ones((1, 1), bool))
    with pytest.raises(UsageError, match="losses and members"):
        Signals.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no zip")
    for name in ("text.npz", "missing.npz"):
        with pytest.raises(UsageError, match="file of signals"):
            Signals.load(tmp_path / name)
    with pytest.raises(UsageError, match=r"ends in \.npz"):
        some().save(tmp_path / "signals.csv")


def test_nan_is_refused_with_its_count_or_taken_as_no_member():
    losses = np.ones((3, 4))
    losses[1, 2] = losses[1, 3] = np.nan
    members = np.zeros((3, 4), bool)
    outputs = np.zeros((3, 4, 2), np.float32)
    with pytest.raises(UsageError, match=r"2 of 12 are NaN, in 1 models.*non_finite='least'"):
        Signals(losses, members)
    outputs[1, 2] = np.nan
    with pytest.raises(UsageError, match="1 records with others, in 1 models"):
        Signals(np.ones((3, 4)), members, outputs=outputs)
    taken = Signals(losses, members, margins=-losses, outputs=outputs, non_finite="least")
    assert taken.loss[1].tolist() == [1.0, 1.0, np.inf, np.inf]
    assert taken.margin[1].tolist() == [-1.0, -1.0, -MARGIN_BOUND, -MARGIN_BOUND]
    assert taken.outputs is not None
    assert taken.outputs[1, 2].tolist() == [0.0, 0.0]


def test_infinite_losses_are_losses():
    signals = Signals(np.array([[np.inf, 0.5]]), np.ones((1, 2), bool))
    assert signals.margin[0, 0] == -MARGIN_BOUND


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"losses": np.ones(3)}, "losses; allowed: an array"),
        ({"losses": np.ones((0, 3))}, "losses; allowed: an array"),
        ({"losses": -np.ones((2, 3))}, "6 negative ones"),
        ({"members": np.ones((3, 2), bool)}, r"members; allowed: bool of shape \(2, 3\)"),
        ({"members": np.ones((2, 3))}, "float64"),
        ({"labels": [0, 1]}, "labels"),
        ({"labels": [0, 1, -1]}, "least -1"),
        ({"labels": [0.0, 1.0, 1.0]}, "labels"),
        ({"margins": np.ones((2, 2))}, "margins"),
        ({"margins": np.full((2, 3), np.nan)}, "6 of 6 are NaN"),
        ({"outputs": np.ones((2, 3))}, "outputs"),
        ({"outputs": np.ones((2, 3, 1))}, "two classes"),
        ({"outputs": np.ones((2, 3, 2)), "labels": [0, 1, 2]}, r"classes of the outputs, \[0, 2\); got: 2"),
        ({"population": np.array([True, False, False])}, "1 of them in the training data"),
        ({"population": [1, 0]}, "population"),
        ({"non_finite": "zero"}, "non_finite"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    given = {"losses": np.ones((2, 3)), "members": np.ones((2, 3), bool), **change}
    with pytest.raises(UsageError, match=said):
        Signals(**given)
