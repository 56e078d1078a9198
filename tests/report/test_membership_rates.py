"""True positive rates at low false positive rates beside a naive bootstrap, and the intervals around them."""

import numpy as np
import pytest

from dpaudit.membership.bootstrap import resampled_tprs
from dpaudit.membership.roc import Roc
from dpaudit.report.membership.rates import rates

FPRS = (0.5, 0.1, 0.02, 0.001)


def drawn(models=12, records=20, ties=False, spread=0.0, seed=0):
    rng = np.random.default_rng(seed)
    members = rng.permuted(np.tile(np.arange(records) % 2 == 0, (models, 1)), axis=1)
    scores = rng.normal(size=(models, records)) + members * (1 + spread * rng.normal(size=(models, 1)))
    return np.round(scores) if ties else scores, members


@pytest.mark.parametrize("ties", [False, True])
def test_resampling_as_done_naively(ties):
    scores, members = drawn(ties=ties)
    found = resampled_tprs(scores, members, FPRS, resamples=200, seed=3)
    weights = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=200)
    for row, weight in zip(found, weights, strict=True):
        again = np.repeat(np.arange(12), weight)
        roc = Roc.of(scores[again].ravel(), members[again].ravel())
        assert row.tolist() == [roc.tpr_at(fpr).tpr for fpr in FPRS]


def test_draws_without_members_are_left_out():
    scores, members = np.array([[2.0, 1.0], [3.0, 0.0]]), np.array([[True, False], [False, False]])
    found = resampled_tprs(scores, members, (0.1,), resamples=400)
    weights = np.random.default_rng(0).multinomial(2, [0.5, 0.5], size=400)
    assert len(found) == (weights[:, 0] > 0).sum() < 400


def test_many_scores_are_read_closely():
    """At most 2000 thresholds of 40,000 non-members: the rate is the exact one within 1 % of the rate allowed."""
    rng = np.random.default_rng(1)
    scores, members = rng.random((2, 40_000)), np.array([[True] * 20_000 + [False] * 20_000] * 2)
    roc = Roc.of(scores, members)
    once = resampled_tprs(np.concatenate(scores)[None], np.concatenate(members)[None], FPRS, resamples=1)[0]
    for fpr, tpr in zip(FPRS, once, strict=True):
        assert 0 <= roc.tpr_at(fpr).tpr - tpr <= 0.02 * fpr + 5 / 40_000


def test_few_models_have_the_binomial_interval_alone():
    scores, members = drawn(models=9)
    roc = Roc.of(scores, members)
    for rate in rates(scores, members, roc, FPRS, 0.9):
        assert (rate.low, rate.high) == roc.tpr_at(rate.asked, 0.9).tpr_interval
        assert rate.method == "Clopper-Pearson, scores as if independent"
        assert rate.resolved == (rate.asked >= 1 / 90)


def test_models_that_differ_widen_the_interval():
    for spread, wider in ((0.0, False), (3.0, True)):
        scores, members = drawn(models=12, records=400, spread=spread)
        (rate,) = rates(scores, members, Roc.of(scores, members), (0.1,), 0.95)
        low, high = rate.point.tpr_interval
        assert rate.low <= low < rate.point.tpr < high <= rate.high
        assert ((rate.high - rate.low) > 3 * (high - low)) == wider
        assert "12 target models" in rate.method


def test_as_json():
    scores, members = drawn()
    told = rates(scores, members, Roc.of(scores, members), (0.1,), 0.95)[0].to_dict()
    assert told["asked"] == 0.1
    assert told["tpr_interval"][0] <= told["tpr"] <= told["tpr_interval"][1]
    assert told["members"] == told["nonmembers"] == 120
