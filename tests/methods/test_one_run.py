"""Steinke's one-run bound: vectors, a naive oracle, exact laws of V, tightness, and how canaries are guessed."""

import time

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import Estimate, LowerBound
from dpaudit.intervals import lower_limit
from dpaudit.methods.guessing import FixedK, Guesses, KGrid, make_guesses
from dpaudit.methods.one_run import OneRun, lower_bound_from_counts, p_value
from dpaudit.methods.one_run_method import perfect_canaries
from dpaudit.scores import Scores


def naive_p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """Corollary 5.4 written out as sums."""
    masses = binom.pmf(np.arange(r + 1), r, expit(epsilon))
    a = max((masses[v - i : v].sum() / i for i in range(1, v + 1)), default=0.0)
    return min(1.0, float(masses[v:].sum() + 2 * m * delta * a))


@pytest.mark.parametrize(
    ("m", "r", "v", "delta", "epsilon"),
    [
        (1000, 1000, 600, 0, 0.297468),
        (1000, 1000, 1000, 0, 5.809068),
        (1000, 100, 95, 1e-5, 2.165176),
        (1000, 1000, 1000, 1e-5, 5.782283),
        (5000, 1000, 900, 1e-5, 2.018259),
        (100, 100, 75, 1e-3, 0.672985),
    ],
)
def test_vectors(m: int, r: int, v: int, delta: float, epsilon: float) -> None:
    bound = lower_bound_from_counts(m=m, guesses=r, correct=v, delta=delta, confidence=0.95)
    assert bound.epsilon == pytest.approx(epsilon, abs=5.1e-7)
    assert (bound.m, bound.guesses, bound.correct, bound.n_included) == (m, r, v, None)
    assert f"{v} of {r} guesses right, {m} canaries)" in str(bound)


def test_the_naive_oracle_agrees() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        m = int(rng.integers(1, 200))
        r = int(rng.integers(1, m + 1))
        v = int(rng.integers(0, r + 1))
        epsilon, delta = rng.exponential(2), 10 ** -rng.uniform(1, 8)
        expected = naive_p_value(m, r, v, epsilon, delta)
        assert float(p_value(m, r, v, epsilon, delta)) == pytest.approx(expected, rel=1e-10, abs=1e-13)


def test_without_delta_it_is_clopper_pearson_on_the_accuracy() -> None:
    for guesses, correct, confidence in [(50, 40, 0.95), (1000, 999, 0.99), (10**6, 600_000, 1 - 1e-12), (7, 7, 0.5)]:
        low = float(lower_limit(correct, guesses, 1 - confidence))
        bound = lower_bound_from_counts(m=2 * guesses, guesses=guesses, correct=correct, confidence=confidence)
        assert bound.epsilon == pytest.approx(np.log(low / (1 - low)), rel=1e-7)


def test_no_mechanism_beats_the_p_value() -> None:
    """P[V >= v] <= p(v) for every v, the law of V being known exactly."""
    m = 40
    counts = np.arange(m + 1)
    cases = []
    for epsilon in (0.0, 0.5, 2.0):
        cases.append((epsilon, 0.0, binom.sf(counts - 1, m, expit(epsilon))))  # randomised response
        for delta in (0.01, 0.1):  # each coin published with probability delta, or all of them at once
            right = delta + (1 - delta) * expit(epsilon)
            cases.append((epsilon, delta, binom.sf(counts - 1, m, right)))
            cases.append((epsilon, delta, delta + (1 - delta) * binom.sf(counts - 1, m, expit(epsilon))))
    for epsilon, delta, tail in cases:
        bounds = np.array([float(p_value(m, m, int(v), epsilon, delta)) for v in counts])
        assert (tail <= bounds + 1e-12).all(), (epsilon, delta)


def test_tight_for_randomised_response() -> None:
    for epsilon in (0.5, 1.0, 4.0):
        bound = lower_bound_from_counts(m=10**6, guesses=10**6, correct=int(10**6 * expit(epsilon)))
        assert 0 < epsilon - bound.epsilon < 0.02


def test_a_million_canaries_take_less_than_two_seconds() -> None:
    start = time.process_time()
    lower_bound_from_counts(m=10**6, guesses=10**6, correct=700_000, delta=1e-8)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("confidence", [1e-12, 0.95, 1 - 1e-12])
@pytest.mark.parametrize("delta", [0.0, 1e-300, 1e-5, 0.999])
def test_extremes_are_numbers(delta: float, confidence: float) -> None:
    for m, guesses in [(1, 1), (1000, 3), (10**6, 10**6)]:
        bounds = [
            lower_bound_from_counts(m=m, guesses=guesses, correct=v, delta=delta, confidence=confidence).epsilon
            for v in (0, guesses // 2, guesses)
        ]
        assert np.isfinite(bounds).all()
        assert bounds == sorted(bounds)
        assert bounds[0] == 0
    assert p_value(10, 10, 10, [0.0, 800.0, np.inf], 0.0) == pytest.approx([2**-10, 1, 1])


def test_the_claim_is_judged_at_its_best_epsilon() -> None:
    claim = Claim.gaussian(mu=0.5, delta=1e-5)
    found = Guesses(1000, 50, 50, 92)
    p = OneRun().p_value(found, claim)
    grid = np.linspace(0, 8, 801)
    pointwise = p_value(1000, 100, 92, grid, claim.delta(grid))
    assert p == pytest.approx(float(pointwise.min()), rel=0.05)
    assert p < 0.05 < float(p_value(1000, 100, 92, claim.epsilon(1e-5), 1e-5))  # the quoted point would not refute
    off_grid = Claim(epsilon=1.2345, delta=1e-5)
    assert OneRun().p_value(found, off_grid) == pytest.approx(float(p_value(1000, 100, 92, 1.2345, 1e-5)), rel=1e-6)


def one_run(mu: float, m: int = 1000, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    mask = rng.random(m) < 0.5
    return Scores.one_run(scores=rng.standard_normal(m) + mu * mask, included_mask=mask)


def test_on_scores() -> None:
    scores = one_run(4.0)
    result = OneRun(FixedK(50, 50)).test(scores, Claim(epsilon=1, delta=1e-5), 0.95)
    assert result.refuted
    assert result.details["paid_for"] == 1
    expected = float(p_value(1000, 100, result.details["correct"], 1.0, 1e-5))
    assert result.p_value == pytest.approx(expected, rel=1e-6)
    bound = OneRun(FixedK(50, 50)).lower_bound(scores, delta=1e-5, confidence=0.95)
    counted = lower_bound_from_counts(m=1000, guesses=100, correct=bound.correct, delta=1e-5)
    assert bound.epsilon == pytest.approx(counted.epsilon)
    assert bound.ceiling == pytest.approx(counted.ceiling)
    assert isinstance(bound, LowerBound)
    assert not isinstance(bound, Estimate)
    silent = OneRun().test(one_run(0.0), Claim(epsilon=0.5), 0.95)
    assert not silent.refuted


def test_several_sizes_and_statistics_are_paid_for() -> None:
    scores, claim = one_run(4.0), Claim(epsilon=1, delta=1e-5)
    grid = KGrid((0.03, 0.1, 0.3))
    singles = [OneRun(FixedK(k, k)).test(scores, claim, 0.95).p_value for k in (30, 100, 300)]
    assert OneRun(grid).test(scores, claim, 0.95).p_value == pytest.approx(3 * min(p for p in singles if p is not None))
    two = Scores.one_run(
        scores={"a": scores.values[:, 0], "b": np.zeros(1000)},  # type: ignore[arg-type]
        included_mask=scores.included_mask,
    )
    result = OneRun(grid).test(two, claim, 0.95)
    assert result.details["paid_for"] == 6
    assert result.statistic == "a"
    bound = OneRun(grid).lower_bound(two, delta=0.0, confidence=0.95)
    best = max(
        lower_bound_from_counts(m=1000, guesses=g.guesses, correct=g.correct, confidence=1 - 0.05 / 6).epsilon
        for g in make_guesses(two, grid, "test")
    )
    assert bound.epsilon == pytest.approx(best, rel=1e-9)


def test_guesses_are_the_ends_of_the_order() -> None:
    mask = np.array([1, 1, 0, 1, 0, 0, 1, 0], bool)
    values = np.array([np.inf, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -np.inf])
    (found,) = make_guesses(Scores.one_run(scores=values, included_mask=mask), FixedK(3, 2), "test")
    assert (found.m, found.guesses, found.correct) == (8, 5, 2 + 1)
    nan = np.where(np.isin(np.arange(8), [0, 1, 2]), np.nan, values)  # the three at the top say nothing
    (found,) = make_guesses(Scores.one_run(scores=nan, included_mask=mask), FixedK(1, 1), "test")
    assert found.correct == 1 + 1
    (found,) = make_guesses(Scores.one_run(scores=nan, included_mask=mask), FixedK(3, 2), "test")
    assert found.correct == (1 + 0 + 0) + (1 + 0)


def test_ties_know_nothing_of_the_order_of_the_canaries() -> None:
    """Included canaries listed first, all scores equal: about half of the guesses are right."""
    mask = np.arange(2000) < 1000
    for k_in, k_out in [(1000, 1000), (300, 0), (0, 300)]:
        for value in (0.0, np.nan):
            values = np.append(np.full(1999, value), 0.0)
            (found,) = make_guesses(Scores.one_run(scores=values, included_mask=mask), FixedK(k_in, k_out), "test")
            assert abs(found.correct / found.guesses - 0.5) < 0.1


def test_sizes() -> None:
    assert KGrid((0.03, 0.1, 0.3)).sizes(1000) == ((30, 30), (100, 100), (300, 300))
    assert KGrid((0.03, 0.1)).sizes(5) == ((1, 1),)
    assert KGrid((0.5,)).sizes(7) == ((3, 3),)
    with pytest.raises(UsageError, match="at most the 10 canaries"):
        FixedK(6, 5).sizes(10)


def test_what_perfect_scores_can_do() -> None:
    mask = np.random.default_rng(3).random(40) < 0.5
    assert perfect_canaries(OneRun(), Claim(epsilon=0.1), 0.95, mask) == 40
    assert perfect_canaries(OneRun(), Claim(epsilon=8), 0.95, mask) is None


def test_refusals() -> None:
    claim = Claim(epsilon=1)
    many = Scores(scores=[1.0, 2.0], included_mask=[True, False])
    for refused in (
        lambda: OneRun().test(many, claim, 0.95),
        lambda: OneRun().lower_bound(many, delta=0.0, confidence=0.95),
    ):
        with pytest.raises(UsageError, match="one-run scores"):
            refused()
    with pytest.raises(UsageError, match="not fair"):
        OneRun().test(Scores.one_run(scores=np.zeros(1000), included_mask=np.arange(1000) < 900), claim, 0.95)
    with pytest.raises(UsageError, match="many runs"):
        OneRun().monitor(claim, 0.95, 1)
    with pytest.raises(UsageError, match="copies"):
        OneRun().lower_bound(one_run(1.0), delta=0.0, confidence=0.95, copies=2)
    for wrong in (
        lambda: FixedK(0, 0),
        lambda: FixedK(-1, 2),
        lambda: KGrid(()),
        lambda: KGrid((0.6,)),
        lambda: lower_bound_from_counts(m=10, guesses=11, correct=1),
        lambda: lower_bound_from_counts(m=10, guesses=0, correct=0),
        lambda: lower_bound_from_counts(m=10, guesses=5, correct=6),
        lambda: lower_bound_from_counts(m=10, guesses=5, correct=5, delta=1.0),
        lambda: lower_bound_from_counts(m=10, guesses=5, correct=5, confidence=1.0),
        lambda: p_value(10, 5, 5, -1.0, 0.0),
        lambda: p_value(10, 5, 5, 1.0, 2.0),
    ):
        with pytest.raises(UsageError):
            wrong()
