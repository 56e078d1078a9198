"""The distinguishing game: one world's data into the mechanism, its release into the attack."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from dpaudit.digest import all_finite, digest_of
from dpaudit.errors import AuditError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import heavy_modules, one_torch_thread, seed_everything
from dpaudit.trials.text import describe, trace_of
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

    def play(self, trial: Trial) -> Outcome:
        """Run one trial; whatever the mechanism and the attack do comes back as an outcome.

        `random`, numpy and torch are seeded with the trial's seed just before the mechanism runs. Anything the
        mechanism raises, SystemExit and MemoryError included, is FAILED, an outcome of the mechanism. Anything the
        attack raises is LOST. Warnings and printed text become notices.

        Raises:
            KeyboardInterrupt: only that one.
        """
        start, notices = perf_counter(), Notices()
        with notices.listen():
            status, result = self._play(trial, notices)
        seconds = perf_counter() - start
        if isinstance(result, BaseException):
            return Outcome(trial, status, {}, describe(result), trace_of(result), seconds, notices=notices.counts())
        statistics, digest = result
        return Outcome(trial, status, statistics, seconds=seconds, digest=digest, notices=notices.counts())

    def _play(
        self, trial: Trial, notices: Notices
    ) -> tuple[Status, BaseException | tuple[dict[str, float], str | None]]:
        try:
            release = self._run(trial)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Status.FAILED, error
        try:
            with one_torch_thread():
                return Status.OK, (self._read(release), _digest(release, notices))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Status.LOST, error

    def _run(self, trial: Trial) -> Release:
        """The mechanism, seeded. If it loads torch or opacus on the way, they were not: once more, seeded."""
        data = self.neighbors.world(trial.included)
        while True:
            loaded = heavy_modules()
            seed_everything(trial.seed)
            try:
                with one_torch_thread():
                    release = self.mechanism.run(data, trial.seed)
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
        statistics = self.attack.statistics(release, self.neighbors)
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
