"""Clopper-Pearson by rules: a naive oracle, tightness on quantile samples, and the placing of NaN, lost and ties."""

import numpy as np
import pytest
from scipy.stats import beta, norm

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import LowerBound
from dpaudit.methods import ClopperPearson, Fixed, HoldOut, RankGrid
from dpaudit.scores import Scores


def quantile_scores(n: int, mu: float) -> Scores:
    """Deterministic "samples" of N(mu, 1) against N(0, 1)."""
    grid = norm.ppf((np.arange(n) + 0.5) / n)
    return Scores(included=grid + mu, excluded=grid)


def test_fixed_threshold_is_the_bound_from_counts() -> None:
    scores = quantile_scores(500, 2.0)
    bound = ClopperPearson(Fixed(1.5)).lower_bound(scores, delta=1e-5, confidence=0.95)
    tp = int((scores.values[scores.included_mask] >= 1.5).sum())
    fp = int((scores.values[~scores.included_mask] >= 1.5).sum())
    expected = LowerBound.from_counts(tp=tp, fp=fp, n_included=500, n_excluded=500, delta=1e-5)
    assert (bound.tp, bound.fp) == (tp, fp)
    assert bound.epsilon == pytest.approx(expected.epsilon)
    assert bound.ceiling == pytest.approx(expected.ceiling)


def test_rank_grid_agrees_with_order_statistics_written_out() -> None:
    rng = np.random.default_rng(3)
    inside, outside = rng.normal(1.5, 1, 120), rng.normal(0, 1, 90)
    alpha, rank = 0.05, 0.1
    level = alpha / 2 / 2  # two events
    k = round(rank * 90)
    x = np.sort(outside)[::-1][k - 1]
    tp = int((inside > x).sum())
    low, high = beta.ppf(level, tp, 120 - tp + 1), beta.ppf(1 - level, k, 90 - k + 1)
    j = round(rank * 120)
    y = np.sort(inside)[j - 1]
    fp = int((outside >= y).sum())
    low2, high2 = beta.ppf(level, 120 - j + 1, j), beta.ppf(1 - level, fp + 1, 90 - fp)
    expected = max(
        np.log(low / high), np.log((1 - high) / (1 - low)), np.log(low2 / high2), np.log((1 - high2) / (1 - low2))
    )
    bound = ClopperPearson(RankGrid((rank,))).lower_bound(
        Scores(included=inside, excluded=outside), delta=0.0, confidence=1 - alpha
    )
    assert bound.epsilon == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("claim_mu", "true_mu", "per_world"), [(1, 2, 97), (1, 1.41, 511), (0.5, 1, 326), (2, 4, 58)])
def test_the_profile_needs_tens_of_trials(claim_mu: float, true_mu: float, per_world: int) -> None:
    """STATISTICS section 3, last column: at that many quantile "samples" the profile is refuted, its point is not."""
    scores, claim = quantile_scores(per_world, true_mu), Claim.gaussian(mu=claim_mu)
    method = ClopperPearson(RankGrid())
    assert method.test(scores, claim, 0.95).refuted
    assert method.lower_bound(scores, delta=1e-5, confidence=0.95).epsilon < claim.epsilon(1e-5)


def test_p_value_is_where_the_decision_turns() -> None:
    scores, claim = quantile_scores(80, 2.0), Claim.gaussian(mu=1)
    p = ClopperPearson().test(scores, claim, 0.95).p_value
    assert p is not None
    assert 0 < p < 0.05
    assert ClopperPearson().refutes(scores, claim, 1 - p * 1.01)
    assert not ClopperPearson().refutes(scores, claim, 1 - p * 0.99)
    assert ClopperPearson().test(quantile_scores(80, 0.0), claim, 0.95).p_value == 1.0


def test_ties_of_the_supplying_class_count_by_rank() -> None:
    """All OUT scores equal: the k-th largest is that tie, and nothing of IN lies strictly above it."""
    scores = Scores(included=np.zeros(500), excluded=np.zeros(500))
    bound = ClopperPearson().lower_bound(scores, delta=0.0, confidence=0.95)
    assert bound.epsilon == 0.0


def test_nan_lies_below_everything_and_lost_hurts_the_accusation() -> None:
    mask = np.repeat([True, False], 200)
    plain = np.where(mask, 1.0, 0.0)
    method = ClopperPearson(Fixed(0.5))

    def epsilon(values: np.ndarray, lost: np.ndarray | None = None) -> float:
        table = Scores.from_table(values[:, None], mask, ["score"], lost=lost)
        return method.lower_bound(table, delta=0.0, confidence=0.95).epsilon

    perfect = epsilon(plain)
    missing = plain.copy()
    missing[:20] = np.nan  # misses in IN
    assert epsilon(missing) < perfect
    outside_missing = plain.copy()
    outside_missing[200:220] = np.nan  # still "out"
    assert epsilon(outside_missing) == perfect
    lost = np.zeros(400, dtype=bool)
    lost[200:220] = True  # false positives
    assert epsilon(plain, lost) < perfect


def test_many_statistics_are_picked_on_the_first_quarter_only() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(800) < 0.5
    table = rng.normal(size=(800, 5))
    table[:, 2] -= 3 * mask
    result = ClopperPearson().test(Scores.from_table(table, mask, list("abcde")), Claim.gaussian(mu=1), 0.95)
    assert result.refuted
    assert result.statistic == "c (reversed)"
    assert result.details["judged_included"] + result.details["judged_excluded"] == 600


def test_hold_out_never_judges_the_trials_it_learned_from() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random(300) < 0.5
    scores = Scores(scores=rng.normal(size=300) + 2 * mask, included_mask=mask)
    result = ClopperPearson(HoldOut(0.4)).test(scores, Claim.gaussian(mu=1), 0.95)
    assert result.details["judged_included"] + result.details["judged_excluded"] == 180


def test_refusals() -> None:
    claim = Claim(epsilon=1)
    with pytest.raises(UsageError, match="trials of both worlds"):
        ClopperPearson().test(Scores(scores=[1.0, 2.0], included_mask=[True, True]), claim, 0.95)
    with pytest.raises(UsageError, match="many-runs scores"):
        ClopperPearson().test(Scores.one_run(scores=[1.0, 2.0], included_mask=[True, False]), claim, 0.95)
    with pytest.raises(UsageError, match="no trials of one world"):
        ClopperPearson(HoldOut(0.9)).test(Scores(scores=[1.0, 2.0], included_mask=[True, False]), claim, 0.95)
    for wrong in (lambda: HoldOut(0), lambda: RankGrid(()), lambda: RankGrid((1.5,)), lambda: Fixed(float("nan"))):
        with pytest.raises(UsageError):
            wrong()
