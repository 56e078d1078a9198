"""Small real mechanisms, attacks and neighbours for the tests of dpaudit.trials."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.trials import Game


@dataclass(frozen=True)
class Function:
    train: Callable[[Any, int], Any]
    discrete: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def run(self, data, seed):
        return Release(self.train(data, seed), discrete=self.discrete, facts=self.facts)


class Value:
    """The release is a number or an array; the statistic is its sum."""

    def statistics(self, release, neighbors):
        return {"sum": np.asarray(release.value).sum()}


def neighbors():
    return Neighbors(excluded=np.zeros(3), included=np.array([0.0, 0.0, 0.0, 1.0]))


def game(train, *, attack=None, discrete=False, facts=None, data=None):
    return Game(Function(train, discrete, facts or {}), data or neighbors(), attack or Value())


def laplace(data, seed):
    return float(data.sum() + np.random.default_rng(seed).laplace())


def slow(data, seed):
    time.sleep(0.04)
    return laplace(data, seed)


def slow_in(data, seed):
    """One world takes much longer than the other."""
    time.sleep(0.1 if len(data) == 4 else 0.0)
    return laplace(data, seed)


@dataclass(frozen=True)
class Once:
    """Laplace that does `what` the first `times` times it gets `seed` (a file counts)."""

    seed: int
    folder: str
    what: str
    times: int = 1

    def __call__(self, data, seed):
        attempts = Path(self.folder) / f"{seed}-attempts"
        with attempts.open("a") as file:
            file.write("x")
        if seed == self.seed and len(attempts.read_text()) <= self.times:
            match self.what:
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang":
                    time.sleep(600)
        return laplace(data, seed)

    def attempts(self):
        return {int(f.name.split("-")[0]): len(f.read_text()) for f in Path(self.folder).glob("*-attempts")}


def essence(outcomes):
    """What must not depend on where and when trials ran."""
    return [(o.trial, o.status, dict(o.statistics), o.error, o.digest, o.notices) for o in outcomes]
