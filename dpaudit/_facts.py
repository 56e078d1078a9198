"""What is fixed about an audit before its first trial: kept in the ledger, enough to judge it again."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib import metadata
from typing import Any

from dpaudit.claim import Claim
from dpaudit.errors import AuditError

__all__ = ["Facts", "fingerprint_digest", "versions"]

_PACKAGES = ("dpaudit", "numpy", "torch", "opacus", "dp-accounting")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """JSON-ready facts of one audit.

    Attributes:
        claim: `Claim.to_dict` of the claim, for the group if D1 holds several copies of the canary.
        method: `Method.to_dict`.
        confidence: of each statement.
        seed: of coins and trials.
        max_trials: the most trials allowed (for a fixed-size method: declared).
        copies: canaries in the group.
        canary: the recipe in words.
        engine: what runs, and whether it stands for an implementation or an algorithm.
        threat_model: what the adversary sees.
        versions: package -> version.
        reproduce: the command that repeats the audit.
        fingerprint: digest of everything that decides the numbers.
        evidence: "spec": digest of the spec's source, None without one; "code": module -> digest, of the user's own
            modules; "data": digest of the neighbours; "experiment": what `fingerprint` is the digest of.
    """

    claim: Mapping[str, Any]
    method: Mapping[str, Any]
    confidence: float
    seed: int
    max_trials: int
    copies: int
    canary: str
    engine: str
    threat_model: str
    versions: Mapping[str, str]
    reproduce: str
    fingerprint: str
    evidence: Mapping[str, Any]

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Facts":
        """The inverse of `to_dict`.

        Raises:
            AuditError: facts are missing, or there are others.
        """
        try:
            return cls(**kept)
        except TypeError:
            raise AuditError("the ledger is damaged: its facts are not those of an audit") from None

    def the_claim(self) -> Claim:
        """The claim again.

        Raises:
            UsageError: a profile of the user's own.
            AuditError: it cannot be read.
        """
        try:
            return Claim.from_dict(self.claim)
        except (KeyError, TypeError):
            raise AuditError("the ledger is damaged: its claim cannot be read") from None

    def to_dict(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return asdict(self)


def versions(engine: str = "") -> dict[str, str]:
    """Versions of what decides the numbers, without importing any of it; for the ensemble its compiler as well."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, "numba") if engine.startswith("ensemble") else _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint_digest(fingerprint: Mapping[str, str]) -> str:
    """32 hex digits."""
    return blake2b(json.dumps(dict(fingerprint), sort_keys=True).encode(), digest_size=16).hexdigest()
