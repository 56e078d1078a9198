"""ROC, AUC and their intervals, against scikit-learn and against definitions."""

import json

import numpy as np
import pytest
from scipy import stats

from dpaudit.errors import UsageError
from dpaudit.membership.bootstrap import resampled_aucs
from dpaudit.membership.roc import Roc


def draw(seed=0, members=60, nonmembers=90, decimals=1, shift=0.8):
    """Scores with ties."""
    rng = np.random.default_rng(seed)
    held = rng.permuted(np.arange(members + nonmembers) < members)
    return np.round(rng.normal(size=held.shape) + shift * held, decimals), held


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_against_scikit_learn(decimals):
    from sklearn import metrics

    scores, held = draw(decimals=decimals)
    roc = Roc.of(scores, held)
    fpr, tpr, thresholds = metrics.roc_curve(held, scores, drop_intermediate=False)
    assert roc.fpr == pytest.approx(fpr)
    assert roc.tpr == pytest.approx(tpr)
    assert roc.thresholds == pytest.approx(thresholds[1:])
    assert roc.auc == pytest.approx(metrics.roc_auc_score(held, scores), abs=1e-14)
    assert (roc.members, roc.nonmembers) == (60, 90)
    point = roc.at(0.5)
    assert point.precision == pytest.approx(metrics.precision_score(held, scores >= 0.5))
    assert point.tpr == pytest.approx(metrics.recall_score(held, scores >= 0.5))
    assert point.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(held, scores >= 0.5))
    assert roc.balanced_accuracy == pytest.approx(
        max(metrics.balanced_accuracy_score(held, scores >= t) for t in thresholds)
    )
    assert roc.advantage == pytest.approx((tpr - fpr).max())


def test_scores_model_by_model_are_pooled():
    scores, held = draw()
    table = Roc.of(scores.reshape(3, 50), held.reshape(3, 50))
    assert np.array_equal(table.fpr, Roc.of(scores, held).fpr)
    assert table.auc == Roc.of(scores, held).auc
    assert "60 members, 90 non-members" in repr(table)


def test_tpr_at_is_a_step_that_exists():
    roc = Roc.of([5.0, 4.0, 4.0, 3.0, 2.0, 1.0], np.array([True, True, False, True, False, False]))
    assert [roc.tpr_at(f).tpr for f in (0.0, 0.3, 1 / 3, 0.5, 2 / 3, 1.0)] == [1 / 3, 1 / 3, 1.0, 1.0, 1.0, 1.0]
    point = roc.tpr_at(0.5)
    assert (point.fpr, point.threshold, point.true_positives, point.false_positives) == (1 / 3, 3.0, 3, 1)
    first = Roc.of([2.0, 1.0, 0.0], np.array([False, True, True])).tpr_at(0.1)
    assert (first.tpr, first.fpr, first.threshold, first.precision) == (0.0, 0.0, np.inf, 0.0)
    assert first.to_dict()["threshold"] is None
    json.dumps(first.to_dict(), allow_nan=False)


def test_a_rate_is_not_missed_by_rounding():
    """0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996."""
    roc = Roc.of(np.append(np.arange(100.0), 200.0), np.append(np.zeros(100, bool), True))
    for share in range(1, 101):
        assert roc.tpr_at(share / 100).false_positives == share
    assert roc.tpr_at(0.29).false_positives == 29
    assert roc.tpr_at(0.07).false_positives == 7


def test_tpr_interval_is_clopper_pearson():
    scores, held = draw()
    point = Roc.of(scores, held).tpr_at(0.1, confidence=0.9)
    known = stats.binomtest(point.true_positives, 60).proportion_ci(0.9, "exact")
    assert point.tpr_interval == pytest.approx((known.low, known.high))
    assert point.confidence == 0.9


def test_delong_by_definition():
    scores, held = draw(members=23, nonmembers=31)
    inside, outside = scores[held], scores[~held]
    won = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    variance = won.mean(axis=1).var(ddof=1) / 23 + won.mean(axis=0).var(ddof=1) / 31
    auc = won.mean()
    found = Roc.of(scores, held).auc_interval(0.9)
    half = stats.norm.ppf(0.95) * np.sqrt(variance) / (auc * (1 - auc))
    centre = np.log(auc / (1 - auc))
    assert found[:2] == pytest.approx([1 / (1 + np.exp(-centre + half)), 1 / (1 + np.exp(-centre - half))])
    assert found.method == "DeLong, scores as if independent"


def test_delong_covers_nearly_as_often_as_it_says():
    """An approximation: at 95 % it must not fall below 93 %, one-sided at 1e-6 over 2000 data sets."""
    truth, missed = stats.norm.cdf(0.8 / np.sqrt(2)), 0
    for seed in range(2000):
        low, high, *_ = Roc.of(*draw(seed, 40, 40, 12)).auc_interval()
        missed += not low <= truth <= high
    assert stats.binomtest(missed, 2000, 0.07, alternative="greater").pvalue > 1e-6


def test_intervals_where_delong_has_none():
    held = np.arange(40) < 10
    perfect = Roc.of(held.astype(float), held)
    assert perfect.auc == 1.0
    low, high, _, method = perfect.auc_interval()
    assert (low, high) == (pytest.approx(0.025 ** (1 / 10)), 1.0)
    assert method == "Clopper-Pearson on disjoint pairs"
    worst = Roc.of(~held * 1.0, held).auc_interval()
    assert worst[:2] == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    tied = Roc.of(np.zeros(40), held)
    assert tied.auc == 0.5
    half = np.sqrt(np.log(40) / 20)
    assert tied.auc_interval()[:2] == pytest.approx((0.5 - half, 0.5 + half))


def test_bootstrap_over_models():
    rng = np.random.default_rng(0)
    held = rng.random((12, 40)) < 0.5
    scores = rng.normal(size=held.shape) + rng.exponential(1.0, (12, 1)) * held
    roc = Roc.of(scores, held)
    interval = roc.auc_interval(0.9, seed=4)
    assert interval.method == "bootstrap over 12 target models"
    assert interval[:2] == pytest.approx(np.quantile(resampled_aucs(scores, held, seed=4), [0.05, 0.95]))
    assert roc.auc_interval(method="delong").method.startswith("DeLong")
    assert Roc.of(scores[:9], held[:9]).auc_interval().method.startswith("DeLong")
    assert Roc.of(scores[:9], held[:9]).auc_interval(method="bootstrap").method.startswith("bootstrap over 9")


def test_models_that_differ_widen_the_interval():
    """Half of the models leak and half do not: that uncertainty is of the models, which DeLong cannot see."""
    rng = np.random.default_rng(1)
    held = rng.random((12, 2000)) < 0.5
    scores = rng.normal(size=held.shape) + 2.0 * held * (np.arange(12)[:, None] % 2)
    roc = Roc.of(scores, held)
    boot, delong = roc.auc_interval(), roc.auc_interval(method="delong")
    assert boot.high - boot.low > 5 * (delong.high - delong.low)


def test_the_thinned_curve_is_of_the_curve():
    rng = np.random.default_rng(0)
    held = rng.random(20_000) < 0.5
    roc = Roc.of(rng.normal(size=20_000) + held, held)
    fpr, tpr = roc.curve()
    assert len(fpr) <= 400
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert {*zip(fpr, tpr, strict=True)} <= {*zip(roc.fpr, roc.tpr, strict=True)}
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc.auc, abs=1e-3)
    assert ((fpr > 0) & (fpr < 0.01)).sum() > 20  # the left end of a logarithmic axis
    small = Roc.of(*draw())
    assert np.array_equal(small.curve()[0], small.fpr)


@pytest.mark.parametrize(
    ("scores", "members", "match"),
    [
        ([1.0, np.nan], [True, False], "got: 1 of 2 are NaN"),
        ([1.0, 2.0], [True, True], "members and non-members; got: 2 members of 2"),
        ([1.0, 2.0], [False, False], "got: 0 members of 2"),
        ([], [], "scores and members"),
        ([1.0, 2.0], [True], r"\(n,\) or \(T, R\) both"),
        ([1.0, 2.0], [1, 0], "members bool"),
        (np.zeros((1, 1, 2)), np.zeros((1, 1, 2), bool), r"\(n,\) or \(T, R\)"),
    ],
)
def test_bad_input(scores, members, match):
    with pytest.raises(UsageError, match=match):
        Roc.of(scores, np.array(members))


def test_bad_questions():
    roc = Roc.of(*draw())
    for wrong in (
        lambda: roc.tpr_at(1.5),
        lambda: roc.tpr_at(0.1, 1.0),
        lambda: roc.auc_interval(0.0),
        lambda: roc.auc_interval(method="exact"),
        lambda: roc.auc_interval(method="bootstrap"),
        lambda: Roc.of(np.zeros((1, 4)), np.array([[True, False] * 2])).auc_interval(method="bootstrap"),
    ):
        with pytest.raises(UsageError, match="allowed"):
            wrong()
