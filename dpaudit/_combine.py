"""Several audits of one claim as one statement: e-values multiply, or are averaged."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpaudit.errors import UsageError, require_confidence
from dpaudit.evidence import Verdict

__all__ = ["Combination", "Evidence", "combine", "read_evidence"]

_WAYS = ("product", "mean")


@dataclass(frozen=True)
class Evidence:
    """What one audit contributes.

    Attributes:
        source: where it came from.
        log_e: natural logarithm of its e-value, the wealth at stopping.
        claim: the claim as report.json has it.
        seed: of its coins and trainings; audits that share one are dependent, whatever else differs.
        conclusive: whether it could have refuted by itself.
    """

    source: str
    log_e: float
    claim: Mapping[str, Any]
    seed: int
    conclusive: bool


@dataclass(frozen=True)
class Combination:
    """The audits together.

    Attributes:
        verdict: REFUTED iff the combined e-value reaches 1/(1 - confidence); INCONCLUSIVE if no audit could have.
        how: "product" or "mean".
        log_e: natural logarithm of the combined e-value.
        confidence: of the statement, made once for all audits together.
        parts: the audits.
    """

    verdict: Verdict
    how: str
    log_e: float
    confidence: float
    parts: tuple[Evidence, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {
            "schema": 1,
            "verdict": self.verdict,
            "how": self.how,
            "confidence": self.confidence,
            "e_value": _exp(self.log_e),
            "log_e_value": self.log_e,
            "p_value": min(1.0, math.exp(-self.log_e)),
            "claim": dict(self.parts[0].claim),
            "audits": [{"source": part.source, "log_e_value": part.log_e} for part in self.parts],
        }

    def __str__(self) -> str:
        claim = self.parts[0].claim
        lines = [
            f"{self.verdict.value}   claim ({claim['epsilon']:.4g}, {claim['delta']:.3g})-DP, {claim['adjacency']}: "
            f"{len(self.parts)} audits together at {100 * self.confidence:g} % confidence",
            f"  evidence    {self.how} of e-values: {_exp(self.log_e):.3g} of {1 / (1 - self.confidence):.4g} needed",
        ]
        lines += [f"  audit       {_exp(part.log_e):<10.3g} {part.source}" for part in self.parts]
        return "\n".join(lines)


def combine(parts: Sequence[Evidence], *, how: str = "product", confidence: float = 0.95) -> Combination:
    """One test of the claim from several audits of it.

    Null hypothesis: the claim holds, in every audit.
    Guarantee: refutes a true claim with probability at most 1 - confidence, however many audits there are: each wealth
        at stopping has mean at most 1 under the claim. The product of those of audits with coins of their own is the
        wealth of one long audit; their mean has mean at most 1 whatever their dependence.
    Assumes: all the audits of the claim that were run are given (leaving out the bad nights is a choice after a look);
        for the product: each audit has a seed of its own.
    Reference: Vovk & Wang 2021 ("E-values: calibration, combination and applications"), section 3; Ville 1939.

    Raises:
        UsageError: nothing to combine, different claims, audits that share a seed, an unknown way.
    """
    require_confidence(confidence)
    if how not in _WAYS:
        raise UsageError("unknown way to combine", allowed=", ".join(_WAYS), got=how)
    if not parts:
        raise UsageError("nothing to combine", allowed="at least one audit", got="none")
    first = parts[0]
    for part in parts[1:]:
        if _same_claim(part.claim) != _same_claim(first.claim):
            raise UsageError(
                "these audits test different claims", allowed="one claim", got=f"{first.source} and {part.source}"
            )
    if how == "product":
        seen: dict[int, str] = {}
        for part in parts:
            if part.seed in seen:
                raise UsageError(
                    "two audits share a seed: same coins and trainings, whose evidence would count twice",
                    got=f"seed {part.seed} in {seen[part.seed]} and {part.source}",
                    remedy="another --seed for each audit, or --how mean",
                )
            seen[part.seed] = part.source
        log_e = math.fsum(part.log_e for part in parts)
    else:
        top = max(part.log_e for part in parts)
        total = math.fsum(math.exp(part.log_e - top) for part in parts) if math.isfinite(top) else 1.0
        log_e = top + math.log(total / len(parts))
    if log_e >= -math.log1p(-confidence):
        verdict = Verdict.REFUTED
    else:
        verdict = Verdict.NOT_REFUTED if any(part.conclusive for part in parts) else Verdict.INCONCLUSIVE
    return Combination(verdict, how, log_e, confidence, tuple(parts))


def read_evidence(folder: Path) -> Evidence:
    """The evidence in a folder's report.json.

    Raises:
        UsageError: no report, a method without e-values, trials that repeated one another.
    """
    path = folder / "report.json" if folder.is_dir() else folder
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        verdict, test = Verdict(report["verdict"]), report["test"]
        notes = {note["name"] for note in report["notes"]}
        claim, seed = report["claim"], int(report["seed"])
        wealth = None if test is None else test["e_value"]
        logged = None if test is None else test["details"].get("log_wealth")
    except OSError as error:
        raise UsageError("no report to combine", got=f"{path}: {error.strerror}", remedy="dpaudit report DIR") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("not the report of an audit", allowed="report.json of schema 1", got=str(path)) from None
    if "repeated-releases" in notes:
        raise UsageError(
            "this audit's trials repeated one another, its wealth is no e-value", got=str(path), remedy="leave it out"
        )
    if wealth is None:
        raise UsageError(
            "this audit has no e-value", allowed="audits by betting that played trials", got=f"{path}: {verdict.value}"
        )
    log_e = float(logged) if logged is not None else math.log(float(wealth))
    return Evidence(str(folder), log_e, claim, seed, verdict is not Verdict.INCONCLUSIVE)


def _same_claim(claim: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in claim.items() if k != "epsilon"}, sort_keys=True)


def _exp(log_e: float) -> float:
    return math.exp(log_e) if log_e < 709 else math.inf
