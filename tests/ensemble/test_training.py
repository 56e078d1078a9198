"""Whole trainings: optimizers, batches, worlds, canaries, transcripts, planted faults."""

import copy

import numpy as np
import pytest
import torch
from ensemble_worlds import flat, make_pool, mlp, opacus_step, present, seeded
from scipy import stats
from torch import nn

from dpaudit.ensemble import (
    SGD,
    Adam,
    FullBatch,
    GradientCanary,
    Injected,
    Poisson,
    Pool,
    Shuffle,
    Steps,
    Training,
    train,
)


def set_flat(model, vector):
    with torch.no_grad():
        for p, part in zip(model.parameters(), vector.split([p.numel() for p in model.parameters()]), strict=True):
            p.copy_(part.view_as(p))


OPTIMIZERS = [
    (SGD(), lambda p: torch.optim.SGD(p, lr=0.1)),
    (SGD(momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    (Adam(), lambda p: torch.optim.Adam(p, lr=0.1)),
    (Adam(betas=(0.5, 0.9), eps=1e-3), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.9), eps=1e-3)),
]


@pytest.mark.parametrize(("ours", "torchs"), OPTIMIZERS, ids=lambda o: str(o) if not callable(o) else "")
def test_optimizers_are_torchs(ours, torchs):
    """DP-SGD by hand around Opacus's clipping and torch.optim, on the same masks and noise."""
    model, pool, steps = seeded(mlp), make_pool(), 8
    training = Training(Poisson(0.3), steps, 0.1, clip=0.7, noise_multiplier=0.5, optimizer=ours)
    rng = np.random.default_rng(5)
    data = present(2, 40)
    masks = (rng.random((2, steps, 40)) < 0.3) & data[:, None]
    masks[0, 3] = False  # an empty batch is a step, too
    noise = rng.standard_normal((2, steps, 83)).astype(np.float32)
    ended = train(model, pool, data, training, [1, 2], injected=Injected(masks, noise)).parameters
    for m in range(2):
        one = copy.deepcopy(model)
        optimizer = torchs(one.parameters())
        for t in range(steps):
            row = masks[m, t]
            total = opacus_step(one, pool.x[row], pool.y[row], 0.7) if row.any() else torch.zeros(83)
            gradient = (total + 0.5 * 0.7 * torch.from_numpy(noise[m, t])) / (0.3 * 40)
            for p, part in zip(one.parameters(), gradient.split([p.numel() for p in one.parameters()]), strict=True):
                p.grad = part.view_as(p).clone()
            optimizer.step()
        assert float((ended[m] - flat(one)).norm() / flat(one).norm()) < 1e-5


def test_the_noise_of_a_step_over_a_million_draws():
    model = nn.Sequential(nn.Linear(100, 100))
    pool = Pool(torch.zeros(5, 100), torch.zeros(5, dtype=torch.int64))
    start = torch.zeros(10_100)
    training = Training(Poisson(0.5), 1, 1.0, clip=2.0, noise_multiplier=1.5, divisor=1.0)
    ended = train(model, pool, np.zeros((100, 5), bool), training, range(100), start=start).parameters
    assert abs(float(ended.double().std()) / 3.0 - 1.0) < 5e-3
    assert abs(float(ended.double().mean())) < 5 * 3.0 / 1000


def test_batch_sizes_and_divisor():
    """Sizes of the transcript are the batches' own; the divisor is not."""
    model, pool = seeded(mlp), make_pool(n=60)
    data = np.ones((50, 60), bool)
    data[25:, 0] = False
    training = Training(Poisson(0.1), 40, 0.0)
    seen = train(model, pool, data, training, range(50), directions=torch.eye(83)[:2]).transcript
    assert seen.sizes.shape == (50, 40)
    assert seen.projections.shape == (50, 40, 2)
    sizes = seen.sizes[:25].reshape(-1).numpy()
    law = stats.binom(60, 0.1)
    observed = [(sizes == k).sum() for k in range(2, 12)]
    expected = [law.pmf(k) * len(sizes) for k in range(2, 12)]
    rest = len(sizes) - sum(observed)
    assert stats.chisquare([*observed, rest], [*expected, len(sizes) - sum(expected)]).pvalue > 1e-6
    assert training.divide_by(60) == 6.0
    assert Training(Poisson(0.1), 1, 0.1, declared_size=59).divide_by(60) == pytest.approx(5.9)
    assert Training(Shuffle(7), 1, 0.1).divide_by(60) == 7.0
    assert Training(FullBatch(), 1, 0.1, divisor=11.0).divide_by(60) == 11.0


def test_a_batch_beyond_all_expectation_is_not_cut():
    model, pool = seeded(mlp), make_pool(n=400)
    training = Training(Poisson(0.01), 1, 1.0, clip=0.5, divisor=1.0)
    masks = np.zeros((3, 1, 400), bool)
    masks[0, 0], masks[1, 0, :3] = True, True
    injected = Injected(masks, np.zeros((3, 1, 83)))
    ended = train(model, pool, np.ones((3, 400), bool), training, range(3), injected=injected).parameters
    for m in range(2):
        row = masks[m, 0]
        reference = opacus_step(model, pool.x[row], pool.y[row], 0.5)
        assert float((flat(model) - ended[m] - reference).norm() / reference.norm()) < 1e-5
    assert torch.equal(ended[2], flat(model))


def test_worlds_and_starts_differ_by_model():
    """D0 is D1 without one record: with the same seed nothing but that record tells them apart."""
    model, pool = seeded(mlp), make_pool()
    data = np.ones((3, 40), bool)
    data[1, 5] = False
    starts = torch.stack([flat(model), flat(model), torch.zeros(83)])
    training = Training(Poisson(0.5), 1, 1.0, clip=0.1, divisor=1.0, noise_multiplier=1.0)
    for seed in range(8):
        ended = train(model, pool, data, training, [seed] * 3, start=starts).parameters
        change = ended[1] - ended[0]
        assert torch.equal(change, torch.zeros(83)) or abs(float(change.norm()) - 0.1) < 1e-3
    other = seeded(mlp, 9)
    shared = train(model, pool, data, training, [1] * 3, start=other).parameters
    assert torch.allclose(shared[0], train(other, pool, data, training, [1] * 3).parameters[0])


def test_shuffled_epochs_hold_every_record_once():
    model, pool = seeded(mlp), make_pool(n=23)
    data = present(4, 23)
    masks = []

    def watched(moment):
        masks.append(Steps().sample(moment))
        return masks[-1]

    train(model, pool, data, Training(Shuffle(5), 12, 0.1), range(4), steps=Steps(sample=watched), chunk=4)
    seen = torch.stack(masks, dim=1)
    for m in range(4):
        held = int(data[m].sum())
        batches = -(-held // 5)
        for epoch in range(12 // batches):
            part = seen[m, epoch * batches : (epoch + 1) * batches]
            assert torch.equal(part.sum(0), torch.from_numpy(data[m]).long())
            assert part.sum(1).tolist() == [5] * (batches - 1) + [held - 5 * (batches - 1)]
        assert not torch.equal(seen[m, 0], seen[m, batches])


@pytest.mark.parametrize("clip", [0.5, (0.3, 0.4)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e30])
def test_a_gradient_canary_is_clipped_like_a_record(clip, scale):
    model, pool = seeded(mlp), make_pool()
    gradient = torch.ones(83) * scale
    canary = GradientCanary(gradient, [True, False, True])
    coins = np.array([[True], [True], [False]])
    injected = Injected(np.zeros((3, 1, 40), bool), np.zeros((3, 1, 83)), coins)
    training = Training(Poisson(0.5), 1, 1.0, clip=clip, divisor=1.0)
    ended = train(model, pool, np.ones((3, 40), bool), training, range(3), canary=canary, injected=injected).parameters
    parts = [gradient] if clip == 0.5 else [gradient[:56], gradient[56:]]
    bounds = [clip] if clip == 0.5 else clip
    norms = [float(part.double().norm()) for part in parts]
    expected = torch.cat(
        [part * min(1.0, bound / norm) for part, bound, norm in zip(parts, bounds, norms, strict=True)]
    )
    assert torch.allclose(flat(model) - ended[0], expected, rtol=1e-3, atol=1e-6) or scale == 1e30
    assert float((flat(model) - ended[0]).norm()) < 0.5 * (1 + 1e-4)
    assert torch.equal(ended[1], flat(model))
    assert torch.equal(ended[2], flat(model))


def test_the_canary_has_a_coin_of_its_own():
    model, pool = seeded(mlp), make_pool()
    direction = torch.eye(83)[4]
    canary = GradientCanary(direction * 9.0, np.arange(200) % 2 == 0)
    training = Training(Poisson(0.25), 20, 0.1, clip=1.0)
    seen = train(
        model, pool, np.zeros((200, 40), bool), training, range(200), canary=canary, directions=direction
    ).transcript.projections[..., 0]
    assert (seen[1::2] == 0).all()
    drawn = seen[0::2] != 0
    assert torch.allclose(seen[0::2][drawn], torch.tensor(1.0), atol=1e-5)
    assert stats.binomtest(int(drawn.sum()), drawn.numel(), 0.25).pvalue > 1e-6


FAULTS = {
    "no noise": Steps(privatise=lambda moment, clipped, noise: clipped),
    "actual batch": Steps(divide=lambda moment, noised: noised / moment.sizes.clamp(min=1)[:, None]),
    "no clipping": Steps(factors=lambda moment, norms: torch.ones_like(norms)),
    "one key": Steps(normals=lambda moment: moment.streams.normals(0, moment.leaves)),
    "momentum from raw": Steps(update=lambda moment, gradient: moment.parameters.sub_(moment.clipped)),
    "sequential": Steps(
        sample=lambda moment: moment.present & ((torch.arange(moment.present.shape[1]) + moment.step) % 3 == 0)
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_replaces_one_step(name):
    model, pool = seeded(mlp), make_pool()
    training = Training(Poisson(0.5), 3, 0.1, clip=0.05, noise_multiplier=1.0)
    right, same, wrong = (
        train(model, pool, present(3, 40), training, range(3), steps=steps, chunk=2).parameters
        for steps in (Steps(), Steps(divide=lambda moment, noised: noised / moment.divisor), FAULTS[name])
    )
    assert torch.allclose(right, same, atol=1e-6)
    assert (right - wrong).abs().max() > 1e-4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e38])
@pytest.mark.parametrize("clip", [1.0, (1.0, 1.0), None])
def test_a_poisonous_record_stays_in_its_own_models(bad, clip):
    model, pool = seeded(mlp), make_pool()
    poisoned = pool.x.clone()
    poisoned[0] = bad
    data = np.ones((6, 40), bool)
    data[::2, 0] = False
    noise = 0.0 if clip is None else 1.0
    training = Training(Poisson(0.3), 15, 0.1, clip=clip, noise_multiplier=noise)
    clean = train(model, pool, data, training, range(6), chunk=6).parameters
    mixed = train(model, Pool(poisoned, pool.y), data, training, range(6), chunk=6).parameters
    assert torch.equal(mixed[::2], clean[::2])
    assert mixed[::2].isfinite().all()
    if not np.isfinite(bad):
        assert not mixed[1::2].isfinite().all(1).any()


@pytest.mark.parametrize("scale", [1e18, 1e25, 1e37])
def test_a_huge_record_is_clipped_like_any_other(scale):
    """Its squared norm is beyond float32: that must make neither NaN of it nor nothing."""
    model = nn.Sequential(nn.Linear(6, 3))
    pool = Pool(torch.full((1, 6), scale), torch.tensor([0]))
    training = Training(FullBatch(), 1, 1.0, clip=0.5, divisor=1.0)
    for start in (torch.zeros(21), seeded(lambda: flat(model))):
        ended = train(model, pool, np.ones((1, 1), bool), training, [1], start=start).parameters[0]
        assert ended.isfinite().all()
        assert float((ended - start).norm()) < 0.5 * (1 + 1e-4)
    flat_start = train(model, pool, np.ones((1, 1), bool), training, [1], start=torch.zeros(21)).parameters[0]
    assert abs(float(flat_start.norm()) - 0.5) < 1e-3


def test_a_fault_may_look_across_records_but_not_at_padding():
    """Ghost clipping with a loss of shape (B, 1): every record weighs the sum of all factors."""
    model, pool = seeded(mlp), make_pool()

    def broadcast(moment, norms):
        right = Steps().factors(moment, norms) * moment.valid[:, None]
        return right.sum(2, keepdim=True).expand_as(norms).clone()

    training = Training(FullBatch(), 1, 1.0, clip=0.05, divisor=1.0)
    data = np.ones((1, 40), bool)
    ended = train(model, pool, data, training, [0], steps=Steps(factors=broadcast)).parameters[0]
    per_record = [opacus_step(model, x[None], y[None], 1e9) for x, y in zip(pool.x, pool.y, strict=True)]
    factors = sum(min(1.0, 0.05 / (float(g.norm()) + 1e-6)) for g in per_record)
    assert torch.allclose(flat(model) - ended, factors * sum(per_record), rtol=1e-4, atol=1e-5)


def test_empty_batches_leave_a_broken_model_as_it_is():
    """Padding of a model whose weights are not finite adds nothing to its sum."""
    model, pool = seeded(mlp), make_pool()
    start = flat(model).clone()
    start[3] = float("inf")
    masks = np.zeros((2, 1, 40), bool)
    masks[1, 0] = True
    starts = torch.stack([start, flat(model)])
    injected = Injected(masks, np.zeros((2, 1, 83)))
    for clip in (1.0, None):
        training = Training(Poisson(0.3), 1, 0.1, clip=clip)
        ended = train(model, pool, np.ones((2, 40), bool), training, range(2), start=starts, injected=injected)
        assert torch.equal(ended.parameters[0], start)


def test_final_loss_and_norm_have_opacus_distributions():
    """Two-sample Kolmogorov-Smirnov against DP-SGD around Opacus's clipping with torch's own random numbers."""
    model, pool = seeded(mlp), make_pool(n=60)
    trials, steps, rate = 150, 6, 0.2
    training = Training(Poisson(rate), steps, 0.5, clip=0.5, noise_multiplier=1.0)
    ours = train(model, pool, np.ones((trials, 60), bool), training, range(trials)).parameters
    generator, theirs = torch.Generator().manual_seed(11), []
    for _ in range(trials):
        one = copy.deepcopy(model)
        for _ in range(steps):
            row = torch.rand(60, generator=generator) < rate
            total = opacus_step(one, pool.x[row], pool.y[row], 0.5) if row.any() else torch.zeros(83)
            total = total + 0.5 * torch.randn(83, generator=generator)
            set_flat(one, flat(one) - 0.5 * total / (rate * 60))
        theirs.append(flat(one))

    def loss(vector):
        set_flat(one, vector)
        with torch.no_grad():
            return float(nn.functional.cross_entropy(one(pool.x), pool.y))

    for statistic in (loss, lambda v: float(v.norm())):
        found = [[statistic(v) for v in group] for group in (ours, theirs)]
        assert stats.ks_2samp(*found).pvalue > 1e-6
