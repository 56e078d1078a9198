"""The policy: what a release needs, in a TOML file that is reviewed like code."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError

__all__ = ["Policy", "read_policy"]

_HAIR = 1 - 1e-6  # so that what is refuted at exactly this level is not lost in rounding logarithms


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the newest audit of each experiment must show; None asks for nothing.

    Attributes:
        epsilon: the tested claim's epsilon at `delta` is at most this.
        delta: where `epsilon` and the lower bound stand; None: where the tested claim is quoted.
        adjacency: the tested claim is for these neighbours.
        maximum_epsilon_lower_bound: no audit shows an epsilon above this.
        minimum_power: of the positive control beside NOT_REFUTED.
        required_statistics: the attack looked at these.
        maximum_age_days: since the audit ended.
        versions: package -> versions that the evidence may have been made with.
        alpha: the probability of a false alarm, over all `audits` together.
        audits: how many audits in all this alpha is for: nights times experiments.
        one_audit: the folders are nights of one audit, whose code may change from night to night: only the experiment
            of the newest night is judged. Otherwise every experiment has to pass.
    """

    epsilon: float | None = None
    delta: float | None = None
    adjacency: Adjacency | None = None
    maximum_epsilon_lower_bound: float | None = None
    minimum_power: float | None = None
    required_statistics: tuple[str, ...] = ()
    maximum_age_days: float | None = None
    versions: Mapping[str, SpecifierSet] = field(default_factory=dict)
    alpha: float = 0.05
    audits: int = 1
    one_audit: bool = False

    @property
    def claim_alpha(self) -> float:
        """The part of alpha that refuted claims may use; half of it if bounds are compared with a maximum as well."""
        return self.alpha if self.maximum_epsilon_lower_bound is None else self.alpha / 2

    @property
    def claim_confidence(self) -> float:
        """The confidence with which one audit refutes by itself under this policy."""
        return 1 - _HAIR * self.claim_alpha / self.audits

    @property
    def bound_confidence(self) -> float:
        """The confidence of every single lower bound: all of them hold together with 1 - alpha/2."""
        return 1 - self.alpha / 2 / self.audits

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "adjacency": self.adjacency,
            "maximum_epsilon_lower_bound": self.maximum_epsilon_lower_bound,
            "minimum_power": self.minimum_power,
            "required_statistics": self.required_statistics,
            "maximum_age_days": self.maximum_age_days,
            "versions": {name: str(allowed) for name, allowed in self.versions.items()},
            "alpha": self.alpha,
            "audits": self.audits,
            "one_audit": self.one_audit,
        }


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        UsageError: it cannot be read, an unknown table or key, a value of another kind.
    """
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("there is no policy", got=f"{path}: {error.strerror}", remedy="--policy policy.toml") from None
    except ValueError as error:  # of TOML, and of its encoding
        raise UsageError(f"{path} is not TOML", got=str(error)) from None
    known: dict[str, dict[str, _Kind]] = {
        "claim": {"epsilon": _positive, "delta": _probability, "adjacency": _adjacency},
        "evidence": {
            "maximum_epsilon_lower_bound": _not_negative,
            "minimum_power": _probability,
            "required_statistics": _names,
            "maximum_age_days": _positive,
        },
        "alarm": {"alpha": _level, "audits": _count, "one_audit": _flag},
    }
    given: dict[str, Any] = {}
    for name, table in whole.items():
        if name not in (*known, "versions"):
            raise UsageError(f"unknown table in {path}", allowed=", ".join((*known, "versions")), got=f"[{name}]")
        if not isinstance(table, dict):
            raise UsageError(f"{name} in {path}", allowed=f"a table, [{name}]", got=repr(table))
        if name == "versions":
            given["versions"] = {package: _versions(f"{package} in {path}", value) for package, value in table.items()}
            continue
        for key, value in table.items():
            if key not in known[name]:
                raise UsageError(f"unknown key in [{name}] of {path}", allowed=", ".join(known[name]), got=key)
            given[key] = known[name][key](f"{key} in [{name}] of {path}", value)
    if not given:
        raise UsageError(f"{path} asks for nothing", allowed=", ".join((*known, "versions")), remedy="[alarm] alpha")
    if (given.get("epsilon") is None) != (given.get("delta") is None):
        raise UsageError(f"[claim] of {path} is half a claim", allowed="epsilon and delta, or neither")
    return Policy(**given)


_Kind = Callable[[str, Any], Any]


def _number(what: str, value: Any, allowed: str, right: Callable[[float], bool], example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not right(value):
        key = what.partition(" ")[0]
        raise UsageError(what, allowed=allowed, got=value, remedy=f"{key} = {example}")
    return float(value)


def _positive(what: str, value: Any) -> float:
    return _number(what, value, "a number above 0", lambda x: 0 < x < float("inf"), "3.0")


def _not_negative(what: str, value: Any) -> float:
    return _number(what, value, "a number of at least 0", lambda x: 0 <= x < float("inf"), "3.0")


def _probability(what: str, value: Any) -> float:
    return _number(what, value, "a number in [0, 1)", lambda x: 0 <= x < 1, "0.8" if "power" in what else "1e-5")


def _level(what: str, value: Any) -> float:
    return _number(what, value, "a number in (0, 1)", lambda x: 0 < x < 1, "0.05")


def _count(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**6:
        raise UsageError(what, allowed="a whole number, 1 to 1000000", got=value, remedy="audits = 365")
    return value


def _flag(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(what, allowed="true, false", got=value)
    return value


def _names(what: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UsageError(what, allowed="a list of names", got=value, remedy='required_statistics = ["norm"]')
    return tuple(value)


def _adjacency(what: str, value: Any) -> Adjacency:
    try:
        return Adjacency(value)
    except ValueError:
        raise UsageError(what, allowed=", ".join(Adjacency), got=value) from None


def _versions(what: str, value: Any) -> SpecifierSet:
    try:
        return SpecifierSet(value)
    except (InvalidSpecifier, TypeError, AttributeError):
        raise UsageError(what, allowed='versions, such as ">=2.6,<3"', got=value) from None
