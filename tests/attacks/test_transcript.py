"""Transcripts, and the statistics of an adversary who has one."""

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.attacks import TranscriptScores, canary_scores
from dpaudit.attacks.transcript import likelihood_ratio

NEIGHBORS = dpa.Neighbors(excluded=0.0, included=1.0)


def scores(projections, bounds=None, **declared):
    seen = np.asarray(projections, float)
    bounds = np.ones(len(seen)) if bounds is None else np.asarray(bounds, float)
    return dict(TranscriptScores().statistics(dpa.Release(dpa.Transcript(seen, bounds, **declared)), NEIGHBORS))


def test_statistics_are_in_units_of_the_bound_of_their_step():
    row = scores([[2.0], [1.0], [-4.0]], [2.0, 0.5, 4.0])
    assert row == {
        "transcript_sum": pytest.approx(1 + 2 - 1),
        "transcript_max": pytest.approx(2),
        "transcript_spread": pytest.approx(np.std([1, 2, -1])),
        "transcript_steps": 3,
        "clip_bound": 4.0,
    }


def test_names_depend_on_the_kind_alone():
    rng = np.random.default_rng(0)
    declared = {"noise_multiplier": 1.0, "sample_rate": 0.1}
    plain = {"transcript_sum", "transcript_max", "transcript_spread", "transcript_steps"}
    assert set(scores(rng.normal(size=(5, 1)))) == plain
    assert set(scores(rng.normal(size=(5, 1)), **declared)) == plain | {"transcript_optimal"}
    assert set(scores(rng.normal(size=(5, 2)))) == plain | {"transcript_contrast"}
    assert set(scores(rng.normal(size=(1, 1)), **declared)) == {"transcript_sum"}
    assert set(scores(np.full((5, 1), np.nan))) == plain


def test_the_optimal_score_is_the_log_likelihood_ratio():
    from scipy.stats import norm

    x, sigma, q = np.linspace(-5, 5, 41), 0.7, 0.2
    law = np.log(((1 - q) * norm.pdf(x, 0, sigma) + q * norm.pdf(x, 1, sigma)) / norm.pdf(x, 0, sigma))
    np.testing.assert_allclose(likelihood_ratio(x, sigma, q), law, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(likelihood_ratio(x, sigma, 1.0), (2 * x - 1) / (2 * sigma**2), rtol=1e-12)
    row = scores(x[:, None], noise_multiplier=sigma, sample_rate=q)
    assert row["transcript_optimal"] == pytest.approx(law.sum())


def test_huge_and_non_finite_steps_stay_numbers_or_nan():
    assert likelihood_ratio(np.array([1e30, -1e30]), 0.01, 0.1) == pytest.approx([1e34, np.log(0.9)])
    row = scores([[np.inf], [1.0]], noise_multiplier=1.0, sample_rate=0.1)
    assert row["transcript_optimal"] == np.inf
    assert np.isnan(scores([[np.nan], [1.0]])["transcript_sum"])
    assert scores(np.zeros((0, 1)))["transcript_steps"] == 0


def test_noise_that_two_leaves_share_cancels_in_the_contrast():
    noise = np.random.default_rng(0).normal(size=(9, 1)) * 100
    row = scores(np.hstack([noise + 1, noise]))
    assert row["transcript_contrast"] == pytest.approx(9)


def test_a_canary_has_the_score_of_its_own_column():
    seen = np.random.default_rng(0).normal(size=(6, 3))
    plain = dpa.Transcript(seen, np.full(6, 2.0))
    np.testing.assert_allclose(canary_scores(plain), seen.sum(axis=0) / 2)
    told = plain.declaring(1.0, 0.1)
    np.testing.assert_allclose(canary_scores(told), likelihood_ratio(seen / 2, 1.0, 0.1).sum(axis=0))
    for k in range(3):
        alone = scores(seen[:, [k]], np.full(6, 2.0), noise_multiplier=1.0, sample_rate=0.1)
        assert canary_scores(told)[k] == pytest.approx(alone["transcript_optimal"])


def test_the_battery_takes_a_transcript():
    release = dpa.Release(dpa.Transcript(np.ones((3, 1)), np.ones(3)))
    row = dpa.attacks.Battery().statistics(release, NEIGHBORS)
    assert row["transcript_sum"] == 3
    assert row["non_finite"] == 0


def test_other_releases_are_told():
    with pytest.raises(dpa.UsageError, match="a Transcript"):
        TranscriptScores().statistics(dpa.Release(1.0), NEIGHBORS)
    with pytest.raises(dpa.UsageError, match="a Transcript"):
        canary_scores(np.ones(3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((np.ones(3), np.ones(3)), "projections"),
        ((np.ones((3, 1)), np.ones(2)), "clip_bounds"),
        ((np.ones((3, 1)), np.ones(3), -1.0), "noise_multiplier"),
        ((np.ones((3, 1)), np.ones(3), 1.0, 0.0), "sample_rate"),
    ],
)
def test_a_transcript_that_does_not_fit_together_is_told(given, said):
    with pytest.raises(dpa.UsageError, match=said):
        dpa.Transcript(*given)
