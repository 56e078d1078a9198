"""The "true" formulas of FAULTS, confirmed on the faults themselves: what their transcripts show is what they say."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom

from dpaudit.mechanisms.faults import View, fault_named

TRIALS = 3000
# fault -> shift of one coin in units of C, sigma in units of C, rate, steps, coins a step
TRUTHS = {
    "noise_div_batch_twice": (1.0, 0.2, 0.5, 8, 1),
    "noise_scaled_by_wrong_clip": (1.0, 0.5, 0.5, 8, 1),
    "noise_divided_by_workers": (1.0, 0.4, 0.5, 8, 1),
    "norm_squared_compared": (4.0, 2.0, 0.5, 8, 1),
    "clip_by_value": (44**0.5, 2.0, 0.5, 8, 1),
    "sample_rate_misreported": (1.0, 1.0, 1.0, 8, 1),
    "steps_undercounted": (1.0, 1.0, 0.5, 48, 1),
    "gradient_accumulation_uncounted": (1.0, 2.0, 0.5, 8, 8),
    "duplicate_records": (1.0, 2.0, 0.5, 8, 8),
    "replace_one_claimed": (2.0, 1.4, 1.0, 8, 1),
    "backpropagation_clipping": (1.0, 0.2, 1.0, 8, 1),
}


def ratios(x, shift, sigma, rate, coins):
    """(trials,) exact log likelihood ratios of steps x (trials, steps) with `coins` shifts at most."""
    counts = np.arange(coins + 1)
    moved = (2 * counts * shift * x[..., None] - (counts * shift) ** 2) / (2 * sigma**2)
    return logsumexp(binom.logpmf(counts, coins, rate) + moved, axis=-1).sum(axis=-1)


@pytest.mark.parametrize("name", sorted(TRUTHS))
def test_the_transcript_has_the_true_law(name):
    """Means, variances and the distinguishing power at two epsilons; 5.5 standard errors, one failure in 2e7 each."""
    shift, sigma, rate, steps, coins_a_step = TRUTHS[name]
    fault = fault_named(name)
    case = fault.case(View.TRANSCRIPT)
    coins = np.arange(TRIALS) % 2 == 1
    releases = case.mechanism.run_many(case.neighbors, coins.tolist(), list(range(TRIALS)))
    x = np.array([release.value.units[:, 0] for release in releases])
    if x.shape[1] > steps:
        x = x[:, coins_a_step - 1 :: coins_a_step]
    x = x - x[~coins].mean()  # what the other records add, whose gradients hardly meet this direction
    assert x.shape[1] == steps
    out, inside = x[~coins].ravel(), x[coins].ravel()
    assert out.std() == pytest.approx(sigma, abs=5.5 * sigma / np.sqrt(2 * len(out)) + 0.1 * sigma)
    spread = np.sqrt(inside.var() / len(inside) + out.var() / len(out))
    assert inside.mean() == pytest.approx(rate * shift * coins_a_step, rel=0.03, abs=5.5 * float(spread))
    seen = ratios(x, shift, sigma, rate, coins_a_step)
    claim = fault.truth
    for eps in (0.5, 2.0):
        hit, false = (seen[coins] > eps).mean(), (seen[~coins] > eps).mean()
        delta = hit - np.exp(eps) * false
        error = np.sqrt(hit * (1 - hit) + np.exp(2 * eps) * false * (1 - false)) / np.sqrt(TRIALS / 2)
        assert delta == pytest.approx(float(claim.profile.in_over_out(eps)), abs=5.5 * float(error) + 0.04)
        assert delta > float(fault.claim.profile.in_over_out(eps)) + 0.04
