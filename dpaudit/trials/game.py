"""The distinguishing game: one world's data into the mechanism, its release into the attack."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

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


class _Mechanism(Protocol):
    def run(self, data: Any, seed: int) -> Release: ...


class _Attack(Protocol):
    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Game:
    """Everything a trial needs besides its coin and seed; shipped once to each worker.

    Args:
        mechanism: has ``run(data, seed) -> Release``.
        neighbors: the two worlds.
        attack: has ``statistics(release, neighbors) -> {name: float}``; it never sees the coin.
    """

    mechanism: _Mechanism
    neighbors: Neighbors
    attack: _Attack
    _guard: MutationGuard = field(default_factory=MutationGuard, init=False, repr=False, compare=False)

    def play(self, trial: Trial) -> Outcome:
        """Run one trial; whatever the mechanism and the attack do comes back as an outcome.

        `random`, numpy and torch are seeded with the trial's seed just before the mechanism runs. Anything the
        mechanism raises, SystemExit and MemoryError included, is FAILED, an outcome of the mechanism. Anything the
        attack raises is LOST. Warnings and printed text become notices.

        Raises:
            KeyboardInterrupt: raised by the mechanism or the user.
            UsageError: the data set was changed in place, so no trial after it is worth anything.
        """
        start, notices, data = perf_counter(), Notices(), self.neighbors.world(trial.included)
        with notices.listen():
            self._guard.before(trial.included, data, notices)
            outcome = self._play(trial, data, notices)
            self._guard.after(trial.included, data, notices)
        return replace(outcome, seconds=perf_counter() - start, notices=notices.counts())

    def _play(self, trial: Trial, data: Any, notices: Notices) -> Outcome:
        try:
            release = self._run(data, trial.seed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Outcome(trial, Status.FAILED, {}, describe(error), trace_of(error))
        try:
            with one_torch_thread():
                statistics, digest = self._read(release), _digest(release, notices)
                return Outcome(trial, Status.OK, statistics, digest=digest, facts=_facts(release))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Outcome(trial, Status.LOST, {}, describe(error), trace_of(error))

    def _run(self, data: Any, seed: int) -> Release:
        """The mechanism, seeded. If it loads torch or opacus on the way, they were not: once more, seeded."""
        while True:
            loaded = heavy_modules()
            seed_everything(seed)
            try:
                with one_torch_thread():
                    release = self.mechanism.run(data, seed)
            except KeyboardInterrupt:
                raise
            except BaseException:
                if heavy_modules() == loaded:
                    raise
            else:
                if heavy_modules() == loaded:
                    return release

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
