import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from dpaudit.datasets import digits
from dpaudit.ensemble import SGD, Shuffle, Training
from dpaudit.errors import UsageError
from dpaudit.membership.decisions import calibrate
from dpaudit.membership.shadows import Shadows, fixed_size_masks
from dpaudit.membership.white_box import SoftmaxModels, WhiteBox
from dpaudit.membership.white_box_layers import Known, LayerWhiteBox, displacements, heads_of, influence, split

TRAINING = Training(Shuffle(32), steps=160, learning_rate=0.3, clip=None, optimizer=SGD(0.9))


def network(seed=0):
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10))


def records(count=6, seed=1):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.random((count, 64)), dtype=torch.float32), torch.as_tensor(rng.integers(10, size=count))


@pytest.mark.parametrize("layer", [0, 2])
def test_the_halves_make_the_whole(layer):
    net, (x, _) = network(), records()
    h, g = split(net, layer)
    torch.testing.assert_close(g(h(x)), net(x))


@pytest.mark.parametrize("layer", [1, 3, -1])
def test_only_inputs_of_parts_with_parameters_are_layers(layer):
    with pytest.raises(UsageError, match=r"\[0, 2\]"):
        split(network(), layer)
    with pytest.raises(UsageError, match="Sequential"):
        split(nn.Linear(3, 2), 0)


def test_a_linear_head_has_its_weights_as_influence():
    head, (z, y) = nn.Sequential(nn.Linear(64, 10)), records()
    found = influence(head, z, y, torch.zeros(64), 3)
    torch.testing.assert_close(found, head[0].weight[y])


def test_the_path_gradient_is_complete():
    net, (z, y), baseline = network(), records(), torch.full((64,), 0.25)
    found = (influence(net, z, y, baseline, 64) * (z - baseline)).sum(dim=1)
    rows = torch.arange(len(z))
    with torch.no_grad():
        risen = net(z)[rows, y] - net(baseline[None])[0][y]
    torch.testing.assert_close(found, risen, atol=1e-3, rtol=1e-3)


def test_of_a_linear_head_the_displacement_is_that_of_the_linear_attack():
    heads, (z, y) = [nn.Sequential(nn.Linear(64, 10)) for _ in range(4)], records()
    moved = displacements(heads[0], heads[1:], z, y, points=2, baseline=torch.zeros(64))
    linear = WhiteBox().fit(SoftmaxModels.of_modules(*heads[1:]))
    np.testing.assert_allclose(moved, linear.score(SoftmaxModels.of_modules(heads[0]), z, y.numpy())[0], atol=1e-5)


def test_proxy_heads_start_fresh_learn_and_leave_the_random_state_alone():
    x, y = digits()
    features, labels = torch.as_tensor(x[:300]), torch.as_tensor(y[:300])
    head, masks = nn.Sequential(nn.Linear(64, 10)), np.ones((2, 300), dtype=bool)
    before, weight = torch.random.get_rng_state(), head[0].weight.detach().clone()
    heads = heads_of(head, features, labels, TRAINING, masks, 5)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    torch.testing.assert_close(head[0].weight, weight)
    assert not torch.equal(heads[0][0].weight, heads[1][0].weight)
    for one in heads:
        assert (one(features).argmax(dim=1) == labels).float().mean() > 0.9


@pytest.fixture(scope="module")
def attack():
    """Targets and an attack on them, on digits: 80 records each."""
    x, y = digits()
    order = np.random.default_rng(3).permutation(len(x))
    own, theirs = order[:800], order[800:]
    masks = fixed_size_masks(6, len(own), 80, 1)
    made = Shadows(network(), TRAINING, x[own], y[own], masks, 11)
    parameters = made.train(workers=0)
    targets, said = [made.module(one) for one in parameters], made.signals(parameters, workers=0)
    members = fixed_size_masks(2, len(theirs), 80, 2)
    held = np.stack([~row & (np.arange(len(theirs)) % 2 == 0) for row in members])
    shadows = Shadows(network(), TRAINING, x[theirs], y[theirs], members, 12)
    known = [
        Known(shadows.module(one), inside, out)
        for one, inside, out in zip(shadows.train(workers=0), members, held, strict=True)
    ]
    fitted = LayerWhiteBox(TRAINING, size=80).fit(known, (x[theirs], y[theirs]))
    return fitted, targets, said, (x[own], y[own]), known, (x[theirs], y[theirs])


def test_the_combined_layers_find_members(attack):
    fitted, targets, said, (x, y), *_ = attack
    layers = [fitted.layer_scores(target, x, y) for target in targets]
    assert layers[0].shape == (800, 2)
    combined = np.stack([fitted.model.decision_function(one) for one in layers])
    found = roc_auc_score(said.members.ravel(), combined.ravel())
    by_layer = [roc_auc_score(said.members.ravel(), np.stack(layers)[..., i].ravel()) for i in range(2)]
    # chance has sd .014 with 480 members: seven of them
    assert found > 0.5 + 7 * 0.014
    assert found > max(by_layer) - 0.03
    np.testing.assert_array_equal(fitted.score(targets[0], x, y), combined[0])


def test_a_shadow_target_is_there_to_calibrate_on(attack):
    fitted, *_, known, _ = attack
    scores, members = fitted.score_shadow(known[1])
    assert members.sum() == 80
    assert scores.shape == members.shape == (80 + known[1].held.sum(),)
    chosen = calibrate(scores, members, 0.6)
    assert chosen.on.precision >= 0.6


def test_a_convolutional_network_has_a_layer_before_every_part_with_parameters():
    x, y = digits()
    images = x.reshape(-1, 1, 8, 8)[:400]
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    members = np.arange(400) < 100
    known = Known(net, members, np.roll(members, 100))
    training = Training(Shuffle(32), steps=10, learning_rate=0.1, clip=None)
    fitted = LayerWhiteBox(training, size=100, proxies=2, points=2, most=20).fit([known], (images, y[:400]))
    assert fitted.layer_scores(net, images[:7], y[:7]).shape == (7, 2)
    assert len(fitted.score_shadow(known)[0]) == 40


def test_shadow_targets_that_do_not_fit_are_refused(attack):
    *_, known, data = attack
    box = LayerWhiteBox(TRAINING, size=80)
    one = known[0]
    with pytest.raises(UsageError, match="at least one"):
        box.fit([], data)
    with pytest.raises(UsageError, match="disjoint"):
        box.fit([Known(one.module, one.members, one.members)], data)
    with pytest.raises(UsageError, match="members of a shadow target"):
        box.fit([Known(one.module, one.members[:-1], one.held)], data)
    with pytest.raises(UsageError, match="left for proxies"):
        box.fit([Known(one.module, one.members, ~one.members)], data)
    with pytest.raises(UsageError, match="proxies"):
        LayerWhiteBox(TRAINING, size=80, proxies=0)
