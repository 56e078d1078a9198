"""Weights and outputs together, weighed on shadow targets."""

from functools import lru_cache

import numpy as np
import pytest
from torch import nn

from dpaudit.datasets import digits
from dpaudit.ensemble import SGD, Shuffle, Training
from dpaudit.errors import UsageError
from dpaudit.membership import Roc, Shadows, SoftmaxModels, WhiteBox, WithOutputs, fixed_size_masks


@lru_cache
def trained(seed: int, part: int, models: int):
    """Softmax models on 100 digits each, out of 500 of their own part: weights, records, labels, members, losses."""
    x, y = digits()
    at = np.random.default_rng(seed).permutation(len(x))[500 * part : 500 * part + 500]
    training = Training(Shuffle(20), steps=200, learning_rate=0.1, clip=None, optimizer=SGD(0.9))
    masks = fixed_size_masks(models, 500, 100, 10 * seed + part)
    made = Shadows(nn.Sequential(nn.Linear(64, 10)), training, x[at], y[at], masks, 10 * seed + part)
    parameters = made.train(workers=0)
    said = made.signals(parameters, workers=0)
    return SoftmaxModels.of_parameters(parameters, 10, 64), x[at], y[at], masks, said.loss


def test_better_than_the_outputs_alone() -> None:
    targets, x, y, members, losses = trained(1, 0, 8)
    mine, own_x, own_y, own_members, _ = trained(1, 1, 4)
    displacement = WhiteBox().fit(trained(1, 2, 12)[0])
    scores = WithOutputs(displacement).fit(mine, own_x, own_y, own_members).score(targets, x, y)
    assert scores.shape == (8, 500)
    gained = Roc.of(scores, members).auc - Roc.of(-losses, members).auc
    assert gained > 0.01  # .076 over 25 seeds, with a standard deviation of .010


def test_scores_of_a_target_do_not_depend_on_others() -> None:
    models, x, y, members, _ = trained(1, 0, 8)
    fitted = WithOutputs(WhiteBox().fit(models)).fit(models, x, y, members)
    together = fitted.score(models, x, y)
    np.testing.assert_allclose(fitted.score(models.at([2]), x, y)[0], together[2], rtol=1e-12)


@pytest.mark.parametrize("change", [lambda m: m[:2], lambda m: m[:, :5], lambda m: m.astype(int), np.zeros_like])
def test_members_that_do_not_fit_are_refused(change) -> None:
    models, x, y, members, _ = trained(1, 0, 8)
    with pytest.raises(UsageError, match="members of the shadow targets"):
        WithOutputs(WhiteBox().fit(models)).fit(models, x, y, change(members))
