"""The f-DP one-run bound: vectors, a linear program as oracle, exact laws of V, both directions of a curve."""

import time

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import expit
from scipy.stats import binom

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.mechanisms import known
from dpaudit.methods import one_run
from dpaudit.methods.guessing import FixedK, Guesses
from dpaudit.methods.one_run_fdp import (
    Family,
    OneRunFDP,
    inverse_blow_up,
    lower_bound_from_counts,
    refutes,
)
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian
from dpaudit.scores import Scores


@pytest.mark.parametrize(
    ("m", "g", "c", "epsilon"), [(1000, 1000, 600, 0.673355), (1000, 100, 100, 6.169474), (1000, 1000, 1000, 13.514245)]
)
def test_vectors(m: int, g: int, c: int, epsilon: float) -> None:
    bound = lower_bound_from_counts(m=m, guesses=g, correct=c, delta=1e-6, confidence=0.95, family="gaussian")
    assert bound.epsilon == pytest.approx(epsilon, abs=5.1e-7)
    assert "Gaussian mechanism assumed" in bound.method


def largest_tail(m: int, g: int, c: int, epsilon: float, delta: float) -> float:
    """The largest P[V >= c] that steps (1) and (2) of the proof allow under (epsilon, delta)-DP: a linear program."""
    count = np.arange(g + 1)
    rows, limits = [], []
    for i in range(1, c + 1):
        right = np.where(count >= i, count / m, 0.0)
        wrong = np.where(count >= i - 1, (g - count) / m, 0.0)
        for slope, level in ((np.exp(epsilon), delta), (np.exp(-epsilon), 1 - (1 - delta) * np.exp(-epsilon))):
            rows.append(right - slope * wrong)
            limits.append(level)
    found = linprog(-(count >= c).astype(float), A_ub=rows, b_ub=limits, A_eq=[np.ones(g + 1)], b_eq=[1.0])
    return -float(found.fun)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.05), (1.0, 0.0), (1.0, 0.01), (2.0, 1e-3)])
def test_the_recursion_solves_its_linear_program(epsilon: float, delta: float) -> None:
    for m, g in [(8, 8), (20, 12), (30, 25)]:
        for c in range(1, g + 1):
            p = OneRunFDP().p_value(Guesses(m, g, 0, c), Claim(epsilon=epsilon, delta=delta))
            assert p == pytest.approx(largest_tail(m, g, c, epsilon, delta), rel=1e-5)


def test_no_mechanism_beats_the_p_value() -> None:
    """P[V >= v] <= p(v) for every v, the law of V being known exactly; canaries independent, or told all at once."""
    m = 40
    counts = np.arange(m + 1)
    for epsilon in (0.0, 0.5, 2.0):
        for delta in (0.0, 0.01, 0.1):
            claim = Claim(epsilon=epsilon, delta=delta)
            bounds = np.array([OneRunFDP().p_value(Guesses(m, m, 0, int(v)), claim) for v in counts])
            alone = binom.sf(counts - 1, m, delta + (1 - delta) * expit(epsilon))
            at_once = delta + (1 - delta) * binom.sf(counts - 1, m, expit(epsilon))
            assert (alone <= bounds + 1e-9).all(), (epsilon, delta)
            assert (at_once <= bounds + 1e-9).all(), (epsilon, delta)


def test_delta_is_no_more_than_its_price() -> None:
    """All coins told with probability delta: the p-value of perfect guesses is delta, the sharpest possible."""
    p = OneRunFDP().p_value(Guesses(200, 100, 100, 200), Claim(epsilon=0.0, delta=0.03))
    assert p == pytest.approx(0.03, rel=1e-3)
    assert float(one_run.p_value(200, 200, 200, 0.0, 0.03)) > 0.1


def test_tight_for_randomised_response() -> None:
    for epsilon in (0.5, 1.0, 3.0):
        bound = lower_bound_from_counts(
            m=10**6, guesses=10**6, correct=int(10**6 * expit(epsilon)), family="approximate-dp"
        )
        assert 0 < epsilon - bound.epsilon < 0.03


def test_curves_invert_the_trade_off() -> None:
    x = np.linspace(0.001, 0.5, 40)
    for profile in (Gaussian(1.3), ApproximateDP(1.0, 0.01), known.LaplaceProfile(1.0)):
        blown_up = 1 - Claim(profile=profile).tradeoff(x)
        inverse = inverse_blow_up(profile)
        back = np.array([inverse(float(y)) for y in blown_up])
        assert back == pytest.approx(x, rel=2e-3, abs=1e-6)
        assert inverse(0.0) == 0.0
        assert (back <= x + 1e-4).all()


def test_an_asymmetric_claim_is_the_best_split_over_both_directions() -> None:
    """F(x) = max of (F_in(a) + F_out(b))/2 over (a + b)/2 = x, here by brute force."""
    profile = DPSGD(0.6, 0.3, 1)
    eps = np.linspace(0, 12, 600)
    d_in, d_out = profile.in_over_out(eps), profile.out_over_in(eps)

    def blow_up(a: np.ndarray, d: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        steep = (d + np.exp(eps) * a[:, None]).min(1)
        flat = (1 - np.exp(-eps) * (1 - mirror - a[:, None])).min(1)
        return np.minimum(np.minimum(steep, flat), 1)

    inverse = inverse_blow_up(profile)
    for x in (0.01, 0.1, 0.3):
        a = np.linspace(0, 2 * x, 801)
        best = ((blow_up(a, d_in, d_out) + blow_up(2 * x - a, d_out, d_in)) / 2).max()
        assert inverse(float(best)) == pytest.approx(x, rel=5e-3)
        one_sided = max(float(blow_up(np.array([x]), d, e)[0]) for d, e in ((d_in, d_out), (d_out, d_in)))
        assert best < one_sided  # the curve of the larger direction alone would be weaker


def test_a_whole_curve_sees_more_than_its_points_one_by_one() -> None:
    rng = np.random.default_rng(2)
    mask = rng.random(1000) < 0.5
    scores = Scores.one_run(scores=rng.standard_normal(1000) + 2 * mask, included_mask=mask)
    claim = Claim.gaussian(mu=1)
    curve = OneRunFDP(FixedK(50, 50)).test(scores, claim, 0.95)
    point = one_run.OneRun(FixedK(50, 50)).test(scores, claim, 0.95)
    assert curve.refuted
    assert not point.refuted
    assert curve.p_value is not None
    inverse, correct = inverse_blow_up(claim.profile), curve.details["correct"]
    assert refutes(1000, 100, correct, inverse, curve.p_value)
    assert not refutes(1000, 100, correct, inverse, curve.p_value * (1 - 1e-6))


def test_the_family_is_said() -> None:
    mask = np.random.default_rng(4).random(500) < 0.5
    scores = Scores.one_run(scores=mask.astype(float), included_mask=mask)
    plain = OneRunFDP().lower_bound(scores, delta=1e-5, confidence=0.95)
    gaussian = OneRunFDP(family="gaussian").lower_bound(scores, delta=1e-5, confidence=0.95)  # type: ignore[arg-type]
    assert "assumed" not in str(plain)
    assert "Gaussian mechanism assumed" in str(gaussian)
    assert 0 < plain.epsilon < gaussian.epsilon
    assert OneRunFDP().to_dict()["family"] == Family.APPROXIMATE_DP
    with pytest.raises(UsageError, match="family"):
        OneRunFDP(family="laplace")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one-run scores"):
        OneRunFDP().test(Scores(scores=[1.0, 2.0], included_mask=[True, False]), Claim(epsilon=1), 0.95)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("confidence", [1e-12, 0.95, 1 - 1e-12])
@pytest.mark.parametrize("delta", [0.0, 1e-12, 1e-5, 0.999])
def test_extremes_are_numbers_or_infinite(delta: float, confidence: float, family: Family) -> None:
    for m, g in [(1, 1), (1000, 3), (10**6, 10**6)]:
        bounds = [
            lower_bound_from_counts(m=m, guesses=g, correct=c, delta=delta, confidence=confidence, family=family)
            for c in (0, g // 2, g)
        ]
        values = [b.epsilon for b in bounds]
        assert not np.isnan(values).any()
        assert values == sorted(values)
        assert values[0] == 0
        if delta > 0 or family is Family.APPROXIMATE_DP:
            assert np.isfinite(values).all()
        else:  # of a Gaussian mechanism, once there are guesses enough to refute mu = 0
            assert values[2] == (np.inf if g == 10**6 or confidence < 0.5 else 0)


def test_a_million_canaries_take_less_than_two_seconds() -> None:
    for family in Family:
        start = time.process_time()
        lower_bound_from_counts(m=10**6, guesses=10**6, correct=600_000, delta=1e-8, family=family)
        assert time.process_time() - start < 2
