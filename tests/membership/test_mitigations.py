import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from dpaudit.datasets import digits
from dpaudit.ensemble import SGD, FullBatch, Poisson, Pool, Training, train
from dpaudit.errors import UsageError
from dpaudit.membership._logits import signals_of_logits
from dpaudit.membership.mitigations import (
    LabelOnly,
    Rounded,
    Temperature,
    TopK,
    dp_training,
    markdown,
    measure,
    mitigated,
    weight_decay,
)
from dpaudit.membership.shadow_attack import ShadowAttack
from dpaudit.membership.signals import Signals

LOGITS = np.random.default_rng(0).normal(scale=2.0, size=(3, 40, 6))


def told(mitigation):
    return softmax(mitigation.apply(LOGITS), axis=-1)


@pytest.mark.parametrize("k", [1, 2, 5, 6, 9])
def test_the_k_largest_are_told_and_the_rest_is_even(k):
    full, made = softmax(LOGITS, axis=-1), told(TopK(k))
    for before, after in zip(full.reshape(-1, 6), made.reshape(-1, 6), strict=True):
        top = np.argsort(-before)[:k]
        np.testing.assert_allclose(after[top], before[top])
        rest = np.delete(after, top)
        if rest.size:
            np.testing.assert_allclose(rest, (1 - before[top].sum()) / rest.size, atol=1e-12)


def test_the_label_alone():
    np.testing.assert_array_equal(told(LabelOnly()).argmax(axis=-1), LOGITS.argmax(axis=-1))
    assert len(np.unique(np.sort(told(LabelOnly()).reshape(-1, 6), axis=1), axis=0)) == 1


@pytest.mark.parametrize("digits", [1, 3])
def test_probabilities_are_rounded(digits):
    rounded = np.round(softmax(LOGITS, axis=-1), digits)
    np.testing.assert_allclose(told(Rounded(digits)), rounded / rounded.sum(axis=-1, keepdims=True), atol=1e-12)


def test_probabilities_that_all_round_to_nothing_are_equal():
    np.testing.assert_allclose(softmax(Rounded(1).apply(np.zeros((1, 50)))), 1 / 50)


def test_temperature_keeps_the_order_and_flattens():
    made = told(Temperature(4.0))
    np.testing.assert_allclose(made, softmax(LOGITS / 4, axis=-1))
    assert (made.max(axis=-1) < softmax(LOGITS, axis=-1).max(axis=-1)).all()


@pytest.mark.parametrize("mitigation", [TopK(2), LabelOnly(), Rounded(1), Rounded(3), Temperature(5.0)])
def test_signals_are_made_anew_and_stay_finite_where_they_must(mitigation):
    labels = np.arange(40) % 6
    before = signals_of_logits(LOGITS, labels, np.zeros((3, 40), bool), np.arange(40) > 30)
    after = mitigated(before, mitigation)
    own = log_softmax(mitigation.apply(LOGITS), axis=-1)[:, np.arange(40), labels]
    np.testing.assert_allclose(after.loss, -own, atol=1e-5)
    assert np.isfinite(after.outputs).all()
    assert np.isfinite(after.margin).all()
    np.testing.assert_array_equal(after.population, before.population)


def test_weight_decay_is_that_of_torch():
    x, y = digits()
    x, y = torch.as_tensor(x[:50]), torch.as_tensor(y[:50])
    net = nn.Sequential(nn.Linear(64, 10))
    training = Training(FullBatch(), steps=20, learning_rate=0.5, clip=None, optimizer=SGD(0.9))
    made = train(net, Pool(x, y), np.ones((1, 50), bool), training, [3], steps=weight_decay(0.02)).parameters[0]
    plain = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9, weight_decay=0.02)
    for _ in range(20):
        plain.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        plain.step()
    expected = nn.utils.parameters_to_vector(net.parameters()).detach()
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


def test_dp_training_has_the_epsilon_asked_for():
    from dpaudit.claim import Claim

    plain = Training(Poisson(0.1), steps=100, learning_rate=0.5, clip=None)
    made = dp_training(plain, 2.0, delta=1e-4, clip=2.0)
    assert made.clip == 2.0
    claim = Claim.dp_sgd(noise_multiplier=made.noise_multiplier, sample_rate=0.1, steps=100, delta=1e-4)
    assert 0.98 * 2.0 < claim.epsilon(1e-4) <= 2.0
    with pytest.raises(UsageError, match="Poisson"):
        dp_training(dataclasses.replace(plain, sampling=FullBatch()), 1.0, delta=1e-4)
    few = dataclasses.replace(plain, sampling=Poisson(0.01), steps=2)
    with pytest.raises(UsageError, match="epsilon"):
        dp_training(few, 1e6, delta=1e-4)


@pytest.mark.parametrize(
    "make",
    [lambda: TopK(0), lambda: Rounded(0), lambda: Temperature(0.0), lambda: weight_decay(-1.0)],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(UsageError):
        make()


def leaky(models, seed):
    rng = np.random.default_rng(seed)
    labels, members = np.arange(300) % 3, rng.random((models, 300)) < 0.5
    logits = rng.normal(size=(models, 300, 3))
    logits[:, np.arange(300), labels] += 1.0 + 4.0 * members
    return signals_of_logits(logits, labels, members)


def test_a_table_shows_what_a_mitigation_leaves():
    shadows, targets = leaky(6, 1), leaky(4, 2)
    rows = [
        measure(name, ShadowAttack(), change(shadows), change(targets))
        for name, change in (("none", lambda s: s), ("label only", lambda s: mitigated(s, LabelOnly())))
    ]
    assert rows[0].test_accuracy == rows[1].test_accuracy
    right = targets.outputs.argmax(axis=2) == targets.labels
    assert rows[0].train_accuracy == pytest.approx(right[targets.members].mean())
    assert rows[0].auc > rows[1].auc + 0.05  # .98 and .67 measured
    assert markdown(rows).count("\n") == 3


def test_signals_without_outputs_cannot_be_mitigated():
    with pytest.raises(UsageError, match="outputs and labels"):
        mitigated(Signals(np.ones((2, 3)), np.zeros((2, 3), bool)), TopK(1))
