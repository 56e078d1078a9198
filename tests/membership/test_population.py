"""Attacks S and P."""

import numpy as np
import pytest
from scipy import stats

from dpaudit.errors import UsageError
from dpaudit.membership.population import PopulationP, PopulationS, loss_at, population_of
from dpaudit.membership.quantiles import distribution
from dpaudit.membership.signals import Signals

ATTACKED, POPULATION = 30, 90


def make(models=6, seed=0, attacked=ATTACKED, population=POPULATION, classes=3):
    """Margins that depend on label and model; nobody leaks."""
    rng = np.random.default_rng(seed)
    pool = np.arange(attacked + population) >= attacked
    labels = rng.permuted(np.arange(attacked + population) % classes)
    margins = 3.0 * labels + rng.normal(size=(models, 1)) + rng.normal(size=(models, attacked + population))
    members = (rng.random(margins.shape) < 0.5) & ~pool
    return Signals(np.logaddexp(0, -margins), members, labels=labels, margins=margins, population=pool)


@pytest.mark.parametrize("attack", [PopulationS(), PopulationS("gaussian"), PopulationP(), PopulationP("gaussian")])
def test_scores_by_definition(attack):
    signals = make()
    shadows, target = signals.without(0), signals.models_at([0])
    scores = attack.fit(shadows).score(target)
    assert scores.shape == (1, signals.records)
    for record in range(ATTACKED):
        if attack.name == "S":
            pool = shadows.margin[:, signals.population & (signals.labels == signals.labels[record])].ravel()
        else:
            pool = target.margin[0, signals.population]
        margin = target.margin[0, record]
        assert scores[0, record] == pytest.approx(distribution(pool, attack.smooth).score(np.array([margin]))[0])
    assert np.array_equal(attack.fit(shadows).score(target, np.array([5, 2])), scores[:, [5, 2]])


@pytest.mark.parametrize("attack", [PopulationS(), PopulationS("gaussian"), PopulationP(), PopulationP("gaussian")])
def test_each_in_turn_is_leaving_one_out(attack):
    signals, targets = make(), np.array([4, 0, 3])
    naive = [attack.fit(signals.without(t)).score(signals.models_at([t])) for t in targets]
    assert attack.score_each(signals, targets) == pytest.approx(np.concatenate(naive), abs=1e-12)


@pytest.mark.parametrize("attack", [PopulationS(), PopulationP()])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_false_positive_rate_is_the_level(attack, alpha):
    """With alpha (n + 1) whole, the threshold is an order statistic, so that false positives are beta-binomial.

    Two-sided at 1e-7, 6 cases: fails wrongly with probability below 1e-6.
    """
    fresh, pool = 4000, 999
    rng = np.random.default_rng(7)
    margins = rng.normal(size=(2, fresh + pool)) * 2.0
    signals = Signals(
        np.logaddexp(0, -margins),
        np.zeros(margins.shape, bool),
        labels=np.zeros(fresh + pool, int),
        population=np.arange(fresh + pool) >= fresh,
    )
    accused = attack.fit(signals.models_at([0])).decide(signals.models_at([1]), alpha, np.arange(fresh)).sum()
    rank = round(alpha * (pool + 1))
    null = stats.betabinom(fresh, rank, pool + 1 - rank)
    assert min(null.cdf(accused), null.sf(accused - 1)) > 0.5e-7


@pytest.mark.parametrize("smooth", ["linear", "gaussian"])
def test_thresholds_are_losses(smooth):
    signals = make()
    for attack in (PopulationS(smooth), PopulationP(smooth)):
        fitted = attack.fit(signals)
        at, said = fitted.threshold(signals, 0.1), fitted.decide(signals, 0.1)
        assert at.shape == said.shape == signals.loss.shape
        clear = np.abs(signals.loss - at) > 1e-9
        assert np.array_equal(said[clear], (signals.loss <= at)[clear])
        by_label = len(np.unique(np.round(at, 9), axis=0)) == 1
        assert by_label == (attack.name == "S")
    assert loss_at(np.array([np.inf, 0.0, -np.inf])).tolist() == [0.0, pytest.approx(np.log(2)), np.inf]


def test_bad_input():
    signals = make()
    bare = Signals(signals.losses, signals.members, labels=signals.labels)
    for attack in (PopulationS(), PopulationP()):
        with pytest.raises(UsageError, match=r"records that are nobody's members.*got: none.*population="):
            attack.fit(bare)
    with pytest.raises(UsageError, match=r"population; allowed: bool of shape \(120,\)"):
        PopulationP(population=np.ones(3, bool)).fit(bare)
    with pytest.raises(UsageError, match="in the training data of some model"):
        PopulationP(population=np.ones(120, bool)).fit(bare)
    with pytest.raises(UsageError, match="signals with labels"):
        PopulationS().fit(Signals(signals.losses, signals.members, population=signals.population))
    for wrong in (lambda: PopulationS("cubic"), lambda: PopulationP("cubic"), lambda: PopulationS(missing="drop")):
        with pytest.raises(UsageError, match="allowed: '"):
            wrong()
    one = Signals(np.ones((1, 2)), np.zeros((1, 2), bool), labels=np.zeros(2, int), population=np.array([False, True]))
    with pytest.raises(UsageError, match="at least 2 for smooth='gaussian'; got: 1; try: more shadow models"):
        PopulationS("gaussian").fit(one)
    with pytest.raises(UsageError, match="population points; allowed: at least 2; got: 1"):
        PopulationP("gaussian").fit(one)


def test_a_label_the_population_lacks():
    signals = make()
    labels = np.where(np.arange(120) == 3, 9, signals.labels)
    lacking = Signals(signals.losses, signals.members, labels=labels, population=signals.population)
    with pytest.raises(UsageError, match=r"got: none of 1 of 4 labels, such as 9; try: .*missing='pool'"):
        PopulationS().fit(lacking)
    scores = PopulationS(missing="pool").fit(lacking.without(0)).score(lacking.models_at([0]))
    pool = lacking.margin[1:, lacking.population].ravel()
    assert scores[0, 3] == pytest.approx(distribution(pool, "linear").score(lacking.margin[0, [3]])[0])


def test_an_own_population_stands_for_that_of_the_signals():
    signals = make()
    bare = Signals(signals.losses, signals.members, labels=signals.labels, margins=signals.margins)
    assert np.array_equal(population_of(bare, signals.population, "P"), signals.population)
    given, held = PopulationP(population=signals.population), PopulationP()
    assert np.array_equal(given.fit(bare).score(bare), held.fit(signals).score(signals))


def test_a_loss_at_the_threshold_is_a_members():
    margins = np.append(np.arange(19.0), [18.0, 17.9])
    target = Signals(
        np.logaddexp(0, -margins)[None],
        np.zeros((1, 21), bool),
        labels=np.zeros(21, int),
        margins=margins[None],
        population=np.arange(21) < 19,
    )
    for attack in (PopulationS(), PopulationP()):
        assert attack.fit(target).decide(target, 0.05, np.array([19, 20])).tolist() == [[True, False]]
