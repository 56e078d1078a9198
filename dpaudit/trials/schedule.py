"""Coins and seeds: everything random that the harness itself decides, fixed by the audit's seed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.trial import Trial

_ROUNDS = 8
_MOST_TRIALS = 2**31


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

    def require(self, trials: Iterable[Trial]) -> None:
        """Refuse trials of a ledger that do not have the coin and the seed they must have.

        Raises:
            AuditError: the ledger was altered.
        """
        for trial in trials:
            if trial != self.trial(trial.index):
                raise AuditError(
                    f"the ledger was altered: trial {trial.index} does not have the coin and seed "
                    f"of audit seed {self.seed}"
                )

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
            block = bytes((turn, right & 0xFF, right >> 8))
            mixed = int.from_bytes(blake2b(block, key=self._seed_key, digest_size=2).digest(), "little")
            left, right = right, left ^ mixed
        return left << 16 | right


def _key(seed: int, purpose: bytes) -> bytes:
    return blake2b(str(seed).encode(), person=b"dpaudit-" + purpose, digest_size=32).digest()


def _check(index: int, what: str) -> None:
    if not 0 <= index < _MOST_TRIALS:
        raise UsageError(what, allowed=f"a whole number in [0, {_MOST_TRIALS})", got=index)
