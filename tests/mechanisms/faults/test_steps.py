"""What each fault makes of one step, beside right DP-SGD, with given batch and noise."""

import numpy as np
import pytest
import torch

from dpaudit.ensemble import Injected, Pool, Steps, train
from dpaudit.mechanisms.dp_sgd import DPSGD
from dpaudit.mechanisms.faults import fault_named
from dpaudit.mechanisms.faults.per_record import Parts, PerRecord
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, SETTING

CUSHION = 1e-6


def gradients(x, y):
    """(n, P) per-record gradients of a softmax at zero weights."""
    back = np.full((len(x), CLASSES), 1 / CLASSES) - np.eye(CLASSES)[y]
    return np.hstack([(back[:, :, None] * x[:, None, :]).reshape(len(x), CLASSES * FEATURES), back])


def clipped(each, bound):
    return each * np.minimum(1.0, bound / (np.linalg.norm(each, axis=1, keepdims=True) + CUSHION))


def step(hooks, setting, mask, noise):
    """The noised sum (P,) of the ensemble's first step, and the batch's own gradients (B, P)."""
    x, y = setting.neighbors().included
    mechanism = setting.mechanism(hooks)
    pool = Pool(torch.as_tensor(x), torch.as_tensor(y))
    training = mechanism.training(setting.records)
    made = train(
        setting.model(),
        pool,
        np.ones((1, len(x)), bool),
        type(training)(**{**vars(training), "steps": 1}),
        [0],
        injected=Injected(mask[None, None], noise[None, None]),
        steps=hooks,
        directions=torch.eye(setting.size),
    )
    return made.transcript.projections[0, 0].numpy().astype(float), gradients(x[mask], y[mask])


def planted(name):
    """The hooks of a fault and its setting; its final-weights case is an ensemble's."""
    fault = fault_named(name)
    mechanism = fault.cases[0].mechanism
    assert isinstance(mechanism, DPSGD)
    return mechanism.hooks


def shorten(vector, bound):
    return vector * min(1.0, bound / (np.linalg.norm(vector) + CUSHION))


C, SIGMA, B = SETTING.clip, SETTING.noise_multiplier, SETTING.batch
FIRST = np.arange(SETTING.size) < CLASSES * FEATURES
EXPECTED = {
    "no_noise": lambda g, z: clipped(g, C).sum(0),
    "closure_overwrites_noise": lambda g, z: g.sum(0),
    "first_leaf_unnoised": lambda g, z: clipped(g, C).sum(0) + SIGMA * C * np.where(FIRST, 0.0, z),
    "noise_div_batch_twice": lambda g, z: clipped(g, C).sum(0) + SIGMA * C / B * z,
    "noise_scaled_by_wrong_clip": lambda g, z: clipped(g, C).sum(0) + SIGMA * C / 4 * z,
    "noise_divided_by_workers": lambda g, z: clipped(g, C).sum(0) + SIGMA * C / 5 * z,
    "ghost_loss_broadcast": lambda g, z: (
        g.sum(0) * np.minimum(1.0, C / (np.linalg.norm(g, axis=1) + CUSHION)).sum() + SIGMA * C * z
    ),
    "batch_clip": lambda g, z: shorten(g.sum(0), B * C) + SIGMA * C * z,
    "clip_after_noise": lambda g, z: shorten(g.sum(0) + SIGMA * C * z, B * C),
    "max_vs_min_clip": lambda g, z: (
        (g * np.maximum(1.0, C / (np.linalg.norm(g, axis=1, keepdims=True) + CUSHION))).sum(0) + SIGMA * C * z
    ),
    "raw_grad_accumulates": lambda g, z: clipped(g, C).sum(0) + g.sum(0) + SIGMA * C * z,
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_one_step_differs_by_the_named_line(name):
    rng = np.random.default_rng(3)
    mask = np.arange(1, SETTING.records + 2) % 3 < 2  # the canary, the last one, among them
    noise = rng.standard_normal(SETTING.size).astype(np.float32)
    assert mask[-1]
    seen, each = step(planted(name), SETTING, mask, noise)
    wanted = EXPECTED[name](each, noise.astype(float))
    np.testing.assert_allclose(seen, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    right, _ = step(Steps(), SETTING, mask, noise)
    np.testing.assert_allclose(right, clipped(each, C).sum(0) + SIGMA * C * noise, rtol=1e-4, atol=1e-4)
    assert np.abs(seen - right).max() > 0.05


def test_the_squared_norm_lets_short_gradients_pass():
    hooks = planted("norm_squared_compared")
    norms = torch.tensor([[[0.05, 0.25, 1.0, 4.0]]])

    class Moment:
        bounds = (1 / 16,)

    left = hooks.factors(Moment, norms) * norms
    np.testing.assert_allclose(left[0, 0].numpy(), [0.05, 0.25, 1 / 16, 1 / 64], rtol=1e-3)


def test_divisors_and_skipped_steps_follow_the_batch():
    for name, batch, factor in (
        ("normalise_by_dataset_size", [True, True], 1 / 2),
        ("normalise_by_actual_batch", [True, True], 0.9 / 2),
        ("normalise_by_actual_batch", [True, False], 0.9),
        ("normalise_by_actual_batch", [False, False], 0.9),
        ("skip_empty_batches", [True, False], 1.0),
        ("skip_empty_batches", [False, False], 0.0),
    ):
        hooks, setting = planted(name), _setting(name)
        noise = np.random.default_rng(0).standard_normal(setting.size).astype(np.float32)
        mask = np.array(batch)
        seen, each = step(hooks, setting, mask, noise)
        right = clipped(each, setting.clip).sum(0) + setting.noise_multiplier * setting.clip * noise
        np.testing.assert_allclose(seen, factor * right, rtol=1e-4, atol=1e-4)


def _setting(name):
    from dpaudit.mechanisms.faults import batches

    return {each.name: each().setting for each in map(batches.__dict__.get, batches.__all__)}[name]


def normals_of(name, steps=2):
    mechanism = fault_named(name).cases[0].mechanism
    seen = []

    def keep(moment, clipped, noise):
        seen.append(noise.clone().numpy())
        return clipped

    hooks = Steps(normals=mechanism.hooks.normals, privatise=keep)
    setting = SETTING
    made = setting.mechanism(hooks)
    made.run_many(setting.neighbors(), [True, False], [1, 2])
    return seen


def test_reused_keys_repeat_the_noise():
    for noise in normals_of("reused_prng_key_per_leaf"):
        np.testing.assert_array_equal(noise[:, 40:44], noise[:, :4])
    one, two, *_ = normals_of("reused_prng_key_per_step")
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one[0], one[1])
    one, two, *_ = normals_of("no_noise")
    assert not np.array_equal(one, two)
    assert not np.array_equal(one[:, 40:44], one[:, :4])


def test_the_record_by_record_mechanism_is_right_dp_sgd():
    """Bit streams are the ensemble's own, so that the two must agree to float rounding."""
    worlds, coins, seeds = SETTING.neighbors(), [True, False, True], [1, 2, 3]
    ours = PerRecord(SETTING).run_many(worlds, coins, seeds)
    theirs = SETTING.mechanism(kernel="torch").run_many(worlds, coins, seeds)
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one.value.parameters(), other.value.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    along, canary = SETTING.direction()[None], SETTING.with_gradient()
    ours = PerRecord(SETTING, directions=along).run_many(canary, coins, seeds)
    theirs = SETTING.mechanism(directions=along, kernel="torch").run_many(canary, coins, seeds)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value.projections, other.value.projections, rtol=1e-4, atol=1e-4)


def test_a_record_by_record_trial_does_not_depend_on_its_chunk():
    made, worlds = PerRecord(SETTING, Parts()), SETTING.neighbors()
    together = made.run_many(worlds, [True, False, True], [5, 6, 7])
    (alone,) = made.run_many(worlds, [True], [7])
    for a, b in zip(together[2].value.parameters(), alone.value.parameters(), strict=True):
        assert torch.equal(a, b)
