"""The gate's probability of a false alarm, over all the nights that a policy declares."""

import math

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.gate import Policy
from dpaudit.gate.nights import all_or_nothing, log_wealth_of_nights
from dpaudit.methods.betting import Betting, race
from dpaudit.testing import TOO_MANY, WORLDS, excess_p_value, play

ALPHA = 0.1


def alarms(log_e, audits, alpha=ALPHA):
    """(lifetimes,) from (lifetimes, nights) e-values: whether the gate, asked every night, ever raises an alarm."""
    nights = range(1, log_e.shape[1] + 1)
    needed = -math.log(alpha)
    return np.array([any(log_wealth_of_nights(life[:k], audits) >= needed for k in nights) for life in log_e])


def too_many(count, lifetimes, alpha=ALPHA):
    return float(excess_p_value(int(count), lifetimes, alpha)) <= TOO_MANY


def test_it_is_the_sum_over_beginnings():
    e = np.exp(np.random.default_rng(0).normal(size=12))
    naive = sum(np.prod(e[j:]) / 30 for j in range(len(e)))
    assert log_wealth_of_nights(np.log(e), 30) == pytest.approx(math.log(naive))
    assert log_wealth_of_nights([], 30) == -math.inf
    assert log_wealth_of_nights([math.log(5.0)], 1) == pytest.approx(math.log(5.0))
    assert log_wealth_of_nights([-math.inf, math.log(6.0)], 3) == pytest.approx(math.log(2.0))
    assert log_wealth_of_nights([-math.inf], 3) == -math.inf
    assert log_wealth_of_nights([800.0, 800.0], 3) == pytest.approx(1600 - math.log(3))


def test_leaving_out_the_oldest_never_raises_an_alarm():
    log_e = np.random.default_rng(1).normal(size=15)
    whole = log_wealth_of_nights(log_e, 40)
    assert all(log_wealth_of_nights(log_e[j:], 40) <= whole for j in range(15))


@pytest.mark.parametrize(("name", "confidence"), [("randomized response", "the policy's"), ("gaussian", 0.95)])
def test_an_honest_mechanism_every_night(name, confidence):
    """Betting on a mechanism that keeps its claim exactly, 6 nights a lifetime; alarms in at most alpha of them."""
    lifetimes, nights, trials = 64, 6, 30
    level = Policy(alpha=ALPHA, audits=nights).claim_confidence if confidence == "the policy's" else confidence
    world = WORLDS[name]
    values, coins = play(world, trials, lifetimes * nights, seed=3)
    wealth = race(Betting(), world.claim(), level, values, coins).log_wealth_at_stopping.reshape(lifetimes, nights)
    count = alarms(wealth, nights).sum()
    assert not too_many(count, lifetimes), count


@pytest.mark.parametrize("nights", [1, 7, 30])
@pytest.mark.parametrize("start", [1.0, 0.5])
def test_e_values_that_use_all_they_may(nights, start):
    """Two-point e-values of mean exactly 1, at the level of one night's alarm and below: nothing is given away here."""
    lifetimes = 3000
    level = ALPHA / nights * start ** (nights > 1)
    hits = np.random.default_rng(nights).random((lifetimes, nights)) < level
    count = alarms(np.where(hits, all_or_nothing(True, 1 - level), -math.inf), nights).sum()
    assert not too_many(count, lifetimes), count
    assert count > 0.7 * lifetimes * (1 - (1 - level) ** nights)  # and nearly all of alpha is used


def test_every_night_at_95_percent_would_be_wrong():
    """The same judge condemns a gate that forgets how often it runs."""
    lifetimes, nights = 3000, 30
    hits = np.random.default_rng(4).random((lifetimes, nights)) < ALPHA
    assert too_many(alarms(np.where(hits, all_or_nothing(True, 1 - ALPHA), -math.inf), 1).sum(), lifetimes)


def test_single_bounds_hold_together():
    """Randomized response at eps 1 exactly, a bound a night at the policy's confidence; few lifetimes see one above."""
    policy, lifetimes, n = Policy(alpha=0.2, audits=10, maximum_epsilon_lower_bound=1.0), 400, 60
    rng, right = np.random.default_rng(5), math.e / (1 + math.e)
    above = 0
    for _ in range(lifetimes):
        bounds = [
            dpa.LowerBound.from_counts(
                tp=int(rng.binomial(n, right)),
                fp=int(rng.binomial(n, 1 - right)),
                n_included=n,
                n_excluded=n,
                confidence=policy.bound_confidence,
            ).epsilon
            for _ in range(policy.audits)
        ]
        above += max(bounds) > 1.0
    assert not too_many(above, lifetimes, 0.1)  # half of alpha


def test_a_fault_is_found_however_many_honest_nights_went_before():
    """Nights lose a little each; the fault that begins after a hundred of them needs two."""
    honest = [math.log(0.2)] * 100
    assert log_wealth_of_nights([*honest, math.log(150.0), math.log(150.0)], 365) > math.log(20)
    assert math.fsum([*honest, math.log(150.0), math.log(150.0)]) < -100  # a product from the first night on


def test_alpha_is_shared():
    policy = Policy(alpha=0.05, audits=100)
    assert policy.claim_confidence == pytest.approx(0.9995)
    halved = Policy(alpha=0.05, audits=100, maximum_epsilon_lower_bound=1.0)
    assert halved.claim_confidence == pytest.approx(0.99975)
    assert halved.bound_confidence == pytest.approx(0.99975)
