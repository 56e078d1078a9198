"""One trial of the distinguishing game, and what came of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from dpaudit.trials.text import clean, one_line

__all__ = ["Outcome", "Status", "Trial", "count_notices"]


class Status(StrEnum):
    """How a trial ended.

    * ``OK``: the mechanism released something and the attack read it.
    * ``FAILED``: the mechanism raised. An outcome of the mechanism like any other; final.
    * ``LOST``: the harness or the attack lost it, for good. Counts against the accusation (STATISTICS section 4).
    """

    OK = "ok"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class Trial:
    """One coin, one seed.

    Attributes:
        index: position in the schedule, from 0; negative for pilot runs, which are no trials.
        included: the coin; True is the world with the canary, D1.
        seed: for the mechanism, in [0, 2^32), distinct across trials.
    """

    index: int
    included: bool
    seed: int


@dataclass(frozen=True)
class Outcome:
    """One row of the experiment. Plain data only: it travels between processes and into the ledger.

    Attributes:
        trial: what was to be run.
        status: how it ended.
        statistics: name -> value, higher or lower in one world for all we know; empty unless ``OK``. NaN and
            infinities are allowed and mean what they say.
        error: "ValueError: message", one line; empty if ``OK``.
        trace: the full traceback, if there is one.
        seconds: wall clock of the whole trial, attack included.
        digest: of the raw release; None if not ``OK``, if the release is declared discrete, if it holds a
            NaN or infinity, or if its content cannot be digested. Equal digests of different trials mean an
            ignored seed.
        notices: distinct warnings and printed lines with their counts.
        facts: what the implementation said about itself (`Release.facts`); kept of pilot runs, not of trials.
    """

    trial: Trial
    status: Status
    statistics: Mapping[str, float]
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    digest: str | None = None
    notices: tuple[tuple[str, int], ...] = ()
    facts: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def lost(cls, trial: Trial, error: str, *, trace: str = "", seconds: float = 0.0) -> "Outcome":
        """A trial that nobody will get a result of."""
        return cls(trial, Status.LOST, {}, one_line(error), clean(trace, 8_000), seconds)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it (with Python's NaN and Infinity)."""
        return asdict(self) | {"status": str(self.status), "statistics": dict(self.statistics)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Outcome":
        """The inverse of `to_dict`."""
        fields = dict(data)
        return cls(
            **fields
            | {
                "trial": Trial(**fields["trial"]),
                "status": Status(fields["status"]),
                "notices": tuple((str(text), int(count)) for text, count in fields["notices"]),
            }
        )


def count_notices(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Every distinct notice of these trials with how often it was seen, most frequent first."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        for text, count in outcome.notices:
            counts[text] = counts.get(text, 0) + count
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
