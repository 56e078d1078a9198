import itertools
from typing import Any

import numpy as np
import pytest
from fused_worlds import world
from numba import njit
from scipy import stats

from dpaudit.ensemble.fused import Options, streams, train
from dpaudit.ensemble.fused import lanes as v

U = np.uint64


def philox(counter: Any, key: Any) -> Any:
    """Philox4x32-10 as in the paper; counter: four arrays, key: two words."""
    c = [np.asarray(part, dtype=U) for part in counter]
    k = [int(part) for part in key]
    low, half = U(0xFFFFFFFF), U(32)
    for _ in range(10):
        p, q = c[0] * U(0xD2511F53), c[2] * U(0xCD9E8D57)
        c = [(q >> half) ^ c[1] ^ U(k[0]), q & low, (p >> half) ^ c[3] ^ U(k[1]), p & low]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return [part.astype(np.uint32) for part in np.broadcast_arrays(*c)]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # known answers of the authors' library, Random123
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_the_oracle_gives_the_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    assert [int(word) for word in philox(counter, key)] == expected


@pytest.mark.parametrize("seed", [0, 7, 2**32, 2**64 - 1, 0x299F31D0A4093822])
@pytest.mark.parametrize("step", [0, 1, 99, 2**31])
def test_coins_are_philox_of_seed_step_and_block(seed: int, step: int) -> None:
    blocks = np.arange(64)
    w = philox([blocks, step, streams.MASKS, 0], [seed % 2**32, seed >> 32])
    expected = np.concatenate([[w[k][16 * g : 16 * g + 16] for k in range(4)] for g in range(4)]).ravel()
    np.testing.assert_array_equal(streams.coins(U(seed), step, 256), expected)
    np.testing.assert_array_equal(streams.coins(U(seed), step, 101), expected[:101])


def test_noise_is_box_and_muller_of_the_other_words_of_philox() -> None:
    w = [x.reshape(-1, 16).astype(np.float64) for x in philox([np.arange(1600), 5, streams.NOISE, 0], [77, 1])]
    found = streams.noise(U(77 + 2**32), 5, 6400).reshape(-1, 4, 16)
    for i in (0, 2):
        x, y = found[:, i], found[:, i + 1]
        u = w[i].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        np.testing.assert_allclose(np.hypot(x, y), np.sqrt(-2 * np.log(u.astype(np.float64))), rtol=5e-7)
        # a bijection of the second word onto the circle: eighths of it are hit equally
        eighths = np.bincount(np.floor(np.arctan2(y, x) / np.pi * 4).astype(int).ravel() + 4, minlength=8)
        assert stats.chisquare(eighths).pvalue > 1e-6


@njit
def pairs(radii, turns, out):
    for i in range(0, radii.size, 16):
        x, y = streams._pair(v.words_of(v.load(radii, i)), v.words_of(v.load(turns, i)))
        v.store(out, 2 * i, x)
        v.store(out, 2 * i + 16, y)


def test_the_extreme_words_give_the_extreme_normals_and_nothing_else() -> None:
    ends = [0, 1, 2, 2**24, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 129, 2**32 - 128, 2**32 - 2, 2**32 - 1]
    both = np.array(list(itertools.product(ends, ends)) + [(0, 0)] * 7, dtype=np.uint32)
    out = np.empty(2 * len(both), np.float32)
    pairs(np.ascontiguousarray(both[:, 0]).view("f4"), np.ascontiguousarray(both[:, 1]).view("f4"), out)
    radius = np.hypot(*np.moveaxis(out.reshape(-1, 2, 16).astype(float), 1, 0)).ravel()
    expected = np.sqrt(-2 * np.log((both[:, 0] + 0.5) / 2**32))
    assert np.isfinite(out).all()
    assert radius.max() == pytest.approx(6.764, abs=1e-3)
    np.testing.assert_allclose(radius, expected, rtol=1e-6, atol=3e-4)  # atol: u = 1 - 2^-25 is 1 in float32


def test_the_angle_goes_once_around_the_circle_evenly() -> None:
    turns = np.arange(2**15, 2**32, 2**16, dtype=np.uint32)
    out = np.empty(2 * turns.size, np.float32)
    pairs(np.full(turns.size, 2**30, np.uint32).view("f4"), turns.view("f4"), out)
    x, y = np.moveaxis(out.reshape(-1, 2, 16).astype(float), 1, 0)
    angles = np.sort(np.arctan2(y, x).ravel())
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / turns.size, atol=1e-6)
    radius = np.hypot(x, y)
    assert radius.max() / radius.min() - 1 < 5e-7


DRAWS = 1 << 24


@pytest.fixture(scope="module")
def many() -> Any:
    return streams.noise(U(20261122), 3, DRAWS).astype(np.float64)


def test_moments_of_the_noise(many: Any) -> None:
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((many**power).mean() - moment) < 5.5 * np.sqrt(variance / DRAWS)


def test_distribution_and_tails_of_the_noise(many: Any) -> None:
    assert stats.kstest(many[: 1 << 21], "norm").pvalue > 1e-6
    for bound in (1, 2, 3, 4, 4.5, 5):
        for side in (many, -many):
            assert stats.binomtest(int((side > bound).sum()), DRAWS, stats.norm.sf(bound)).pvalue > 1e-6


def test_streams_of_other_seeds_steps_purposes_and_places_are_unrelated() -> None:
    size = 1 << 18
    one = streams.noise(U(5), 8, 2 * size)
    others = [
        streams.noise(U(6), 8, size),
        streams.noise(U(5 + 2**32), 8, size),
        streams.noise(U(8), 5, size),
        streams.noise(U(5), 9, size),
        one[size:],
        one[1 : size + 1],
        one[16 : size + 16],
        streams.coins(U(5), 8, size) / 2**32 - 0.5,
    ]
    for other in others:
        for a, b in ((one[:size], other), (one[:size] ** 2, np.asarray(other) ** 2)):
            r = np.corrcoef(a.astype(float), np.asarray(b, dtype=float))[0, 1]
            assert abs(r) * np.sqrt(size) < 5.5


def test_no_two_trials_share_noise_or_coins() -> None:
    seeds = [int(s) for s in range(300)] + [2**32 + s for s in range(300)]
    first = {tuple(streams.noise(U(s), t, 2)) for s in seeds for t in range(20)}
    coins = {tuple(streams.coins(U(s), t, 2)) for s in seeds for t in range(20)}
    assert len(first) == len(coins) == 600 * 20


def test_training_draws_from_these_streams_and_scales_the_noise_by_the_bound() -> None:
    w = world((40, 30, 4), models=600, n=3, steps=1, clip=(0.3, 0.4), noise_multiplier=2.0)
    w.present[:] = False
    w.learning_rate, w.divisor = 1.0, 1.0
    moved = train(**{**w.arguments(), "start": w.start[0] * 0, "masks": None, "noise": None})
    assert moved.size > 8e5
    assert moved.std() == pytest.approx(2.0 * 0.5, rel=5e-3)
    expected = -streams.noise(w.seeds[0], 0, moved.shape[1])
    np.testing.assert_array_equal(np.sort(moved[0]), np.sort(expected * np.float32(1.0)))
    assert len(np.unique(moved)) > 0.95 * moved.size


def batch_sizes(n: int, rate: float | None, models: int, present: Any = None, step: int = 1) -> Any:
    """How many records were in the batch, from what a training moved: every gradient is clipped to 1, one way."""
    out = train(
        x=np.ones((n, 1), np.float32),
        y=np.full((n, 1), -1e6, np.float32),
        present=np.ones((models, n), bool) if present is None else present,
        sizes=(1, 1),
        activation=None,
        start=np.zeros(1, np.float32),
        seeds=np.arange(models, dtype=U),
        noise_multiplier=0.0,
        clip=1.0,
        sample_rate=rate,
        steps=step,
        learning_rate=1.0,
        divisor=1.0,
        options=Options(bias=False, loss="mse"),
    )
    sizes = -out[:, 0]
    np.testing.assert_allclose(sizes, np.rint(sizes), atol=1e-2)
    return np.rint(sizes).astype(int)


@pytest.mark.parametrize(("n", "rate"), [(500, 0.1), (37, 0.5), (1000, 0.003), (64, 0.99)])
def test_batch_sizes_are_binomial(n: int, rate: float) -> None:
    sizes = batch_sizes(n, rate, 20_000)
    law = stats.binom(n, rate)
    edges = np.unique(law.ppf(np.linspace(0.02, 0.98, 15))).astype(int)
    edges = edges[edges < n]
    bins = np.searchsorted(edges, sizes)  # bin i: edges[i - 1] < size <= edges[i]
    expected = np.diff(np.concatenate([[0], law.cdf(edges), [1]])) * sizes.size
    assert stats.chisquare(np.bincount(bins, minlength=edges.size + 1), expected).pvalue > 1e-6


def test_sizes_of_successive_steps_are_independent() -> None:
    first, both = batch_sizes(200, 0.2, 20_000), batch_sizes(200, 0.2, 20_000, step=2)
    assert abs(np.corrcoef(first, both - first)[0, 1]) * np.sqrt(20_000) < 5.5


def test_only_records_that_are_present_join_and_the_full_batch_is_all_of_them() -> None:
    present = np.random.default_rng(1).random((5, 90)) < 0.5
    assert batch_sizes(90, None, 5, present).tolist() == present.sum(axis=1).tolist()
    assert batch_sizes(90, 1.0, 5, present).tolist() == present.sum(axis=1).tolist()
    for one in range(5):
        more = present[one].copy()
        out = np.flatnonzero(~more)[0]
        more[out] = True
        joined = batch_sizes(90, 0.3, 5, np.stack([more] * 5)) - batch_sizes(90, 0.3, 5, np.stack([present[one]] * 5))
        coin = [int(streams.coins(U(s), 0, 90)[out] < round(0.3 * 2**32)) for s in range(5)]
        assert joined.tolist() == coin  # a record's coin is its own: neighbours of one seed differ in that record alone


@pytest.mark.parametrize("sizes", [(8, 3), (8, 12, 3)])
def test_final_parameters_have_the_law_that_numpys_masks_and_noise_give(sizes: tuple[int, ...]) -> None:
    w = world(sizes, models=3000, n=40, steps=8, seed=4)
    w.present[:] = w.present[0]
    w.start[:] = w.start[0]
    injected = train(**w.arguments())
    drawn = train(**{**w.arguments(), "masks": None, "noise": None})
    for statistic in (lambda p: np.linalg.norm(p - w.start, axis=1), lambda p: p[:, 0], lambda p: p[:, -1]):
        assert stats.ks_2samp(statistic(injected), statistic(drawn)).pvalue > 1e-6
