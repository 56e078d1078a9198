"""Noise that two tensors share cancels in their difference."""

import numpy as np
import pytest
import torch
from torch import nn

import canaries
from dpaudit.attacks import GradientProjection, LeafDifference
from dpaudit.attacks.coordinates import has_pairs
from dpaudit.ensemble import Steps
from dpaudit.errors import UsageError
from dpaudit.mechanisms import DPSGD
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


def difference(release, neighbors, **kwargs):
    return LeafDifference(**kwargs).statistics(release, neighbors)["leaf_difference"]


def test_by_hand(make_linear, make_neighbors):
    start = make_linear([[0.0, 0.5, 0.0]], [0.0])  # f = 1, y = 3, x = (0, 2, 0): gradient 2 (f - y) (x, 1)
    final = make_linear([[7.0, 1.5, 7.0]], [0.5])  # changes (7, 1, 7) and (.5)
    neighbors = make_neighbors(y=3.0)  # first elements: gradient 0 and -4, changes 7 and .5
    assert difference(Release(final, initial=start), neighbors) == pytest.approx(-(7 - 0.5) * 4 / 4)


def test_the_pair_that_agrees_most_is_taken():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    gradient = np.random.default_rng(0).normal(size=24)
    neighbors = Neighbors(0.0, 1.0, context={"gradient": gradient})
    shared = 100 * torch.randn(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
        model[0].bias.copy_(start["0.bias"] + shared)  # elements 9 to 12 and 21 to 24 of the gradient
        model[2].bias.copy_(start["2.bias"] + shared - torch.tensor([1.0, 2.0, 0.0]))
    v = gradient[9:12] - gradient[21:]
    expected = -(np.array([1.0, 2.0, 0.0]) @ v) / np.linalg.norm(v)
    assert difference(Release(model, initial=start), neighbors) == pytest.approx(expected, rel=1e-4)


def one_key(moment):
    """Each tensor's noise is that of the first from its beginning on."""
    drawn = moment.streams.normals(moment.step, moment.leaves)
    for offset, length, *_ in moment.leaves.table[1:].tolist():
        drawn[:, offset : offset + length] = drawn[:, :length]
    return drawn


def test_one_key_for_all_tensors_shows_where_nothing_else_does():
    """With 100 runs a world chance gives an AUC of .5 +- .041. Other records pull little; noise is all that hides."""
    x = np.zeros((4, 6), np.float32)
    x[:, 2:] = np.random.default_rng(0).normal(size=(4, 4))
    neighbors = canaries.dead_feature((x, np.arange(4) % 3), scale=10.0, label=0)
    model = nn.Sequential(nn.Linear(6, 3))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    mechanism = DPSGD(
        model, noise_multiplier=5.0, sample_rate=0.5, steps=8, learning_rate=0.1, hooks=Steps(normals=one_key)
    )

    def auc(attack):
        return canaries.search([neighbors], mechanism, attack=attack, trials=200).table[0].auc

    assert auc(LeafDifference()) > 0.9
    assert auc(GradientProjection()) < 0.75


def test_what_it_cannot_say(softmax, neighbors, make_linear):
    assert np.isnan(difference(Release(softmax), neighbors))  # no start
    assert np.isnan(difference(Release(softmax, initial=softmax), neighbors))  # nothing moved
    assert has_pairs(softmax)
    assert not has_pairs(nn.Linear(3, 3, bias=False))
    alone = nn.Linear(3, 3, bias=False)
    assert np.isnan(difference(Release(alone, initial=alone), neighbors))
    diverged = make_linear(np.full((3, 3), np.nan), np.zeros(3))
    assert np.isnan(difference(Release(diverged, initial=softmax), neighbors))
    with pytest.raises(UsageError, match=r"torch\.nn\.Module"):
        difference(Release(3.0), neighbors)
    assert repr(LeafDifference()) == "LeafDifference()"


def test_many_tensors_are_compared_with_their_neighbours(neighbors):
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(8)])
    begun = nn.Sequential(*[nn.Linear(3, 3) for _ in range(8)])
    assert np.isfinite(difference(Release(model, initial=begun), neighbors))
