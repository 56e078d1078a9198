"""What repeated audits of true claims came to, and whether chance explains it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from dpaudit.errors import AuditError
from dpaudit.profiles import FloatArray

__all__ = ["TOO_MANY", "ValidityReport", "ValidityRow", "excess_p_value"]

TOO_MANY = 1e-6
"""A row fails iff its count of false refutations is less likely than this at the nominal rate (DECISIONS 15)."""

TOGETHER = "all of them together"
"""The row that sums up the plain mechanisms at one number of trials."""


def excess_p_value(refuted: ArrayLike, audits: ArrayLike, alpha: float) -> FloatArray:
    """P[Binomial(audits, alpha) >= refuted]."""
    k, n = np.broadcast_arrays(np.asarray(refuted, np.float64), np.asarray(audits, np.float64))
    return np.where(k <= 0, 1.0, betainc(np.maximum(k, 1), n - np.maximum(k, 1) + 1, alpha))


@dataclass(frozen=True)
class ValidityRow:
    """Repeated audits of one mechanism at its exact claim.

    Attributes:
        world: the mechanism.
        dressing: what was done to its scores.
        trials: per audit (of one run: canaries).
        audits: how many.
        refuted: how many refuted the true claim.
        alpha: the nominal rate, 1 - confidence.
    """

    world: str
    dressing: str
    trials: int
    audits: int
    refuted: int
    alpha: float

    @property
    def name(self) -> str:
        """Unique in a suite; its random stream depends on it and the seed alone."""
        return f"{self.world}, {self.dressing}, {self.trials} trials"

    @property
    def again(self) -> str:
        """What `only` has to be to play it again."""
        return self.name.removeprefix(f"{TOGETHER}, ")

    @property
    def rate(self) -> float:
        """Share of the audits that refuted."""
        return self.refuted / self.audits

    @property
    def p_value(self) -> float:
        """How likely a valid method refutes so often."""
        return float(excess_p_value(self.refuted, self.audits, self.alpha))

    @property
    def passed(self) -> bool:
        """Whether chance explains the count."""
        return self.p_value > TOO_MANY


@dataclass(frozen=True)
class ValidityReport:
    """A method before the suite; `str` prints the table.

    Attributes:
        method: as it calls itself.
        confidence: of every audit.
        rows: false refutations per mechanism, dressing and number of trials.
        problems: where the method does not do as the Method protocol says.
        reproduce: the call that made this report, up to its `only`.
    """

    method: str
    confidence: float
    rows: tuple[ValidityRow, ...]
    problems: tuple[str, ...]
    reproduce: str

    @property
    def passed(self) -> bool:
        """No problem, and no row with more false refutations than chance explains.

        A valid method fails with probability at most 1e-6 a row.
        """
        return not self.problems and all(row.passed for row in self.rows)

    @property
    def worst(self) -> ValidityRow | None:
        """The row that chance explains least."""
        return min(self.rows, key=lambda row: (row.p_value, -row.rate), default=None)

    def require(self) -> "ValidityReport":
        """The report itself, if the method passed.

        Raises:
            AuditError: it did not; names the first problem or the worst row, and the call that shows it again.
        """
        if self.passed:
            return self
        if self.problems:
            raise AuditError(f"{self.method} is not a Method: {self.problems[0]}; reproduce: {self.reproduce})")
        row = self.worst
        assert row is not None
        raise AuditError(
            f"{self.method} is not valid: refuted {row.refuted} of {row.audits} true claims at a nominal "
            f"{row.alpha:.3g} ({row.name}; p = {row.p_value:.1e}); reproduce: {self.reproduce}, only={row.again!r})"
        )

    def __str__(self) -> str:
        lines = [f"{self.method}: {'passed' if self.passed else 'FAILED'}, {len(self.rows)} rows at {self.confidence}"]
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines.append(f"  {'mechanism':<26}{'dressing':<24}{'trials':>7}{'refuted':>13}{'rate':>8}{'p-value':>10}")
        for row in self.rows:
            count, mark = f"{row.refuted}/{row.audits}", "" if row.passed else "  FAILED"
            p = "1" if row.refuted == 0 else f"{row.p_value:.1e}" if row.p_value < 0.001 else f"{row.p_value:.3f}"
            rate = math.ceil(1000 * row.rate) / 10
            lines.append(f"  {row.world:<26}{row.dressing:<24}{row.trials:>7}{count:>13}{rate:>6.1f} %{p:>10}{mark}")
        return "\n".join(lines + ([] if self.passed else [f"  reproduce: {self.reproduce})"]))
