"""The report of a one-run audit: m canaries with coins of their own in one training, or in a few."""

from dataclasses import dataclass
from typing import Any

from dpaudit.report.json import jsonable
from dpaudit.report.report import Report

__all__ = ["GAME", "ONE_RUN_ASSUMES", "OneRunReport"]

GAME = "coin-flipped canaries: a DP conclusion"
"""Which game was played; scores of records that somebody else included allow no such conclusion."""

ONE_RUN_ASSUMES = (
    "fair coins, the same training for all canaries, how many are guessed fixed beforehand or paid for; "
    "nothing about the mechanism, nor about how canaries interact"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneRunReport(Report):
    """The outcome of `dpa.audit_one_run`. Its "trials" are canaries: each has a coin of its own.

    Attributes:
        m: canaries in a run.
        runs: trainings, combined by Fisher's method if there are several.
        guesses: canaries guessed in or out, in all runs.
        correct: of these, guessed right.
        p_values: of each run, paid for.
        scores: of the canaries of all runs, the first run's first. They are those of one run with runs x m canaries as
            well, so a one-run method may be asked for another bound; its rule must not be chosen by looking at them.
    """

    m: int
    runs: int
    guesses: int = 0
    correct: int = 0
    p_values: tuple[float, ...] = ()

    def to_dict(self, *, volatile: bool = True) -> dict[str, Any]:
        """report.json, schema 1, with "game" and what this game has beside the other."""
        made = super().to_dict(volatile=volatile)
        more = {
            "game": "one run",
            "game_means": GAME,
            "m": self.m,
            "runs": self.runs,
            "guesses": self.guesses,
            "correct": self.correct,
            "p_values": self.p_values,
        }
        return {**made, **{key: jsonable(value) for key, value in more.items()}}

    def __str__(self) -> str:
        from dpaudit.report.one_run_text import render

        return render(self)
