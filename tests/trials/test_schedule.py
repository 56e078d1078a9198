from hashlib import blake2b

import numpy as np
import pytest
from scipy.stats import binomtest

from dpaudit.errors import UsageError
from dpaudit.trials import Schedule


def test_a_trial_depends_on_the_audit_seed_and_its_index_alone():
    backwards = [Schedule(7).trial(i) for i in reversed(range(100))]
    assert [Schedule(7).trial(i) for i in range(100)] == backwards[::-1]
    assert [Schedule(8).trial(i) for i in range(100)] != backwards[::-1]


def test_the_stream_is_pinned_so_that_a_resume_with_a_later_version_meets_the_same_coins():
    assert [(t.included, t.seed) for t in map(Schedule(7).trial, range(3))] == [
        (False, 3668140883),
        (True, 243183997),
        (True, 457287176),
    ]


def test_coins_are_fair_and_independent_of_their_predecessor():
    coins = np.array([Schedule(3).trial(i).included for i in range(20_000)])
    assert binomtest(int(coins.sum()), coins.size).pvalue > 1e-6
    assert binomtest(int((coins[1:] == coins[:-1]).sum()), coins.size - 1).pvalue > 1e-6


def test_the_coin_is_no_function_of_any_bit_of_the_seed_or_of_its_first_random_draw():
    trials = [Schedule(11).trial(i) for i in range(8_000)]
    coins = np.array([t.included for t in trials])
    seeds = np.array([t.seed for t in trials], dtype=np.uint64)
    bits = (seeds[:, None] >> np.arange(32, dtype=np.uint64)) & np.uint64(1)
    draws = np.array([np.random.default_rng(int(s)).random() > 0.5 for s in seeds])
    for column in (*bits.T, draws):
        agree = int((column.astype(bool) == coins).sum())
        assert binomtest(agree, coins.size).pvalue > 1e-7


def test_seeds_are_distinct_among_trials_and_pilots_and_fill_32_bits():
    schedule = Schedule(0)
    seeds = [schedule.trial(i).seed for i in range(30_000)] + [schedule.pilot(k) for k in range(2_000)]
    seeds += [schedule.trial(2**31 - 1).seed, schedule.pilot(2**31 - 1)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0
    assert 2**32 - 2**24 < max(seeds) < 2**32


def test_the_seed_determines_the_index_so_no_two_trials_can_share_one():
    """32,000 random seeds would be distinct nine times in ten; an explicit inverse is a proof."""
    schedule = Schedule(5)

    def undo(value):
        left, right = value >> 16, value & 0xFFFF
        for turn in reversed(range(8)):
            block = bytes((turn, left & 0xFF, left >> 8))
            mixed = int.from_bytes(blake2b(block, key=schedule._seed_key, digest_size=2).digest(), "little")
            left, right = right ^ mixed, left
        return left << 16 | right

    for index in [*range(200), 2**16 - 1, 2**16, 2**31 - 1]:
        assert undo(schedule.trial(index).seed) == index
        assert undo(schedule.pilot(index)) == 2**32 - 1 - index


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(UsageError, match="audit seed"):
        Schedule(seed)


@pytest.mark.parametrize("index", [-1, 2**31])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(UsageError):
        Schedule(1).trial(index)
    with pytest.raises(UsageError):
        Schedule(1).pilot(index)


@pytest.mark.parametrize("few", [10**6, 1], ids=["one by one", "by tables"])
def test_many_at_once_are_those_one_by_one(monkeypatch, few):
    import numpy as np

    from dpaudit.trials import schedule

    monkeypatch.setattr(schedule, "_MANY", few)
    mine, indices = Schedule(11), np.array([7, 0, 3, 65_536, 70_000, 3])
    coins, seeds = mine.many(indices)
    expected = [mine.trial(int(index)) for index in indices]
    assert [(bool(coin), int(seed)) for coin, seed in zip(coins, seeds, strict=True)] == [
        (trial.included, trial.seed) for trial in expected
    ]
    assert [bool(coin) for coin in mine.coins(50)] == [mine.trial(index).included for index in range(50)]
    assert [len(part) for part in mine.many(np.zeros(0, np.int64))] == [0, 0]
    for wrong in (-1, 2**31):
        with pytest.raises(UsageError, match="trial index"):
            mine.many(np.array([wrong]))
