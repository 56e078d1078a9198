"""What a method may say: exact and anytime statements (LowerBound, TestResult), and mere estimates (Estimate).

Only the first two can reach a Verdict.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.intervals import check_counts, epsilon_from_rates, lower_limit, upper_limit

__all__ = ["Estimate", "FamilyBound", "LowerBound", "TestResult", "Verdict", "round_down"]


class Verdict(Enum):
    """What an audit can conclude. It has no truth value: three outcomes do not fit in two."""

    REFUTED = "REFUTED"
    NOT_REFUTED = "NOT_REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"

    def __bool__(self) -> bool:
        raise UsageError(
            "a verdict is not true or false",
            allowed=", ".join(v.value for v in Verdict),
            remedy="compare with `is`",
        )


def round_down(value: float, digits: int = 3) -> str:
    """`value` in text, rounded DOWN, so that no bound is crossed by printing it."""
    if not math.isfinite(value):
        return str(value)
    scale = 10**digits
    return f"{math.floor(value * scale) / scale:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class LowerBound:
    """Epsilon is at least `epsilon` at `delta`, with probability `confidence` over the trials.

    Attributes:
        epsilon: the bound, >= 0; 0 says nothing.
        delta: where the statement stands.
        confidence: probability that the statement holds.
        method: the theorem that was used.
        ceiling: what perfect scores would have given in the same trials; None if not computed.
        n_included, n_excluded: trials (of one run: canaries) judged, per world; None where counts do not tell.
        tp, fp: counts behind the bound; None for methods without a single threshold.
        threshold: the decision threshold, statistic: the score it is on.
    """

    epsilon: float
    delta: float
    confidence: float
    method: str
    ceiling: float | None = None
    n_included: int | None
    n_excluded: int | None
    tp: int | None = None
    fp: int | None = None
    threshold: float | None = None
    statistic: str | None = None

    @classmethod
    def from_counts(
        cls,
        *,
        tp: int,
        fp: int,
        n_included: int,
        n_excluded: int,
        delta: float = 0.0,
        confidence: float = 0.95,
        copies: int = 1,
    ) -> "LowerBound":
        """The Clopper-Pearson bound from counts alone, for a rule that was fixed before the trials.

        Null hypothesis: the mechanism is (epsilon', delta)-DP for some epsilon' below the returned bound.
        Guarantee: exact; the bound exceeds the true epsilon with probability at most 1 - confidence.
        Assumes: `n_included` and `n_excluded` independent trials, declared before the first one; a decision rule
            that does not depend on them. Void after optional stopping.
        Reference: Jagielski, Ullman, Oprea 2020 (Theorem 3.1 with Clopper-Pearson); both limits at alpha/2;
            the mirror direction uses the same two limits.

        Args:
            tp: included trials guessed included.
            fp: excluded trials guessed included.
            n_included: trials with the canary in.
            n_excluded: trials with the canary out.
            delta: where the bound stands, [0, 1).
            confidence: (0, 1).
            copies: canaries in the group; the bound is per record.

        Raises:
            UsageError: impossible counts, delta or confidence.
        """
        check_counts(tp, n_included, "included trials")
        check_counts(fp, n_excluded, "excluded trials")
        require_probability("delta", delta, one=False)
        level = (1 - require_confidence(confidence)) / 2

        def bound(true_positives: int, false_positives: int) -> float:
            low = lower_limit(true_positives, n_included, level)
            high = upper_limit(false_positives, n_excluded, level)
            return float(epsilon_from_rates(low, high, delta, copies=copies))

        return cls(
            epsilon=bound(tp, fp),
            delta=delta,
            confidence=confidence,
            method="clopper-pearson, rule fixed beforehand",
            ceiling=bound(n_included, 0),
            n_included=n_included,
            n_excluded=n_excluded,
            tp=tp,
            fp=fp,
        )

    def __str__(self) -> str:
        text = (
            f"epsilon >= {round_down(self.epsilon)} at delta {self.delta:g} "
            f"({100 * self.confidence:.12g} % confidence, {self.method}"
        )
        if self.tp is not None:
            text += f"; TP {self.tp}/{self.n_included}, FP {self.fp}/{self.n_excluded}"
        if self.ceiling is not None:
            text += f"; ceiling {round_down(self.ceiling)}"
        return text + ")"


@dataclass(frozen=True)
class FamilyBound:
    """The weakest refuted claim of a one-parameter family, and with it every stronger one.

    Attributes:
        parameter: "mu" (every smaller one is refuted) or "noise_multiplier" (every larger one).
        refuted: its value there; None if no member was refuted.
        claimed: the claim's own value.
        confidence: probability that the statement holds.
    """

    parameter: str
    refuted: float | None
    claimed: float
    confidence: float

    def __str__(self) -> str:
        name = self.parameter.replace("_", " ")
        if self.refuted is None:
            return f"no {name} is refuted (claimed {self.claimed:.4g}, {100 * self.confidence:.12g} % confidence)"
        side = "up to" if self.parameter == "mu" else "down to"
        return (
            f"every {name} {side} {self.refuted:.4g} is refuted "
            f"(claimed {self.claimed:.4g}, {100 * self.confidence:.12g} % confidence)"
        )


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Whether a claim was refuted, and by how much evidence.

    Attributes:
        refuted: the null hypothesis "the claim holds" was rejected at 1 - confidence.
        confidence: probability, if the claim holds, of NOT refuting it.
        method: the theorem that was used.
        p_value: for exact tests; for betting 1 / (largest wealth), valid at any stopping time.
        e_value: for betting the wealth at stopping; None otherwise.
        trials_used: trials the result rests on.
        statistic: the statistic that carried most of the evidence, with its sign; None if there is none.
        details: method-specific facts for the report (guesses, threshold, wealth share, ...).
    """

    __test__ = False  # not a pytest class

    refuted: bool
    confidence: float
    method: str
    p_value: float | None = None
    e_value: float | None = None
    trials_used: int
    statistic: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that is NOT a guarantee: it can never reach a verdict.

    Attributes:
        value: the estimate, interval: its (low, high) or None, level: the nominal level of the interval.
        quantity: what is estimated, method: how, assumes: what would have to hold.
    """

    value: float
    quantity: str
    method: str
    assumes: str
    interval: tuple[float, float] | None = None
    level: float | None = None

    def __str__(self) -> str:
        text = f"{self.quantity} about {self.value:.4g}"
        if self.interval is not None:
            text += f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]"
        return f"{text} (estimate by {self.method}; assumes {self.assumes})"
