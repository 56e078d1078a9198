"""The distinguishing game: one world's data into the mechanism, its release into the attack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np

from dpaudit.digest import all_finite, digest_of
from dpaudit.errors import AuditError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.trials.mutation import MutationGuard
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import heavy_modules, one_torch_thread, seed_everything
from dpaudit.trials.text import describe, one_line, trace_of
from dpaudit.trials.trial import Outcome, Status, Trial

__all__ = ["Game"]

_Made = TypeVar("_Made")


class _Mechanism(Protocol):
    def run(self, data: Any, seed: int) -> Release: ...


class _Many(Protocol):
    def run_many(self, neighbors: Neighbors, included: Sequence[bool], seeds: Sequence[int]) -> Sequence[Release]: ...


class _Attack(Protocol):
    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class _Raised:
    """What the mechanism raised, instead of a release."""

    error: BaseException


@dataclass(frozen=True)
class Game:
    """Everything a trial needs besides its coin and seed; shipped once to each worker.

    Args:
        mechanism: has ``run(data, seed) -> Release``, and may have ``run_many(neighbors, included, seeds)`` that gives
            a Release for each coin and seed, none of which depends on what else is asked for.
        neighbors: the two worlds.
        attack: has ``statistics(release, neighbors) -> {name: float}``; it never sees the coin.
    """

    mechanism: _Mechanism
    neighbors: Neighbors
    attack: _Attack
    _guard: MutationGuard = field(default_factory=MutationGuard, init=False, repr=False, compare=False)

    @property
    def many(self) -> bool:
        """Whether the mechanism runs many trials at once."""
        return callable(getattr(self.mechanism, "run_many", None))

    def play(self, trial: Trial) -> Outcome:
        """Run one trial; whatever the mechanism and the attack do comes back as an outcome.

        `random`, numpy and torch are seeded with the trial's seed just before the mechanism runs. Anything the
        mechanism raises, SystemExit and MemoryError included, is FAILED, an outcome of the mechanism. Anything the
        attack raises is LOST. Warnings and printed text become notices.

        Raises:
            KeyboardInterrupt: raised by the mechanism or the user.
            UsageError: the data set was changed in place, so no trial after it is worth anything.
        """
        if self.many:
            return self.play_all((trial,))[0]
        start, notices, data = perf_counter(), Notices(), self.neighbors.world(trial.included)
        with notices.listen():
            self._guard.before(trial.included, data, notices)
            outcome = self._judge(trial, self._run(data, trial.seed), notices)
            self._guard.after(trial.included, data, notices)
        return replace(outcome, seconds=perf_counter() - start, notices=notices.counts())

    def play_all(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Run trials, together if the mechanism can, with the outcomes that `play` would give one by one.

        Each has its share of the seconds that they took together, and what was said meanwhile.
        """
        if not self.many:
            return [self.play(trial) for trial in trials]
        start, own, said = perf_counter(), [Notices() for _ in trials], Notices()
        with said.listen():
            for trial, notices in zip(trials, own, strict=True):
                self._guard.before(trial.included, self.neighbors.world(trial.included), notices)
            made = self._run_many(trials)
        share = (perf_counter() - start) / len(trials)
        return [self._score(*each, said, share) for each in zip(trials, made, own, strict=True)]

    def _score(self, trial: Trial, made: Release | _Raised, notices: Notices, said: Notices, share: float) -> Outcome:
        """One trial of many, from its release on."""
        start = perf_counter()
        for text, _ in said.counts():  # once, however many trials it was said for
            notices.add(text)
        with notices.listen():
            seed_everything(trial.seed)  # an attack that draws must not draw on the trials before
            outcome = self._judge(trial, made, notices)
            self._guard.after(trial.included, self.neighbors.world(trial.included), notices)
        return replace(outcome, seconds=share + perf_counter() - start, notices=notices.counts())

    def _judge(self, trial: Trial, made: Release | _Raised, notices: Notices) -> Outcome:
        if isinstance(made, _Raised):
            return Outcome(trial, Status.FAILED, {}, describe(made.error), trace_of(made.error))
        try:
            with one_torch_thread():
                statistics, digest = self._read(made), _digest(made, notices)
                return Outcome(trial, Status.OK, statistics, digest=digest, facts=_facts(made))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Outcome(trial, Status.LOST, {}, describe(error), trace_of(error))

    def _run(self, data: Any, seed: int) -> Release | _Raised:
        try:
            return _seeded(seed, lambda: self.mechanism.run(data, seed))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return _Raised(error)

    def _run_many(self, trials: Sequence[Trial]) -> list[Release | _Raised]:
        """A release, or what was raised, for each; where it is raised for some, only those have it."""
        mechanism: Any = self.mechanism
        many: _Many = mechanism
        coins, seeds = [trial.included for trial in trials], [trial.seed for trial in trials]
        try:
            made = list(_seeded(seeds[0], lambda: many.run_many(self.neighbors, coins, seeds)))
            if len(made) != len(trials):
                raise AuditError(f"run_many returned {len(made)} releases for {len(trials)} trials")
            return list(made)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if len(trials) == 1:
                return [_Raised(error)]
        return [one for trial in trials for one in self._run_many((trial,))]

    def _read(self, release: Release) -> dict[str, float]:
        if not isinstance(release, Release):
            raise AuditError(f"the mechanism returned a {type(release).__name__}, not a Release")
        # what the implementation says about itself is not released: to count it would accuse without a leak
        statistics = self.attack.statistics(replace(release, facts={}), self.neighbors)
        plain: dict[str, float] = {}
        for name, value in statistics.items():
            if not isinstance(name, str):
                raise AuditError(f"the attack names a statistic {name!r}; names are strings")
            plain[name] = float(value)
        return plain


def _seeded(seed: int, run: Callable[[], _Made]) -> _Made:
    """What `run` gives, seeded. If it loads torch or opacus on the way, they were not: once more, seeded."""
    while True:
        loaded = heavy_modules()
        seed_everything(seed)
        try:
            with one_torch_thread():
                made = run()
        except KeyboardInterrupt:
            raise
        except BaseException:
            if heavy_modules() == loaded:
                raise
        else:
            if heavy_modules() == loaded:
                return made


def _digest(release: Release, notices: Notices) -> str | None:
    """The release's digest, if equal digests would mean an ignored seed; two releases of NaN are no such sign."""
    if release.discrete:
        return None
    try:
        return digest_of(release.value) if all_finite(release.value) else None
    except Exception as error:
        notices.add(f"this release cannot be compared with others: {describe(error)}")
        return None


def _facts(release: Release) -> dict[str, float | str]:
    """Plain numbers and short texts; of anything else its text."""
    return {one_line(str(name), 100): _fact(value) for name, value in release.facts.items()}


def _fact(value: Any) -> float | str:
    if isinstance(value, (bool, int, float)):
        return value
    return value.item() if isinstance(value, np.number) else one_line(str(value), 200)
