"""The runs before the first trial: does it work in both worlds, which statistics are there, does it repeat itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dpaudit.trials.trial import Outcome, Status

__all__ = ["Pilot"]


@dataclass(frozen=True)
class Pilot:
    """Four runs that nobody bets on (the first run of trial 0 is also trial 0).

    Attributes:
        excluded: D0 with a seed of its own.
        included: D1 with the same seed.
        first: trial 0.
        again: trial 0 once more.
    """

    excluded: Outcome
    included: Outcome
    first: Outcome
    again: Outcome

    @property
    def names(self) -> tuple[str, ...]:
        """Every statistic of these runs: those of trial 0 first."""
        runs = (self.first, self.excluded, self.included)
        return tuple(dict.fromkeys(name for run in runs for name in run.statistics))

    @property
    def reproducible(self) -> bool:
        """Whether the two runs of trial 0 agree in status, statistics and digest, bit for bit."""
        one, two = self.first, self.again
        if Status.LOST in (one.status, two.status):
            return False
        return (
            one.status is two.status
            and one.digest == two.digest
            and one.statistics.keys() == two.statistics.keys()
            and all(_same(value, two.statistics[name]) for name, value in one.statistics.items())
        )

    def to_dict(self) -> dict[str, Any]:
        """As the ledger's state holds it."""
        return {field.name: getattr(self, field.name).to_dict() for field in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Pilot":
        """The inverse of `to_dict`."""
        return cls(**{field.name: Outcome.from_dict(data[field.name]) for field in fields(cls)})


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
