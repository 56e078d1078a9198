"""Which models are trained together, and in which order, changes nothing."""

import itertools

import numpy as np
import pytest
import torch
from ensemble_worlds import make_pool, mlp, present, seeded
from torch import nn

from dpaudit.ensemble import (
    SGD,
    Adam,
    Ensemble,
    FullBatch,
    Poisson,
    Shuffle,
    Training,
    batch,
    chunk,
    engine,
    streams,
    train,
)

needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="measured for MKL only")

STACKS = {
    "logistic": lambda: nn.Sequential(nn.Linear(6, 3)),
    "mlp": mlp,
    "wide": lambda: nn.Sequential(nn.Linear(6, 100), nn.ReLU(), nn.Linear(100, 30), nn.ReLU(), nn.Linear(30, 3)),
    "odd tanh": lambda: nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.GELU(), nn.Linear(5, 3)),
}
OTHERS = {
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, 2, 1),
            nn.GroupNorm(3, 3),
            nn.ReLU(),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(3, 5, 2),
            nn.Flatten(),
            nn.Linear(20, 3),
        ),
        (1, 7, 7),
    ),
    "gram": (
        lambda: nn.Sequential(nn.Conv2d(8, 16, 3), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
        (8, 4, 4),
    ),
    "sequence": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.LayerNorm(5), nn.Flatten(), nn.Linear(15, 3)),
        (3, 6),
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(7, 3), nn.LayerNorm(3), nn.Flatten(), nn.Linear(15, 3)), (5,)),
}
SAMPLINGS = [Poisson(0.2), Poisson(1.0), Shuffle(7), FullBatch()]


@needs_mkl
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("name", STACKS)
def test_bit_for_bit_the_same_in_any_chunk(name, sampling):
    model, pool = seeded(STACKS[name]), make_pool(n=120)
    training = Training(sampling, steps=6, learning_rate=0.5, clip=0.5, noise_multiplier=0.7)
    data, seeds = present(9, 120), np.arange(9) + 100
    reference = train(model, pool, data, training, seeds, chunk=9).parameters
    for size in (1, 2, 4, None):
        assert torch.equal(train(model, pool, data, training, seeds, chunk=size).parameters, reference)
    order = np.random.default_rng(0).permutation(9)
    assert torch.equal(train(model, pool, data[order], training, seeds[order], chunk=5).parameters, reference[order])


@needs_mkl
@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_too(name):
    make, features = OTHERS[name]
    model, pool = seeded(make), make_pool(features, n=90, tokens=7 if name == "embedding" else None)
    training = Training(Poisson(0.3), steps=5, learning_rate=0.5, clip=0.5, noise_multiplier=0.7)
    data, seeds = present(5, 90), np.arange(5) + 100
    reference = train(model, pool, data, training, seeds, chunk=5).parameters
    for size in (1, 2, None):
        assert torch.equal(train(model, pool, data, training, seeds, chunk=size).parameters, reference)


def test_portable_streams_train_the_same_models():
    model, pool = seeded(mlp), make_pool(n=120)
    training = Training(Poisson(0.2), steps=6, learning_rate=0.5, noise_multiplier=0.7)
    compiled, portable = (
        train(model, pool, present(5, 120), training, range(5), compiled=which).parameters for which in (None, False)
    )
    assert torch.allclose(compiled, portable, rtol=1e-4, atol=1e-5)


def test_without_numba(monkeypatch):
    """Batches are packed by torch, too."""
    model, pool = seeded(mlp), make_pool(n=120)
    training, data = Training(Poisson(0.2), steps=6, learning_rate=0.5, noise_multiplier=0.7), present(5, 120)
    reference = train(model, pool, data, training, range(5)).parameters
    for module in (batch, streams):
        monkeypatch.setattr(module, "compiled", lambda: None)
    assert torch.allclose(train(model, pool, data, training, range(5)).parameters, reference, rtol=1e-4, atol=1e-5)


@needs_mkl
def test_models_of_one_output():
    """Single rows and columns, which BLAS likes to treat as vectors where there is one model."""
    model, pool = seeded(lambda: nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 1))), make_pool(targets=1)
    training = Training(Poisson(0.4), steps=6, learning_rate=0.1, noise_multiplier=0.3, loss="mse")
    reference = train(model, pool, present(7, 40), training, range(7), chunk=7).parameters
    for size in (1, 3):
        assert torch.equal(train(model, pool, present(7, 40), training, range(7), chunk=size).parameters, reference)


@needs_mkl
def test_large_batches_of_any_length():
    """Sums of more records than MKL takes in one go; worlds of 210 records stand beside worlds of 30."""
    model, pool = seeded(STACKS["wide"]), make_pool(n=420)
    data = np.zeros((4, 420), bool)
    for m, size in enumerate((210, 30, 420, 191)):
        data[m, :size] = True
    training = Training(FullBatch(), steps=4, learning_rate=0.5, noise_multiplier=0.7, divisor=100.0)
    reference = train(model, pool, data, training, range(4), chunk=4).parameters
    assert torch.equal(train(model, pool, data, training, range(4), chunk=1).parameters, reference)


@needs_mkl
@pytest.mark.parametrize("seed", range(40))
def test_random_stacks(seed):
    """Widths, depths, batches and optimizers at random, layers of one feature among them."""
    rng = np.random.default_rng(seed)
    widths = [int(rng.choice([1, 2, 5, 10, 33, 64, 130])) for _ in range(rng.integers(2, 5))]
    widths[-1] = int(rng.integers(2, 12))
    layers = []
    for one, two in itertools.pairwise(widths):
        layers += [nn.Linear(one, two, bias=bool(rng.integers(2))), (nn.ReLU, nn.Tanh, nn.GELU)[rng.integers(3)]()]
    n, rate = int(rng.integers(20, 600)), float(rng.choice([0.02, 0.1, 0.5]))
    sampling = (Poisson(rate), Shuffle(max(1, int(rate * n))), FullBatch())[rng.integers(3)]
    optimizer = (SGD(), SGD(momentum=0.9), Adam())[rng.integers(3)]
    training = Training(sampling, 3, 0.3, clip=(0.5, None)[rng.integers(2)], optimizer=optimizer)
    torch.manual_seed(seed)
    model, pool = nn.Sequential(*layers[:-1]), make_pool((widths[0],), n=n, classes=widths[-1])
    reference = train(model, pool, present(5, n), training, range(5), chunk=5).parameters
    for size in (1, 2):
        assert torch.equal(train(model, pool, present(5, n), training, range(5), chunk=size).parameters, reference)


def test_chunks_come_one_by_one():
    model, pool = seeded(mlp), make_pool()
    ensemble = Ensemble(model, pool, present(7, 40), Training(Poisson(0.2), 2, 0.1), range(7))
    assert [part.models for part in ensemble.train(3)] == [slice(0, 3), slice(3, 6), slice(6, 7)]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 byte")])
def test_out_of_memory_halves_the_chunk_and_says_so_once(monkeypatch, error):
    model, pool = seeded(mlp), make_pool()
    training, data = Training(Poisson(0.2), 2, 0.1, noise_multiplier=1.0), present(7, 40)
    reference = train(model, pool, data, training, range(7), chunk=2).parameters

    def limited(task, part, last=None):
        if len(part.parameters) > 3:
            part.parameters.fill_(7.0)  # what a step leaves behind that broke off
            raise error
        return chunk.train_chunk(task, part, last)

    monkeypatch.setattr(engine, "train_chunk", limited)
    with pytest.warns(UserWarning, match="out of memory with 6 models at once: going on with 3") as seen:
        assert torch.equal(train(model, pool, data, training, range(7), chunk=6).parameters, reference)
    assert len(seen) == 1


def test_another_error_is_not_memory(monkeypatch):
    def broken(task, part, last=None):
        raise RuntimeError("something else")

    monkeypatch.setattr(engine, "train_chunk", broken)
    with pytest.raises(RuntimeError, match="something else"):
        train(seeded(mlp), make_pool(), present(7, 40), Training(Poisson(0.2), 2, 0.1), range(7), chunk=6)
