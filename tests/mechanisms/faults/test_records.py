"""Faults that need single records' gradients: what each function does, beside the right one."""

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.mechanisms.faults import fault_named
from dpaudit.mechanisms.faults.per_record import Parts, State, clip, descend, gradients
from dpaudit.mechanisms.faults.records import (
    BackpropagationClipping,
    BatchnormRunningStats,
    ClipByValue,
    FunctionalBatchnorm,
    MomentumFromRawGradients,
    StandardiseOnPrivateData,
)
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, SETTING

GENERATOR = np.random.default_rng(0)
INPUTS = torch.from_numpy(GENERATOR.normal(size=(2, 3, FEATURES)).astype(np.float32))
BACK = torch.from_numpy(GENERATOR.normal(size=(2, 3, CLASSES)).astype(np.float32))


def state(setting=SETTING, batch=((True, True, False), (True, True, True))):
    return State(setting, torch.ones(2, 3, dtype=torch.bool), torch.tensor(batch))


def test_the_right_parts():
    each = gradients(state(), INPUTS, BACK)
    assert each.shape == (2, 3, SETTING.size)
    outer = torch.einsum("mnk,mnd->mnkd", BACK, INPUTS)
    torch.testing.assert_close(each[..., : CLASSES * FEATURES], outer.flatten(2))
    torch.testing.assert_close(each[..., CLASSES * FEATURES :], BACK)
    norms = clip(state(), each).norm(dim=2)
    torch.testing.assert_close(norms, each.norm(dim=2).clamp(max=SETTING.clip), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(descend(state(), each[:, 0]), each[:, 0] * (-SETTING.learning_rate / SETTING.batch))


def test_clamped_coordinates_exceed_the_norm():
    each = 100.0 * torch.ones(2, 3, SETTING.size)
    made = ClipByValue().clip(state(), each)
    assert float(made.abs().max()) == SETTING.clip
    assert float(made.norm(dim=2).max()) == pytest.approx(SETTING.clip * SETTING.size**0.5)


def test_momentum_keeps_raw_gradients_for_the_steps_after():
    fault, now = MomentumFromRawGradients(), state()
    now.raw = torch.full((2, SETTING.size), 7.0)
    noised = torch.zeros(2, SETTING.size)
    assert not fault.descend(now, noised).any()
    second = fault.descend(now, noised)
    torch.testing.assert_close(second, torch.full_like(second, -0.9 * 7.0 * SETTING.learning_rate / SETTING.batch))


def test_backpropagation_clipping_adds_noise_for_a_batch_too_little():
    fault = BackpropagationClipping()
    setting = fault.setting
    each = fault.gradients(state(setting), INPUTS, 100.0 * BACK)
    torch.testing.assert_close(each.norm(dim=2), torch.full((2, 3), setting.clip))  # the sensitivity is C, not C / B
    right = setting.noise_multiplier * setting.clip
    assert fault.scale(state(setting)) == pytest.approx(right / setting.batch)
    small = fault.gradients(state(setting), INPUTS, 1e-3 * BACK).norm(dim=2)
    assert float(small.max()) < setting.clip


def test_functional_batchnorm_moves_the_others():
    fault = FunctionalBatchnorm()
    seen = fault.features(state(), INPUTS[:1])
    assert seen.shape == (2, 3, FEATURES)
    norm = nn.BatchNorm1d(FEATURES, affine=False).train()
    torch.testing.assert_close(seen[1], norm(INPUTS[0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen[0, :2], norm(INPUTS[0, :2]), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(seen[0, 0], seen[1, 0], atol=0.1)  # by the third record


def test_running_statistics_are_those_of_torch():
    fault, now = BatchnormRunningStats(), state(batch=((True, True, True), (True, True, True)))
    assert torch.equal(fault.features(now, INPUTS[:1])[0], INPUTS[0])
    norm = nn.BatchNorm1d(FEATURES, affine=False).train()
    norm(INPUTS[0])
    made = fault.module(now, 0)[0]
    torch.testing.assert_close(made.running_mean, norm.running_mean)
    torch.testing.assert_close(made.running_var, 0.9 + (norm.running_var - 0.9) * 2 / 3)  # torch divides by n - 1 there


def test_standardising_one_world_changes_the_records_of_both():
    fault = StandardiseOnPrivateData()
    without, with_it = fault.setting.neighbors().excluded, fault.setting.neighbors().included
    one, two = fault.world(without)[0], fault.world(with_it)[0]
    assert one.std() == pytest.approx(3.0, rel=1e-5)
    assert np.abs(one).mean() > 1.0
    assert two[:-1].std() < 0.1  # beside the outlier they look alike


def test_copies_are_records():
    mechanism = fault_named("duplicate_records").cases[0].mechanism
    x, y = mechanism.world(SETTING.data())
    assert (len(x), len(y)) == (8 * SETTING.records, 8 * SETTING.records)
    assert np.array_equal(x[8:16], np.repeat(x[8:9], 8, axis=0))


def test_parts_are_in_the_repr():
    made = [fault_named(name).cases[0].mechanism for name in ("clip_by_value", "functional_batchnorm")]
    assert repr(made[0]) != repr(made[1])
    assert repr(made[0]) == repr(fault_named("clip_by_value").cases[0].mechanism)
    assert "ClipByValue.clip" in repr(made[0])
    assert Parts() == Parts()
