"""The manners of a user's own attack or mechanism."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dpaudit.attacks.protocol import Attack
from dpaudit.digest import digest_of
from dpaudit.errors import AuditError
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.testing.conformance import ADDRESS, attempt
from dpaudit.trials.seeding import one_torch_thread, seed_everything

__all__ = ["Conformance", "check_attack", "check_mechanism"]


@dataclass(frozen=True)
class Conformance:
    """What a part does not do as its protocol says.

    Attributes:
        part: its name.
        problems: in words; none if it conforms.
    """

    part: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def require(self) -> "Conformance":
        """Itself, if there is no problem.

        Raises:
            AuditError: there is; all are named.
        """
        if self.problems:
            raise AuditError(f"{self.part}: {'; '.join(self.problems)}")
        return self

    def __str__(self) -> str:
        return f"{self.part}: " + ("conforms" if self.passed else "; ".join(self.problems))


def check_attack(attack: Attack, release: Release, neighbors: Neighbors) -> Conformance:
    """Read one release, twice, and a spoilt copy of it.

    Checked: statistics are named floats, the same for the same release; their names stay if the release turns NaN
    (numbers, arrays and torch modules); release and neighbours are not modified; the repr holds no memory address.

    Args:
        attack: what is tested.
        release: one run's, such as ``mechanism.run(neighbors.included, 0)``.
        neighbors: as in the audit.
    """
    problems = _named(attack)
    if not callable(getattr(attack, "statistics", None)):
        return Conformance(_name(attack), (*problems, "it has no method statistics"))
    before = digest_of((release, _fresh_digest(neighbors)))

    def read(what: str, seen: Release) -> dict[str, float] | None:
        found = attempt(problems, f"statistics of {what}", lambda: attack.statistics(seen, neighbors))
        return None if found is None else _plain(found, problems)

    first, again = read("the release", release), read("the release, again,", release)
    if first is not None and again is not None and not _same(first, again):
        problems.append("statistics differ when the same release is read twice")
    if digest_of((release, _fresh_digest(neighbors))) != before:
        problems.append("it changed the release or the data sets")
    spoilt = _spoilt(release.value)
    if spoilt is not None and first is not None:
        bad = read("a release of NaN", replace(release, value=spoilt))
        if bad is not None and bad.keys() != first.keys():
            problems.append(f"a release of NaN has other statistics: {sorted(bad.keys() ^ first.keys())}")
    return Conformance(_name(attack), tuple(problems))


def check_mechanism(mechanism: Mechanism, neighbors: Neighbors, *, seeds: tuple[int, int] = (1, 2)) -> Conformance:
    """Run both worlds twice with one seed and once with another, seeded as the runner does.

    Checked: `run` returns a Release; the same seed the same one; another seed another (unless declared discrete); the
    data sets are not modified; name and engine are texts, and the repr holds no memory address. Of `run_many`, if there
    is one: a release for each coin and seed, the same together and alone.
    """
    problems = _named(mechanism)
    if not isinstance(getattr(mechanism, "engine", None), str):
        problems.append("its engine is no text")
    if not callable(getattr(mechanism, "run", None)):
        return Conformance(_name(mechanism), (*problems, "it has no method run"))
    before = _fresh_digest(neighbors)
    for included in (False, True):
        world, data = f"D{int(included)}", neighbors.world(included)

        def released(seed: int, world: str = world, data: Any = data) -> Any:
            def run() -> Any:
                seed_everything(seed)
                with one_torch_thread():
                    return mechanism.run(data, seed)

            return attempt(problems, f"run({world}, {seed})", run)

        found = [released(seed) for seed in (seeds[0], seeds[0], seeds[1])]
        if any(r is None for r in found):
            continue
        if not all(isinstance(r, Release) for r in found):
            problems.append(f"run({world}) returned {type(found[0]).__name__}, not a Release")
            continue
        one, same, other = (digest_of(r.value) for r in found)
        if one != same:
            problems.append(f"run({world}) is not reproducible: seed {seeds[0]} gave two releases")
        elif one == other and not found[0].discrete:
            problems.append(f"run({world}) ignores its seed, or the release is discrete and does not say so")
    many = getattr(mechanism, "run_many", None)
    if callable(many):
        problems += _many(many, neighbors, seeds)
    if _fresh_digest(neighbors) != before:
        problems.append("it changed the data sets")
    return Conformance(_name(mechanism), tuple(dict.fromkeys(problems)))


def _many(many: Any, neighbors: Neighbors, seeds: tuple[int, int]) -> list[str]:
    """What is wrong with `run_many`."""
    problems: list[str] = []
    asked = [(False, seeds[0]), (True, seeds[0]), (False, seeds[1]), (True, seeds[1])]

    def released(*trials: tuple[bool, int]) -> list[str] | None:
        def run() -> list[str]:
            seed_everything(seeds[0])
            with one_torch_thread():
                made = list(many(neighbors, [coin for coin, _ in trials], [seed for _, seed in trials]))
            if len(made) != len(trials) or not all(isinstance(one, Release) for one in made):
                problems.append(f"run_many does not return a Release for each of {len(trials)} trials")
            return [digest_of(one.value) for one in made]

        digests: list[str] | None = attempt(problems, f"run_many of {len(trials)}", run)
        return digests

    together = released(*asked)
    alone = [released(trial) for trial in asked]
    if not problems and [[one] for one in together or ()] != alone:
        problems.append("a release of run_many depends on what else is asked for")
    return problems


def _named(part: Any) -> list[str]:
    problems = []
    if not (isinstance(getattr(part, "name", None), str) and part.name):
        problems.append("its name is no text")
    if ADDRESS.search(repr(part)):
        problems.append(f"its repr holds a memory address, which no fingerprint can: {repr(part)[:80]}")
    return problems


def _name(part: Any) -> str:
    name = getattr(part, "name", None)
    return name if isinstance(name, str) and name else type(part).__name__


def _plain(found: Any, problems: list[str]) -> dict[str, float] | None:
    if not isinstance(found, Mapping) or not found:
        problems.append(f"statistics returned {type(found).__name__}, not a mapping of at least one statistic")
        return None
    for name, value in found.items():
        if not isinstance(name, str) or attempt(problems, f"float of {name!r}", partial(float, value)) is None:
            problems.append(f"statistic {name!r} is not a named number")
            return None
    return {name: float(value) for name, value in found.items()}


def _same(first: Mapping[str, float], again: Mapping[str, float]) -> bool:
    return list(first) == list(again) and np.array_equal([*first.values()], [*again.values()], equal_nan=True)


def _fresh_digest(neighbors: Neighbors) -> str:
    return replace(neighbors).digest  # `digest` is kept after its first use


def _spoilt(value: Any) -> Any:
    """The same kind of release, all NaN; None where that means nothing."""
    if isinstance(value, float):
        return float("nan")
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.full_like(value, np.nan)
    if callable(getattr(value, "parameters", None)) and callable(getattr(value, "state_dict", None)):
        module = copy.deepcopy(value)
        for parameter in module.parameters():
            parameter.data.fill_(float("nan"))
        return module
    return None
