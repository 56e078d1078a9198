"""Coins and seeds: everything random that the harness itself decides, fixed by the audit's seed."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.trials.hashing import digests
from dpaudit.trials.trial import Trial

_ROUNDS = 8
_MOST_TRIALS = 2**31
_MANY = 40_000  # from here on tables of the round functions (half a million hashes) cost less than the rounds


@dataclass(frozen=True)
class Schedule:
    """Which world and which seed each trial gets.

    Random access and prefix-stable: trial i is the same whatever max_trials is, whoever asks, in any order.
    The coin and the seed come from two keyed streams, so that neither tells anything about the other. That
    matters: a generator's first uniform and first Laplace draw from one seed share their sign, and a coin made
    from the trial's seed would refute mechanisms that leak nothing (STATISTICS section 4).

    Args:
        seed: the audit's seed, a whole number >= 0.

    Raises:
        UsageError: the seed is not one.
    """

    seed: int
    _coin_key: bytes = field(init=False, repr=False, compare=False)
    _seed_key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError("audit seed", allowed="a whole number >= 0", got=self.seed, remedy="seed=7")
        object.__setattr__(self, "_coin_key", _key(self.seed, b"coins"))
        object.__setattr__(self, "_seed_key", _key(self.seed, b"seeds"))

    def trial(self, index: int) -> Trial:
        """Trial number `index`, 0 <= index < 2^31.

        The coin is one bit of a keyed BLAKE2b of the index, the seed a keyed permutation of it.

        Raises:
            UsageError: index out of range.
        """
        _check(index, "trial index")
        coin = blake2b(index.to_bytes(8, "little"), key=self._coin_key, digest_size=1).digest()[0] & 1
        return Trial(index=index, included=bool(coin), seed=self._permute(index))

    def coins(self, trials: int) -> NDArray[np.bool_]:
        """(trials,) the first coins; read only."""
        return _coins(self._coin_key, trials)

    def many(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """(n,) coins and (n,) seeds of these trials, as `trial` gives them one by one.

        Raises:
            UsageError: an index out of range.
        """
        if not len(indices):
            return np.zeros(0, bool), np.zeros(0, np.int64)
        _check(int(indices.min()), "trial index")
        _check(int(indices.max()), "trial index")
        coins = self.coins(int(indices.max()) + 1)[indices]
        if len(indices) < _MANY:
            return coins, np.array([self._permute(index) for index in indices.tolist()], np.int64)
        left, right = indices >> 16, indices & 0xFFFF
        for table in _tables(self._seed_key):
            left, right = right, left ^ table[right]
        return coins, left << 16 | right

    def pilot(self, number: int) -> int:
        """The seed of pilot run `number`, 0 <= number < 2^31; never the seed of a trial.

        Raises:
            UsageError: number out of range.
        """
        _check(number, "pilot number")
        return self._permute(2**32 - 1 - number)

    def _permute(self, value: int) -> int:
        """A Feistel network on two 16-bit halves: a bijection of [0, 2^32) whatever the round function is."""
        left, right = value >> 16, value & 0xFFFF
        for turn in range(_ROUNDS):
            left, right = right, left ^ _mixed(self._seed_key, turn, right)
        return left << 16 | right


@lru_cache(maxsize=2)
def _tables(key: bytes) -> tuple[NDArray[np.int64], ...]:
    """The round function of every turn at all 2^16 halves."""
    keyed, tables = blake2b(key=key, digest_size=2), []
    for turn in range(_ROUNDS):
        blocks = (bytes((turn, low, high)) for high in range(256) for low in range(256))  # as in `_mixed`
        tables.append(np.frombuffer(digests(keyed, blocks), "<u2").astype(np.int64))
    return tuple(tables)


def _mixed(key: bytes, turn: int, half: int) -> int:
    """The round function."""
    block = bytes((turn, half & 0xFF, half >> 8))
    return int.from_bytes(blake2b(block, key=key, digest_size=2).digest(), "little")


def _coins(key: bytes, trials: int) -> NDArray[np.bool_]:
    known = _known(key)
    if len(known[0]) < trials:
        indices = np.arange(len(known[0]), trials, dtype="<u8").view("V8").tolist()
        hashed = digests(blake2b(key=key, digest_size=1), indices)
        more = (np.frombuffer(hashed, np.uint8) & 1).astype(bool)
        known[0] = np.concatenate([known[0], more])
        known[0].flags.writeable = False
    return known[0][:trials]


@lru_cache(maxsize=8)
def _known(key: bytes) -> list[NDArray[np.bool_]]:
    """The coins computed so far: those of more trials begin with them."""
    return [np.zeros(0, bool)]


def _key(seed: int, purpose: bytes) -> bytes:
    return blake2b(str(seed).encode(), person=b"dpaudit-" + purpose, digest_size=32).digest()


def _check(index: int, what: str) -> None:
    if not 0 <= index < _MOST_TRIALS:
        raise UsageError(what, allowed=f"a whole number in [0, {_MOST_TRIALS})", got=index)
