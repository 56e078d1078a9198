"""Attacks R and L."""

import numpy as np
import pytest
from scipy import stats

from dpaudit.errors import UsageError
from dpaudit.membership.quantiles import distribution
from dpaudit.membership.reference import LeaveOneOutL, ReferenceR
from dpaudit.membership.signals import Signals


def make(models=12, records=25, seed=0, leak=1.0):
    rng = np.random.default_rng(seed)
    members = np.arange(models)[:, None] % 2 == rng.integers(0, 2, records)  # half of the models each
    margins = rng.normal(0, 3, records) + rng.normal(size=(models, records)) + leak * members
    return Signals(np.logaddexp(0, -margins), members, margins=margins)


@pytest.mark.parametrize("smooth", ["linear", "gaussian"])
def test_scores_by_definition(smooth):
    signals = make()
    shadows, target = signals.without(0), signals.models_at([0, 5])
    scores = ReferenceR(smooth).fit(shadows).score(target)
    for record in range(signals.records):
        outside = shadows.margin[~shadows.members[:, record], record]
        assert scores[:, record] == pytest.approx(distribution(outside, smooth).score(target.margin[:, record]))
    some = np.array([7, 3, 3])
    assert np.array_equal(ReferenceR(smooth).fit(shadows).score(target, some), scores[:, some])


@pytest.mark.parametrize("smooth", ["linear", "gaussian"])
def test_each_in_turn_is_leaving_one_out(smooth):
    signals, targets = make(), np.array([4, 0, 3, 11])
    naive = [ReferenceR(smooth).fit(signals.without(t)).score(signals.models_at([t])) for t in targets]
    assert ReferenceR(smooth).score_each(signals, targets) == pytest.approx(np.concatenate(naive), abs=1e-10)


def test_false_positive_rate_is_the_level():
    """Sum of independent beta-binomials, convolved exactly; two-sided at 1e-6 / 3 in each of three cases."""
    references, targets, records = 99, 60, 40
    rng = np.random.default_rng(3)
    margins = rng.normal(0, 3, records) + rng.normal(size=(references + targets, records))
    signals = Signals(np.logaddexp(0, -margins), np.zeros(margins.shape, bool))
    fitted = ReferenceR().fit(signals.models_at(slice(0, references)))
    for alpha in (0.01, 0.05, 0.3):
        accused = int(fitted.decide(signals.models_at(slice(references, None)), alpha).sum())
        rank = round(alpha * (references + 1))
        one = stats.betabinom(targets, rank, references + 1 - rank).pmf(np.arange(targets + 1))
        total = np.ones(1)
        for _ in range(records):
            total = np.convolve(total, one)
        assert min(total[: accused + 1].sum(), total[accused:].sum()) > 1e-6 / 6


def test_thresholds_are_losses_of_each_record():
    signals = make()
    for smooth in ("linear", "gaussian"):
        fitted = ReferenceR(smooth).fit(signals)
        at, said = fitted.threshold(signals, 0.25), fitted.decide(signals, 0.25)
        assert at.shape == said.shape == (12, 25)
        assert len(np.unique(at, axis=0)) == 1
        clear = np.abs(signals.loss - at) > 1e-9
        assert np.array_equal(said[clear], (signals.loss <= at)[clear])
        some = np.array([9, 1])
        assert np.array_equal(fitted.threshold(signals, 0.25, some), at[:, some])
        assert np.array_equal(fitted.decide(signals, 0.25, some), said[:, some])


def test_a_record_in_all_shadows():
    signals = make()
    members = signals.members.copy()
    members[:, 4] = True
    full = Signals(signals.losses, members)
    with pytest.raises(UsageError, match=r"at least 1 of each attacked record; got: fewer for 1 of 25.*missing='pool'"):
        ReferenceR().fit(full)
    scores = ReferenceR(missing="pool").fit(full).score(full)
    assert np.isfinite(scores).all()
    pooled = distribution(full.margin[~members], "linear")
    assert scores[:, 4] == pytest.approx(pooled.score(full.margin[:, 4]))
    members[3, 4] = False  # leaving it out in its own turn leaves too few of them
    alone = Signals(signals.losses, members)
    each = ReferenceR(missing="pool").score_each(alone, np.arange(12))
    held = alone.margin[~members]
    without = distribution(held[held != alone.margin[3, 4]], "linear")
    assert each[3, 4] == pytest.approx(without.score(alone.margin[3, [4]])[0])
    assert each[4, 4] == pytest.approx(distribution(held, "linear").score(alone.margin[4, [4]])[0])
    members[:-1, 4] = True
    members[-1, 4] = False
    last = Signals(signals.losses, members)  # one model is left for it, which in its own turn is none
    assert np.isfinite(ReferenceR().fit(last).score(last)).all()
    with pytest.raises(UsageError, match="at least 2 of each attacked record; got: fewer for 1"):
        ReferenceR().score_each(last, np.arange(12))
    with pytest.raises(UsageError, match="at least 2 of each attacked"):
        ReferenceR("gaussian").fit(last)
    with pytest.raises(UsageError, match="models not trained on a record; allowed: at least 1; got: 0"):
        ReferenceR(missing="pool").fit(Signals(np.ones((2, 3)), np.ones((2, 3), bool)))


def test_a_population_record_may_be_anything():
    signals = make(models=3)
    population = np.arange(25) == 24
    members = signals.members & ~population
    members[:, :24] = np.eye(3, dtype=bool)[:, np.arange(24) % 3]
    held = Signals(signals.losses, members, population=population)
    assert ReferenceR().score_each(held, np.arange(3)).shape == (3, 25)


def test_leave_one_out_takes_the_references_of_the_target():
    signals = make()
    rng = np.random.default_rng(9)
    nobody = np.zeros((20, 25), bool)
    references = [Signals(rng.exponential(size=(20, 25)), nobody) for _ in range(12)]
    attack = LeaveOneOutL(references)
    found = attack.score_each(signals, np.array([2, 7]))
    naive = [
        [distribution(references[t].margin[:, r], "linear").score(signals.margin[t, [r]])[0] for r in range(25)]
        for t in (2, 7)
    ]
    assert found == pytest.approx(np.array(naive))
    all_of_them = attack.fit(signals).score(signals)
    assert np.array_equal(all_of_them[[2, 7]], found)
    assert np.array_equal(LeaveOneOutL(lambda t: references[t]).score_each(signals, np.array([2, 7])), found)
    fitted = attack.fit(signals)
    at, said = fitted.threshold(signals, 0.2), fitted.decide(signals, 0.2)
    assert at.shape == said.shape == (12, 25)
    assert np.array_equal(said, signals.loss <= at + 1e-12)
    with pytest.raises(UsageError, match=r"references of attack L.*got: 12, and a target number 12"):
        fitted.of(12)


def test_bad_settings():
    for wrong in (
        lambda: ReferenceR("median"),
        lambda: ReferenceR(missing="skip"),
        lambda: LeaveOneOutL([], smooth="none"),
    ):
        with pytest.raises(UsageError, match="allowed: '"):
            wrong()
