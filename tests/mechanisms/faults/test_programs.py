"""The zoo as real Opacus programs: what each makes of a batch, and that an audit finds it."""

import logging

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from scipy.stats import binomtest
from torch.utils.data import DataLoader, TensorDataset

import dpaudit as dpa
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, View, fault_named
from dpaudit.mechanisms.faults.programs import PROGRAMS, program_named
from dpaudit.mechanisms.faults.programs.clipping import BatchClipped, ByValue, MaxForMin, RawKept, SquaredNorm
from dpaudit.mechanisms.faults.programs.loops import RawMomentum
from dpaudit.mechanisms.faults.programs.noise import FirstUnnoised, OneDrawForAll, OtherClip, SameKeyEachStep
from dpaudit.mechanisms.faults.programs.training import Optimizer, Training, quietly, step
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, SETTING
from dpaudit.mechanisms.opacus import Observer, tapping
from dpaudit.zoo.playing import play
from dpaudit.zoo.running import _audit_control

C, SIGMA, B = SETTING.clip, SETTING.noise_multiplier, SETTING.batch
CUSHION = 1e-6
WITHOUT = {"backpropagation_clipping", "known_seed", "gdp_clt_accountant"}
PLANTED = [name for name in PROGRAMS if name in FAULTS]


def test_all_but_three_faults_have_a_program():
    assert set(FAULTS) - set(PROGRAMS) == WITHOUT
    assert {"exact", "gradient_accumulation"} <= set(PROGRAMS) - set(FAULTS) <= set(CONTROLS)
    with pytest.raises(dpa.UsageError, match="unknown program"):
        program_named("known_seed")


@pytest.mark.parametrize("name", ["no_noise", "norm_squared_compared", "duplicate_records", "exact"])
def test_a_program_has_the_claim_and_the_worlds_of_its_fault(name):
    program, fault = program_named(name), fault_named(name)
    assert program.claim.to_dict() == fault.claim.to_dict()
    assert program.neighbors.name == fault.case(View.FINAL if program.seen is None else View.TRANSCRIPT).neighbors.name
    assert "0x" not in repr(program.mechanism)
    release = program.mechanism.run(program.neighbors.excluded, 3)
    assert isinstance(release.value, dpa.Transcript) == (program.seen is not None)


def test_the_honest_program_is_an_ordinary_loop_bit_for_bit():
    data = SETTING.neighbors().included
    x, y = (torch.as_tensor(part) for part in data)
    model = SETTING.model()
    torch.manual_seed(5)
    with quietly():
        model, optimizer, loader = PrivacyEngine().make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=SETTING.learning_rate),
            data_loader=DataLoader(TensorDataset(x, y), batch_size=11),
            noise_multiplier=SIGMA,
            max_grad_norm=C,
        )
        for _ in range(SETTING.steps // 2):
            for batch, labels in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), labels).backward()
                optimizer.step()
    made = program_named("exact").train(data, 5)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), made.parameters(), strict=True))
    assert int(optimizer.expected_batch_size) == B  # of n + 1 records as of n: the worlds differ in the record alone
    assert not logging.getLogger("opacus.data_loader").disabled


class Sums(Observer):
    """The noised sum of each step, before it is divided."""

    def __init__(self):
        self.found = []

    def noised(self, optimizer):
        self.found.append(np.concatenate([p.grad.numpy().ravel() for p in optimizer.params]).astype(float))


def steps(optimizer, noise, count=1):
    """The noised sums (count, P) of first steps at zero weights that do not move, and each one's gradients (B, P)."""
    batches, sums = [], Sums()

    def noted(made, x, y):
        batches.append((x.numpy(), y.numpy()))
        step(made, x, y)

    training = Training(
        SETTING,
        optimizer=optimizer,
        step=noted,
        steps=count,
        noise_multiplier=noise,
        descent=lambda parameters: torch.optim.SGD(parameters, lr=0.0),
    )
    with tapping(sums):
        training(SETTING.neighbors().included, 8)
    return np.array(sums.found), [gradients(*batch) for batch in batches]


def gradients(x, y):
    """(n, P) per-record gradients of a softmax at zero weights."""
    back = np.full((len(x), CLASSES), 1 / CLASSES) - np.eye(CLASSES)[y]
    return np.hstack([(back[:, :, None] * x[:, None, :]).reshape(len(x), CLASSES * FEATURES), back])


def norms(g):
    return np.linalg.norm(g, axis=1, keepdims=True) + CUSHION


def clipped(g):
    return (g * np.minimum(1.0, C / norms(g))).sum(0)


SUMS = {
    Optimizer: clipped,
    MaxForMin: lambda g: (g * np.maximum(1.0, C / norms(g))).sum(0),
    SquaredNorm: lambda g: (g * np.minimum(1.0, C / norms(g) ** 2)).sum(0),
    ByValue: lambda g: np.clip(g, -C, C).sum(0),
    BatchClipped: lambda g: g.sum(0) * min(1.0, C * B / (np.linalg.norm(g.sum(0)) + CUSHION)),
    RawKept: lambda g: clipped(g) + g.mean(0) * B,
}


@pytest.mark.parametrize("optimizer", SUMS, ids=lambda cls: cls.__name__)
def test_what_a_program_sums(optimizer):
    """Without noise, of a step at known weights, beside the same in numpy."""
    (found,), (each,) = steps(optimizer, 0.0)
    assert len(each) > 4
    np.testing.assert_allclose(found, SUMS[optimizer](each), rtol=1e-4, atol=1e-5)


def test_what_a_program_has_for_noise():
    first = CLASSES * FEATURES
    right, each = steps(Optimizer, SIGMA, 2)
    noise = right - np.array([clipped(one) for one in each])
    assert 0.5 < noise.std() / (SIGMA * C) < 1.5  # 88 normals: 7 standard errors

    (one,), (g,) = steps(OtherClip, SIGMA)
    np.testing.assert_allclose(one - clipped(g), 0.25 * noise[0], atol=1e-4)

    (one,), (g,) = steps(FirstUnnoised, SIGMA)
    np.testing.assert_allclose(one[:first], clipped(g)[:first], atol=1e-5)
    np.testing.assert_allclose(one[first:] - clipped(g)[first:], noise[0][first:], atol=1e-4)

    (one,), (g,) = steps(OneDrawForAll, SIGMA)
    left = one - clipped(g)
    np.testing.assert_allclose(left[first:], left[: len(left) - first], atol=1e-4)

    both, (g, h) = steps(SameKeyEachStep, SIGMA, 2)
    np.testing.assert_allclose(both[0] - clipped(g), both[1] - clipped(h), atol=1e-4)

    both, (g, h) = steps(RawMomentum, 0.0, 2)
    np.testing.assert_allclose(both[0], clipped(g), atol=1e-5)
    np.testing.assert_allclose(both[1], clipped(h) + RawMomentum.momentum * B * g.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PLANTED)
def test_an_audit_refutes_it(name):
    """Medians are 14 to 57 trials; of 300 one fails with a probability far below 1e-6."""
    program = program_named(name)
    fault = program.fault
    run = play(fault, program.case(fault), 1, 300)
    assert run.verdict is dpa.Verdict.REFUTED
    assert run.statistic


def test_the_honest_program_is_not_refuted():
    program = program_named("exact")
    runs = _audit_control(program.fault, program.case(), 40)
    assert runs.audits == 8
    assert binomtest(runs.refuted, runs.audits, 0.05, alternative="greater").pvalue > 1e-6


def test_batches_in_parts_are_the_honest_program():
    """Batches and noise are drawn in the same order: the weights agree but for the order of sums."""
    data = SETTING.neighbors().included
    one, other = (program_named(name).train(data, 6) for name in ("exact", "gradient_accumulation"))
    for whole, parts in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
        assert whole.abs().max() > 0
