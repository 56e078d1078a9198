"""Health checks of an experiment: what a reader should know before believing its verdict."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.profiles import DPSGD
from dpaudit.report import Note
from dpaudit.scores import Scores
from dpaudit.trials import Columns, Pilot, Status

__all__ = ["health"]

_MOST_NOTICES = 5
_SAID = "opacus."  # facts of a release that Opacus told

Facts = Mapping[str, float | str]


def health(played: Columns, pilot: Pilot | None, scores: Scores | None, claim: Claim, *, copies: int) -> Iterator[Note]:
    """What the trials that count, and the runs before them, give reason to say.

    Args:
        played: trials in index order.
        pilot: the runs before the first trial, if they were made.
        scores: the trials' statistics.
        claim: what is tested.
        copies: canaries in D1.
    """
    if pilot is not None:
        yield from _pilot(pilot, claim, copies)
    yield from _ended(played)
    if scores is not None and len(scores) > 1:
        silent = [n for n, column in zip(scores.names, scores.values.T, strict=True) if np.isnan(column).all()]
        if silent:
            yield Note("silent-statistics", f"could not be computed in any trial: {', '.join(silent)}")
    yield from _said(played)


def _pilot(pilot: Pilot, claim: Claim, copies: int) -> Iterator[Note]:
    if not pilot.reproducible:
        yield Note(
            "not-reproducible",
            "two runs of trial 0 with one seed differ: the command below will not give these numbers again",
        )
    d0, d1 = pilot.excluded.facts, pilot.included.facts
    differ = [
        f"{name.removeprefix(_SAID)} {_short(d0[name])} on D0 and {_short(d1[name])} on D1"
        for name in d0
        if _differ(name, d0, d1)
    ]
    if differ:
        yield Note(
            "sizes",
            f"{_who(d0)} derived {', '.join(differ)} from the data: a difference that shows in the release without "
            "any record being looked at; neighbours of other sizes may not have it",
        )
    told = ", ".join(_unlike_claim(claim, d0 or d1))
    if told and claim.adjacency is Adjacency.ADD_OR_REMOVE_ONE:
        also = "" if copies == 1 else f" (for one of the {copies} canaries)"
        yield Note("parameters", f"the claim{also} is not about what ran: {told}")


def _differ(name: str, one: Facts, other: Facts) -> bool:
    return name in other and one[name] != other[name] and not (_nan(one[name]) and _nan(other[name]))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _nan(value: float | str) -> bool:
    return not isinstance(value, str) and math.isnan(value)


def _who(facts: Facts) -> str:
    return "opacus" if all(name.startswith(_SAID) for name in facts) else "the training"


def _unlike_claim(claim: Claim, facts: Facts) -> Iterator[str]:
    if not isinstance(claim.profile, DPSGD):
        return
    for name, claimed in claim.profile.parameters().items():
        used = facts.get(_SAID + name)
        if isinstance(used, (int, float)) and not math.isclose(used, claimed, rel_tol=1e-6):
            yield f"{name} {claimed:.6g} claimed, {used:.6g} used by opacus"


def _ended(played: Columns) -> Iterator[Note]:
    for status, name, what in (
        (Status.FAILED, "failed-trials", "the training function raised"),
        (Status.LOST, "lost-trials", "the harness lost them; they count against the accusation"),
    ):
        found = played.where(status)
        if found.any():
            inside = int(played.included[found].sum())
            where = f"{inside} with and {int(found.sum()) - inside} without the canary"
            yield Note(name, f"{where}: {what}; first: {played.errors.get(int(np.argmax(found)), '')}")


def _said(played: Columns) -> Iterator[Note]:
    notices = played.said()
    for text, count in list(notices.items())[:_MOST_NOTICES]:
        yield Note("said-by-trials", f"{text} ({count} times)")
    if len(notices) > _MOST_NOTICES:
        yield Note("said-by-trials", f"and {len(notices) - _MOST_NOTICES} more, see the ledger")
