"""Every model's random numbers are its own, follow their law, and are the same by every way of drawing them."""

import numpy as np
import pytest
import torch
from scipy import stats

from dpaudit.ensemble import philox
from dpaudit.ensemble.streams import Leaves, Purpose, Streams, as_seeds
from dpaudit.errors import UsageError

CPU = torch.device("cpu")
SEEDS = as_seeds([3, 2**64 - 1, 2**32, 7])
LEAVES = Leaves.of((640, 10, 1, 7))


def both(seeds=SEEDS):
    return Streams(seeds, CPU), Streams(seeds, CPU, compiled=False)


def test_known_answers():
    """Vectors of the Random123 distribution for philox4x32-10."""
    for number, expected in (
        (0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (0xFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ):
        key = torch.tensor([number])
        assert tuple(int(w) for w in philox.words((number,) * 4, (key, key))) == expected
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    made = philox.words(pi, (torch.tensor([0xA4093822]), torch.tensor([0x299F31D0])))
    assert tuple(int(w) for w in made) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


@pytest.mark.parametrize("count", [1, 4, 501])
def test_compiled_words_are_the_portable_ones(count):
    fast, portable = both()
    assert np.array_equal(fast.words(5, Purpose.BATCH, count), portable.words(5, Purpose.BATCH, count).numpy())


def test_compiled_normals_agree_to_rounding():
    fast, portable = both()
    assert (fast.normals(9, LEAVES) - portable.normals(9, LEAVES)).abs().max() < 3e-6


@pytest.mark.parametrize("compiled", [None, False])
def test_the_law_of_the_noise(compiled):
    made = Streams(as_seeds(range(100)), CPU, compiled).normals(0, Leaves.of((10_007,)))
    assert abs(float(made.double().std()) - 1.0) < 5e-3
    assert stats.kstest(made.reshape(-1).double().numpy(), "norm").pvalue > 1e-6
    assert abs(float(made.double().pow(4).mean()) - 3.0) < 0.04  # five standard errors of 1e6 draws


def test_scale_is_the_standard_deviation():
    out = torch.full((4, 658), 2.0)
    Streams(SEEDS, CPU).add_normals(out, 1, LEAVES, 3.0)
    assert torch.allclose((out - 2.0) / 3.0, Streams(SEEDS, CPU).normals(1, LEAVES), atol=1e-5)


def test_noise_is_never_shared():
    """No two models, steps or parameters have a normal in common, nor one with itself elsewhere."""
    streams = Streams(as_seeds(range(30)), CPU)
    made = torch.cat([streams.normals(step, Leaves.of((300, 300, 300))).reshape(-1) for step in range(8)])
    words = np.concatenate(
        [streams.words(s, Purpose.NOISE, 1200, leaf).reshape(-1) for s in range(8) for leaf in range(3)]
    )
    # 32-bit words of different streams coincide by chance; blocks of 128 bits do not
    blocks = words.reshape(-1, 30, 4, 300).transpose(0, 1, 3, 2).reshape(-1, 4)
    assert len(np.unique(blocks, axis=0)) == len(blocks)
    rows = made.reshape(8, 30, 3, 300).reshape(-1, 300).double()
    correlation = np.corrcoef(rows.numpy()) - np.eye(len(rows))
    assert np.abs(correlation).max() < 8 / np.sqrt(300)


def test_purposes_have_streams_of_their_own():
    streams = Streams(SEEDS, CPU)
    drawn = np.stack([streams.words(0, purpose, 400) for purpose in Purpose]).reshape(-1, 4, 4, 100)
    blocks = drawn.transpose(0, 1, 3, 2).reshape(-1, 4)
    assert len(np.unique(blocks, axis=0)) == len(blocks)


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
def test_batch_sizes_follow_the_binomial_law(rate):
    coins = torch.stack([Streams(as_seeds(range(200)), CPU).coins(t, Purpose.BATCH, rate, 300) for t in range(50)])
    sizes = coins.sum(-1).reshape(-1).numpy()
    if rate == 1.0:
        assert (sizes == 300).all()
        return
    law = stats.binom(300, rate)
    edges = np.unique(law.ppf(np.linspace(0.02, 0.98, 25)))
    cdf = np.concatenate([[0.0], law.cdf(edges), [1.0]])
    counts = np.diff(np.concatenate([[0], [(sizes <= e).sum() for e in edges], [len(sizes)]]))
    assert stats.chisquare(counts, np.diff(cdf) * len(sizes)).pvalue > 1e-6
    each = coins.reshape(-1, 300).sum(0).numpy()  # every record alike
    assert stats.chisquare(each, np.full(300, each.mean())).pvalue > 1e-6


@pytest.mark.parametrize("seeds", [[-1], [2**64], [0.5], [], [[1]], "7"])
def test_seeds_that_are_none(seeds):
    with pytest.raises(UsageError, match="seeds of an ensemble"):
        as_seeds(seeds)
