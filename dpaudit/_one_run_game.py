"""One training with canaries, and what the attack says of them: coins, pilots and the play of a one-run audit."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks.canary_records import CanaryAttack
from dpaudit.digest import all_finite, digest_of
from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms import Function, Mechanism
from dpaudit.neighbors import CanarySet
from dpaudit.release import Release
from dpaudit.trials import Schedule
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import heavy_modules, one_torch_thread, seed_everything
from dpaudit.trials.text import describe

__all__ = ["CanaryMechanism", "Draws", "OneRunGame", "Played", "as_canary_mechanism"]

Mask = NDArray[np.bool_]


@runtime_checkable
class CanaryMechanism(Protocol):
    """What can be trained once with some of m canaries in it."""

    @property
    def engine(self) -> str:
        """What ran: "native (implementation)", "ensemble (algorithm)" or "known"."""
        ...

    def run_canaries(self, canaries: CanarySet, mask: Any, seed: int) -> Release:
        """One training; `mask` (m,) bool, `seed` in [0, 2^32) is all the randomness there is."""
        ...


@dataclass(frozen=True)
class _Records:
    """A mechanism of data sets: the canaries that are in join the records."""

    mechanism: Mechanism

    @property
    def engine(self) -> str:
        return self.mechanism.engine

    def run_canaries(self, canaries: CanarySet, mask: Any, seed: int) -> Release:
        return self.mechanism.run(canaries.included(mask), seed)

    def __repr__(self) -> str:
        return repr(self.mechanism)


def as_canary_mechanism(train: Any, canaries: CanarySet) -> CanaryMechanism:
    """`train` as something that takes a set of canaries.

    Raises:
        UsageError: gradients for a function of records, or another signature.
    """
    if canaries.gradients is None:
        if isinstance(train, Mechanism):
            return _Records(train)
        return train if isinstance(train, CanaryMechanism) else _Records(Function(train))
    if isinstance(train, CanaryMechanism):
        return train
    loaded = sys.modules.get("dpaudit.mechanisms.dp_sgd")  # an instance exists only if it is
    if loaded is not None and isinstance(train, loaded.DPSGD):
        from dpaudit.mechanisms.dp_sgd_canaries import DPSGDCanaries

        return DPSGDCanaries(train)
    raise UsageError(
        "gradient canaries cannot be put into this",
        allowed="mechanisms.OpacusTranscript, mechanisms.DPSGD, or whatever has run_canaries(canaries, mask, seed)",
        got=getattr(train, "__name__", type(train).__name__),
        remedy="dpa.mechanisms.OpacusTranscript(train, canary_set.gradients, sample_rate=...), or canaries that are "
        "records",
    )


@dataclass(frozen=True)
class Draws:
    """Coins and seeds of a one-run audit; run r's are the same however many runs there are.

    The coins of a run are the bits of SHAKE-256 of the audit's seed and the run, a stream that nothing else draws from;
    the trainings' seeds are those of a `Schedule` apart from that of an audit of many runs with the same seed.

    Args:
        seed: the audit's, a whole number >= 0.

    Raises:
        UsageError: the seed is not one.
    """

    seed: int
    _schedule: Schedule = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Schedule(self.seed)
        own = hashlib.blake2b(str(self.seed).encode(), person=b"dpaudit-one-run", digest_size=16).digest()
        object.__setattr__(self, "_schedule", Schedule(int.from_bytes(own, "big")))

    def coins(self, run: int, m: int) -> Mask:
        """(m,) fair coins of run number `run`."""
        stream = hashlib.shake_256(f"dpaudit one-run coins {self.seed} {run}".encode()).digest(-(-m // 8))
        return np.unpackbits(np.frombuffer(stream, np.uint8), count=m).astype(bool)

    def training(self, run: int) -> int:
        """The seed of run number `run`."""
        return self._schedule.trial(run).seed

    def pilot(self, number: int) -> int:
        """The seed of a training without coins; never that of a run."""
        return self._schedule.pilot(number)


@dataclass(frozen=True, eq=False)
class Played:
    """One run.

    Attributes:
        scores: {name: (m,) float64}; NaN where the attack cannot say. Empty if the training raised.
        digest: of the raw release, to see whether runs repeat one another; None if equal ones mean nothing.
        seconds: of training and attack.
        error: what the training raised; "".
        notices: (text, count) of what it warned and printed.
    """

    scores: Mapping[str, NDArray[np.float64]]
    digest: str | None
    seconds: float
    error: str = ""
    notices: tuple[tuple[str, int], ...] = ()


class OneRunGame:
    """Trains with coins, or with none or all of the canaries, and lets the attack look.

    Args:
        mechanism: what is trained.
        canaries: all m.
        attack: sees the release and the canaries.
        draws: coins and seeds.
    """

    def __init__(self, mechanism: CanaryMechanism, canaries: CanarySet, attack: CanaryAttack, draws: Draws) -> None:
        self._mechanism, self._canaries, self._attack, self._draws = mechanism, canaries, attack, draws
        self._base: str | None = _content(canaries)
        self._trained: list[Release] | None = None

    def check(self) -> None:
        """Trains with none and with all of the canaries, same seed, and once more with another seed.

        Raises:
            UsageError: equal releases: the canaries or the seed are ignored.
        """
        with Notices().listen():
            none, everyone = np.zeros(len(self._canaries), bool), np.ones(len(self._canaries), bool)
            nobody = _comparable(self._train(none, self._draws.pilot(0)))
            everybody = _comparable(self._train(everyone, self._draws.pilot(0)))
            again = _comparable(self._train(none, self._draws.pilot(1)))
        if nobody is not None and nobody == everybody:
            raise UsageError(
                "training takes no notice of the canaries: none of them and all of them give the same release",
                allowed="train(data, seed) that trains on all of `data`",
                remedy="look whether it loads its own data; if equal releases are expected, "
                "dpa.Release(value, discrete=True)",
            )
        if nobody is not None and nobody == again:
            raise UsageError(
                "training takes no notice of its seed: two seeds give the same release, so its noise is no noise",
                allowed="train(data, seed) that seeds everything from `seed`",
                remedy="torch.manual_seed(seed) after the public start was made, or no seeding at all: the harness "
                "seeds `random`, numpy and torch before each training",
            )

    def play(self, run: int) -> Played:
        """Run number `run`. Whatever its training raises is an outcome, except in run 0, where it is the user's to see.

        Raises:
            AuditError: the attack raised, or its scores do not fit.
        """
        with Notices().listen():
            references = self._references()
        start, notices = perf_counter(), Notices()
        mask = self._draws.coins(run, len(self._canaries))
        with notices.listen():
            try:
                release = self._train(mask, self._draws.training(run))
            except (KeyboardInterrupt, UsageError):
                raise
            except Exception as error:
                if run == 0:
                    raise
                return Played({}, None, perf_counter() - start, describe(error), notices.counts())
            seed_everything(self._draws.training(run))  # an attack that draws must not draw on what trained
            with one_torch_thread():
                scores = self._read(release, references)
        return Played(scores, _comparable(release), perf_counter() - start, notices=notices.counts())

    def _references(self) -> list[Release]:
        """What the attack wants to see beside the audited training; trained once, the same for all runs."""
        if self._trained is None:
            masks = np.asarray(self._attack.reference_masks(len(self._canaries)), bool)
            self._trained = [self._train(mask, self._draws.pilot(2 + at)) for at, mask in enumerate(masks)]
        return self._trained

    def _train(self, mask: Mask, seed: int) -> Release:
        release = _seeded(seed, lambda: self._mechanism.run_canaries(self._canaries, mask, seed))
        if not isinstance(release, Release):
            raise UsageError("run_canaries returned no release", allowed="dpa.Release", got=type(release).__name__)
        self._require_unchanged()
        return replace(release, facts={})  # what the implementation says of itself is not released

    def _require_unchanged(self) -> None:
        if self._base is None or (now := _content(self._canaries)) == self._base:
            return
        if now != _content(self._canaries):  # random augmentation in a data set's __getitem__
            self._base = None
            return
        raise UsageError(
            "the training function changes its data in place: a later training would depend on an earlier one",
            remedy="data = copy.deepcopy(data) as the first line of the training function",
        )

    def _read(self, release: Release, references: Sequence[Release]) -> dict[str, NDArray[np.float64]]:
        try:
            told = self._attack.scores(release, self._canaries, references)
        except (KeyboardInterrupt, AuditError):
            raise
        except Exception as error:
            raise AuditError(f"the attack raised {describe(error)}") from error
        return {str(name): _column(str(name), column, len(self._canaries)) for name, column in told.items()}


def _content(canaries: CanarySet) -> str:
    return digest_of((canaries.base, canaries.records))


def _column(name: str, told: Any, m: int) -> NDArray[np.float64]:
    try:
        column = np.asarray(told, np.float64)
    except (TypeError, ValueError):
        column = np.zeros(0)
    if column.shape != (m,):
        raise UsageError(
            f"scores {name!r} of the canaries",
            allowed=f"({m},) floats, one for each canary in the order of the set",
            got=f"shape {np.shape(told)}" if hasattr(told, "__len__") else repr(told),
        )
    return column


def _comparable(release: Release) -> str | None:
    """The release's digest, if equal digests mean something: not of discrete values, nor of NaN."""
    if release.discrete:
        return None
    try:
        return digest_of(release.value) if all_finite(release.value) else None
    except Exception:
        return None


def _seeded(seed: int, run: Callable[[], Release]) -> Release:
    """What `run` gives, seeded. If it loads torch or opacus on the way, they were not: once more, seeded."""
    while True:
        loaded = heavy_modules()
        seed_everything(seed)
        with one_torch_thread():
            made = run()
        if heavy_modules() == loaded:
            return made
