"""What defines an audit: the arguments of `dpa.audit`, checked, with their fingerprint."""

import json
from concurrent.futures import Executor
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from dpaudit import defaults
from dpaudit._code import code_digests
from dpaudit._facts import Facts, fingerprint_digest, versions
from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence
from dpaudit.methods.protocol import Method
from dpaudit.neighbors import Neighbors
from dpaudit.trials import Progress, Schedule
from dpaudit.trials.deadline import seconds_of
from dpaudit.trials.executors import EXECUTORS

if TYPE_CHECKING:
    from dpaudit.report import Report

__all__ = ["Audit"]

_DECISIVE = ("dpaudit", "torch", "opacus", "numba")  # another version may change the numbers: another audit


@dataclass(frozen=True)
class Audit:
    """Everything that defines an audit; `run` plays it.

    Args:
        train: ``train(data, seed) -> model`` (or whatever is released), or a Mechanism.
        neighbors: D0, D1 and the canary.
        claim: what is tested; its adjacency must be that of the neighbours.
        attack: an Attack, a function ``(release, neighbors) -> float or mapping``, or None for the battery.
        method: None for betting, which stops as soon as the claim is refuted.
        confidence: of each statement, in (0, 1).
        max_trials: the most trials; declared beforehand for methods of a fixed size.
        seed: fixes coins and seeds of all trials.
        executor: a process-based `concurrent.futures.Executor`, such as Dask's ``client.get_executor()``; its processes
            may be on other machines. "ray": the Ray cluster that is joined, in RAY_ADDRESS or on this machine
            (`dpaudit.trials.RayExecutor` for GPUs and addresses). None: local processes.
        workers: how many local processes; None for one a core, 0 for this process. With an `executor`: how many of
            its processes to keep busy; None for all.
        ledger: a folder, resumable; None keeps the trials in memory.
        trial_timeout: seconds after which a trial is killed and retried once.
        time_limit: seconds, or "10m", "2h": no trial is started that would likely end later (`trials.Deadline`); those
            under way are waited for, what there is is judged, and a later run of the same audit goes on from there.
        count_failures: accept a training function that raises in D1 only (its failures are then the leak).
        threat_model: what the adversary sees, in words, for the report.
        preflight: watch a few steps before the first trial, where there are steps to watch (Opacus, the ensemble):
            beside a refutation the report then names the likely cause. No evidence, and it changes no number.
    """

    train: Any
    neighbors: Neighbors
    _: KW_ONLY
    claim: Claim
    attack: Any = None
    method: Method | None = None
    confidence: float = 0.95
    max_trials: int = 1000
    seed: int = 0
    executor: Executor | str | None = None
    workers: int | None = None
    ledger: str | PathLike[str] | None = None
    trial_timeout: float | None = None
    time_limit: float | str | None = None
    count_failures: bool = False
    threat_model: str = defaults.THREAT_MODEL
    preflight: bool = True

    def __post_init__(self) -> None:
        require_confidence(self.confidence)
        if isinstance(self.max_trials, bool) or not isinstance(self.max_trials, int) or self.max_trials < 1:
            raise UsageError(
                "max_trials", allowed="a whole number of at least 1", got=self.max_trials, remedy="--trials 1000"
            )
        if not isinstance(self.claim, Claim):
            raise UsageError("claim", allowed="a dpa.Claim", got=type(self.claim).__name__)
        if not isinstance(self.neighbors, Neighbors):
            raise UsageError(
                "neighbors",
                allowed="dpa.Neighbors, such as canaries.blank(data, label=9)",
                got=type(self.neighbors).__name__,
            )
        if self.claim.adjacency is not self.neighbors.adjacency:
            raise UsageError(
                "claim and neighbours have different adjacencies",
                allowed=f"both {self.claim.adjacency}, or both {self.neighbors.adjacency}",
                got=f"claim {self.claim.adjacency}, neighbours {self.neighbors.adjacency}",
                remedy="state adjacency= on the claim or on the canary; nothing is converted silently",
            )
        Schedule(self.seed)
        seconds_of(self.time_limit)
        if isinstance(self.executor, str) and self.executor not in EXECUTORS:
            raise UsageError("executor", allowed=f"{', '.join(EXECUTORS)}, or an Executor", got=self.executor)

    def fingerprint(self, code: str = "") -> dict[str, str]:
        """Everything that decides the numbers; `code` is the digest of the spec's source."""
        mechanism = defaults.as_mechanism(self.train, self.neighbors)
        method = defaults.as_method(self.method)
        made = {
            **{f"version of {k}": v for k, v in versions(mechanism.engine).items() if k in _DECISIVE},
            "claim": json.dumps(self.claim.to_dict(), sort_keys=True),
            "neighbours": self.neighbors.digest,
            "mechanism": repr(mechanism),
            "engine": mechanism.engine,
            "attack": repr(defaults.as_attack(self.attack)),
            "method": json.dumps(method.to_dict(), sort_keys=True),
            "confidence": repr(self.confidence),
            "seed": str(self.seed),
            "count failures": str(self.count_failures),
            "code": code,
        }
        return made if method.anytime else {**made, "declared trials": str(self.max_trials)}

    def facts(self, fingerprint: dict[str, str], *, reproduce: str) -> Facts:
        """What the ledger keeps of this audit."""
        return Facts(
            claim=self.group_claim().to_dict(),
            method=defaults.as_method(self.method).to_dict(),
            confidence=self.confidence,
            seed=self.seed,
            max_trials=self.max_trials,
            copies=self.neighbors.canaries,
            canary=self.neighbors.describe(),
            engine=fingerprint["engine"],
            threat_model=self.threat_model,
            versions=versions(fingerprint["engine"]),
            reproduce=reproduce or f"this call again, seed={self.seed}",
            fingerprint=fingerprint_digest(fingerprint),
            evidence={
                "spec": fingerprint["code"] or None,
                "code": self.code(),
                "data": self.neighbors.digest,
                "experiment": fingerprint,
            },
        )

    def code(self) -> dict[str, str]:
        """The user's own modules that take part, with digests of their files."""
        mechanism = defaults.as_mechanism(self.train, self.neighbors)
        return code_digests(mechanism, defaults.as_attack(self.attack), self.neighbors)

    def group_claim(self) -> Claim:
        """What the claim says about neighbours that differ in all copies of the canary."""
        return self.claim.for_group(self.neighbors.canaries)

    def run(
        self,
        *,
        resume: bool = True,
        fresh: bool = False,
        progress: Progress | None = None,
        reproduce: str = "",
        code: str = "",
    ) -> "Report":
        """Play the trials and judge them.

        Args:
            resume: go on with an unfinished ledger of this very audit.
            fresh: delete the ledger's trials and begin again.
            progress: where to show how it goes; None shows nothing.
            reproduce: the command that repeats this audit, for the report.
            code: digest of the spec's source, for the fingerprint.

        Raises:
            UsageError: anything the caller can mend; AuditError: anything else that kept the audit from its end.
        """
        from dpaudit._audit import run

        return run(self, resume=resume, fresh=fresh, progress=progress, reproduce=reproduce, code=code)
