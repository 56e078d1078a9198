"""Scores that cannot say anything are refused, with what would do; extreme ones give exact answers."""

import math

import numpy as np
import pytest

import dpaudit as dpa

CLAIM = dpa.Claim(epsilon=1.0)
ONE_SIDED = {
    "coins that all fall on one side": dpa.Scores(scores=np.arange(5.0), included_mask=np.ones(5, dtype=bool)),
    "one trial in a world": dpa.Scores(included=[1.0], excluded=[0.0, 1.0]),
    "one run without an excluded canary": dpa.Scores.one_run(scores=[1.0, 0.0], included_mask=[True, True]),
}


@pytest.mark.parametrize("scores", ONE_SIDED.values(), ids=ONE_SIDED)
def test_fewer_than_two_in_a_world_are_refused(scores: dpa.Scores) -> None:
    for ask in (lambda: dpa.test(scores, CLAIM), lambda: dpa.lower_bound(scores)):
        with pytest.raises(dpa.UsageError, match=r"too few .* in one world; allowed: two or more"):
            ask()


@pytest.mark.parametrize("confidence", [0.95, 1 - 1e-12])
@pytest.mark.parametrize("delta", [0.0, 1 - 1e-9])
def test_extremes_are_numbers(confidence: float, delta: float) -> None:
    """Perfect scores near the largest float, wealth beyond floats, a delta at which nothing can be refuted."""
    mask = np.random.default_rng(0).random(3000) < 0.5
    scores = dpa.Scores(scores=1.5e308 * mask, included_mask=mask)
    result = dpa.test(scores, dpa.Claim(epsilon=0.0, delta=delta), confidence=confidence)
    bound = dpa.lower_bound(scores, delta=delta, confidence=confidence)
    assert result.refuted == (delta == 0.0)
    assert result.p_value is not None
    assert math.isfinite(result.p_value)
    assert math.isfinite(bound.epsilon)
    assert (bound.epsilon > 4) == (delta == 0.0)
