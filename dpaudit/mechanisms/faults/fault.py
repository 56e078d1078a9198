"""A planted fault, or a control that has none: what is claimed, what is true, and who could see it."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import Neighbors

__all__ = ["Case", "Fault", "Law", "View"]

Law = Callable[[np.random.Generator], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Draws what the best adversary of a fault sees: (n,) log likelihood ratios with the canary in, and (n,) out."""


class View(StrEnum):
    """A threat model; all know both data sets, the public start and the claim.

    The first three see the ensemble engine; `PROGRAM` is real Opacus, seen at its end, or step by step where the fault
    shows in the steps alone.
    """

    FINAL = "final weights"
    TRANSCRIPT = "transcript"
    SEED = "transcript, seed known"
    PROGRAM = "Opacus program"


@dataclass(frozen=True, eq=False)
class Case:
    """A fault under one threat model.

    Attributes:
        view: what the adversary sees.
        mechanism: releases that.
        neighbors: the two worlds.
        visible: whether an audit of a few hundred trials is expected to refute the claim.
        why: if not, the reason.
    """

    view: View
    mechanism: Mechanism
    neighbors: Neighbors
    _: KW_ONLY
    visible: bool = True
    why: str = ""


@dataclass(frozen=True, eq=False)
class Fault:
    """One planted fault, or a negative control.

    Attributes:
        name: as in the table.
        line: the line that differs from right DP-SGD, in words.
        severity: how bad, in words.
        claim: what is claimed.
        cases: the threat models.
        truth: the claim that would hold; None where nothing finite holds, or no formula is known.
        law: for the plan's ideal number of trials; None where the best adversary is not known.
        basis: where truth and law come from.
        control: it is right, and must not be refuted.
    """

    name: str
    line: str
    severity: str
    claim: Claim
    cases: tuple[Case, ...]
    _: KW_ONLY
    truth: Claim | None = None
    law: Law | None = None
    basis: str = ""
    control: bool = False

    def case(self, view: View) -> Case | None:
        """Under this threat model, if it is there."""
        return next((case for case in self.cases if case.view is view), None)

    def to_dict(self) -> dict[str, Any]:
        """What it is, without its runs, as JSON has it."""
        return {
            "name": self.name,
            "line": self.line,
            "severity": self.severity,
            "claim": self.claim.to_dict(),
            "truth": None if self.truth is None else self.truth.to_dict(),
            "basis": self.basis,
            "control": self.control,
        }
