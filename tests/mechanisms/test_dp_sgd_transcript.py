"""White-box audits on the ensemble: every step is seen, and the canary is a gradient."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import canaries
import dpaudit as dpa
from dpaudit.ensemble import Steps
from dpaudit.mechanisms import DPSGD, WithGradient
from dpaudit.methods import Betting
from dpaudit.methods.betting import race

STEPS, RATE, PARAMETERS = 8, 0.5, 44
DIRECTION = torch.zeros(PARAMETERS).index_fill_(0, torch.tensor([3]), 1.0)


def mechanism(**settings) -> DPSGD:
    given = {"noise_multiplier": 2.0, "steps": STEPS, "learning_rate": 0.1, "sample_rate": RATE}
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 4))
    return DPSGD(model, **({"directions": DIRECTION[None]} | given | settings))


def neighbors() -> dpa.Neighbors:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 10)).astype(np.float32), rng.integers(0, 4, 20)
    return dpa.Neighbors(excluded=data, included=WithGradient(data, 100.0 * DIRECTION), name="dirac")


def score(release: dpa.Release, neighbors: dpa.Neighbors) -> dict[str, float]:
    return {"sum": float(release.value.projections.sum())}


@pytest.mark.parametrize("kernel", ["fused", "torch"])
def test_the_gradient_adds_one_clipped_record_at_the_sample_rate(kernel: str) -> None:
    trials, made = 4000, mechanism(kernel=kernel)
    coins = np.arange(trials) % 2 == 1
    releases = made.run_many(neighbors(), coins.tolist(), list(range(trials)))
    assert releases[0].value.projections.shape == (STEPS, 1)
    sums = np.array([release.value.projections.sum() for release in releases])
    inside, outside = sums[coins], sums[~coins]
    error = np.sqrt(inside.var() / len(inside) + outside.var() / len(outside))
    # each step it joins with probability RATE and adds exactly C = 1; 5.5 errors: one failure in 2e7
    assert inside.mean() - outside.mean() == pytest.approx(STEPS * RATE, abs=5.5 * float(error))
    assert outside.std() > 2.0 * np.sqrt(STEPS) * 0.9


def test_a_trial_does_not_depend_on_its_chunk() -> None:
    made, worlds = mechanism(), neighbors()
    together = made.run_many(worlds, [True, False, True], [5, 6, 7])
    alone = [made.run_many(worlds, [coin], [seed])[0] for coin, seed in ((True, 5), (False, 6), (True, 7))]
    for one, other in zip(together, alone, strict=True):
        assert one.value.projections.tolist() == other.value.projections.tolist()


def half_the_noise(moment, clipped, noise):
    return clipped.add_(noise, alpha=moment.training.noise_std / 2)


def refuted(made: DPSGD, audits: int, trials: int) -> int:
    rng = np.random.default_rng(5)
    coins = rng.random((audits, trials)) < 0.5
    seeds = rng.choice(2**32, size=coins.size, replace=False)
    releases = made.run_many(neighbors(), coins.ravel().tolist(), seeds.tolist())
    values = np.array([release.value.projections.sum() for release in releases], dtype=np.float64).reshape(coins.shape)
    return int((race(Betting(), mechanism().claim(), 0.95, values, coins).refuted_at > 0).sum())


def test_the_honest_algorithm_is_rarely_refuted_and_half_the_noise_nearly_always() -> None:
    """The sum is close to the best score, so the claim is tried near its boundary; judged as DECISIONS 15."""
    assert binomtest(refuted(mechanism(), 60, 300), 60, 0.05, alternative="greater").pvalue > 1e-6
    assert refuted(mechanism(hooks=Steps(privatise=half_the_noise)), 20, 900) >= 10


def test_an_audit_of_half_the_noise_says_what_was_run() -> None:
    made = mechanism(hooks=Steps(privatise=half_the_noise))
    claim = mechanism(noise_multiplier=6.0).claim()
    report = dpa.audit(made, neighbors(), claim=claim, attack=score, max_trials=400, seed=1, workers=0)
    assert report.verdict is dpa.Verdict.REFUTED
    assert report.engine == "ensemble (algorithm)"


def test_what_the_adversary_sees_is_in_the_fingerprint() -> None:
    assert repr(mechanism()) != repr(mechanism(noise_multiplier=2.0, steps=STEPS, kernel="torch"))
    other = DPSGD(
        torch.nn.Sequential(torch.nn.Linear(10, 4)),
        noise_multiplier=2.0,
        steps=STEPS,
        learning_rate=0.1,
        sample_rate=RATE,
    )
    assert "directions=None" in repr(other)
    assert "directions=#" in repr(mechanism())


def test_the_release_is_a_transcript_with_the_constants_of_the_audit() -> None:
    release = mechanism(max_grad_norm=0.5).run_many(neighbors(), [False], [3])[0]
    assert isinstance(release.value, dpa.Transcript)
    assert release.value.steps == STEPS
    assert (release.value.clip_bounds == 0.5).all()
    assert (release.value.noise_multiplier, release.value.sample_rate) == (2.0, RATE)
    data = neighbors().excluded
    assert mechanism(sample_rate=None, batch=5, size=20).run(data, 3).value.sample_rate is None


def test_directions_count_by_what_they_point_at() -> None:
    one = mechanism().run_many(neighbors(), [True], [3])[0].value
    longer = mechanism(directions=7 * DIRECTION.numpy()).run_many(neighbors(), [True], [3])[0].value
    np.testing.assert_allclose(one.projections, longer.projections, rtol=1e-6)


def test_the_default_battery_reads_a_transcript() -> None:
    row = dpa.attacks.Battery().statistics(mechanism().run_many(neighbors(), [True], [3])[0], neighbors())
    assert {"transcript_sum", "transcript_optimal", "transcript_max", "transcript_spread", "non_finite"} <= set(row)
    assert "clip_bound" not in row


def test_a_sequence_of_gradients_meets_its_own_direction_in_each_step() -> None:
    """Without noise and at rate 1 every step shows exactly the bound, and another coordinate each time."""
    worlds = canaries.sequence(neighbors().excluded, PARAMETERS, steps=STEPS, seed=4)
    gradient = worlds.context["gradient"]
    assert len({int(np.argmax(row)) for row in gradient}) == STEPS
    made = mechanism(directions=worlds.context["directions"], noise_multiplier=0.0, sample_rate=1.0, learning_rate=0.0)
    assert made.runs_on == "torch"
    out, inside = (made.run_many(worlds, [coin], [3])[0].value.projections for coin in (False, True))
    np.testing.assert_allclose(inside - out, 1.0, atol=1e-5)


def test_a_sequence_of_another_length_or_on_the_fused_kernel_is_refused() -> None:
    worlds = canaries.sequence(neighbors().excluded, PARAMETERS, steps=STEPS - 1)
    with pytest.raises(dpa.UsageError, match="gradient canary"):
        mechanism(kernel="torch").run_many(worlds, [True], [3])
    with pytest.raises(dpa.UsageError, match="kernel='torch'"):
        mechanism(kernel="fused").run_many(worlds, [True], [3])
