"""The one fact the test's validity rests on: no expert gains, on average, from a mechanism that keeps the claim."""

import numpy as np
import pytest

from dpaudit.methods.betting.experts import LOST, PLACES, SIDE, STAKE, patterns, payoffs
from dpaudit.methods.betting.outlook import outlook
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian

EPSILONS = np.array([0.0, 0.3, 1.0, 2.5])


def exact_deltas(p_in: np.ndarray, p_out: np.ndarray) -> np.ndarray:
    """(3, epsilons): what a mechanism with these two laws keeps exactly, by its hockey-stick divergences."""
    growth = np.exp(EPSILONS)[:, None]
    d_in = np.maximum(p_in - growth * p_out, 0).sum(axis=1)
    d_out = np.maximum(p_out - growth * p_in, 0).sum(axis=1)
    return np.stack([(d_in + d_out) / 2, d_in / 2, d_out / 2])


@pytest.mark.parametrize("skew", [0.3, 3.0])
def test_no_expert_gains_from_a_true_claim(skew: float) -> None:
    """Random mechanisms on the places, at the boundary of their own profile."""
    rng = np.random.default_rng(int(10 * skew))
    for _ in range(50):
        p_in, p_out = rng.dirichlet(np.full(PLACES, skew), size=2)
        chances = np.zeros(2 * PLACES + 2)
        chances[1 : 2 * PLACES : 2], chances[0 : 2 * PLACES : 2] = p_in / 2, p_out / 2
        assert (payoffs(exact_deltas(p_in, p_out), EPSILONS) @ chances).max() <= 1 + 1e-12


def test_the_best_event_is_a_fair_bet() -> None:
    """Where the pattern is the likelihood-ratio set, nothing is lost either: the bound is tight."""
    rng = np.random.default_rng(1)
    p_in, p_out = np.sort(rng.dirichlet(np.ones(PLACES), size=2), axis=1)
    p_out = p_out[::-1]  # the ratio rises with the place, symmetrically
    p_in = (p_in + p_out[::-1]) / 2
    p_out = p_in[::-1]
    chances = np.zeros(2 * PLACES + 2)
    chances[1 : 2 * PLACES : 2], chances[0 : 2 * PLACES : 2] = p_in / 2, p_out / 2
    means = payoffs(exact_deltas(p_in, p_out), EPSILONS)[1:] @ chances
    assert means.reshape(3, SIDE, -1).max(axis=(0, 1)) == pytest.approx(np.ones(len(EPSILONS)), abs=1e-12)


def test_payoffs_are_their_definition() -> None:
    delta = np.array([[0.4, 0.3, 0.2, 0.1], [0.25, 0.2, 0.1, 0.05], [0.15, 0.1, 0.1, 0.05]])
    paid = payoffs(delta, EPSILONS)[1:].reshape(3, SIDE, len(EPSILONS), -1)
    for kind in range(3):
        for t in (0, 7, SIDE - 1):
            for e, eps in enumerate(EPSILONS):
                d = delta[kind, e]
                for place in (0, 5, 17, 18, 30, 35):
                    for coin in (0, 1):
                        says_in = place >= SIDE + t and kind != 2
                        says_out = place < SIDE - t and kind != 1
                        right, wrong = (
                            (says_in and coin) or (says_out and not coin),
                            (says_in and not coin) or (says_out and coin),
                        )
                        gain = STAKE / (np.exp(eps) + d) * (bool(right) - np.exp(eps) * bool(wrong) - d)
                        assert paid[kind, t, e, 2 * place + coin] == pytest.approx(1 + gain, abs=1e-12)
    assert payoffs(delta, EPSILONS)[1:, LOST] == pytest.approx(1 - STAKE)


@pytest.mark.parametrize("profile", [ApproximateDP(0, 0), ApproximateDP(3, 1e-3), Gaussian(2.0), DPSGD(1, 0.1, 5)])
def test_every_payoff_is_positive_and_falls_as_the_claim_weakens(profile) -> None:
    look = outlook(profile)
    assert look.payoffs.min() > 0
    delta = np.linspace(0, 0.9, 4)
    table = [payoffs(np.full((3, len(EPSILONS)), d), EPSILONS) for d in delta]
    for weaker, stronger in zip(table[1:], table, strict=False):
        assert (weaker <= stronger + 1e-15).all()


def test_patterns_say_one_thing_at_a_time() -> None:
    right, wrong, _ = patterns()
    assert ((right + wrong) <= 1).all()
