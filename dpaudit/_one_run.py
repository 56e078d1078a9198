"""One-run audits: m canaries, each in or out by its own coin, in one training (or in a few, combined)."""

import json
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit._facts import fingerprint_digest, versions
from dpaudit._one_run_conclude import Ground, conclude
from dpaudit._one_run_game import CanaryMechanism, Draws, OneRunGame, Played, as_canary_mechanism
from dpaudit._one_run_ledger import KeptRuns
from dpaudit.adjacency import Adjacency
from dpaudit.attacks.canary_records import CanaryAttack, as_canary_attack
from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence
from dpaudit.methods import OneRunFDP
from dpaudit.methods.one_run_combined import perfect_runs
from dpaudit.methods.one_run_method import OneRunMethod
from dpaudit.methods.one_run_planned import planned_k
from dpaudit.neighbors import CanarySet
from dpaudit.report.one_run import OneRunReport

__all__ = ["OneRunAudit", "audit_one_run"]

_DECISIVE = ("dpaudit", "torch", "opacus", "numba")
_MOST_RUNS = 10_000


def audit_one_run(train: Any, canary_set: CanarySet, claim: Claim, **settings: Any) -> OneRunReport:
    """Audit `claim` of `train` by ONE training with m canaries in it, each in or out by its own fair coin.

    The arguments are those of `OneRunAudit`; this is ``OneRunAudit(...).run()``. With a ``ledger=``, ``fresh=True``
    deletes the runs it holds.

        report = dpa.audit_one_run(train, dpa.CanarySet((x, y), records=(more_x, more_y)), claim, seed=7)

    Raises:
        UsageError: anything the caller can mend; AuditError: anything else that kept the audit from its end.
    """
    fresh = bool(settings.pop("fresh", False))
    return OneRunAudit(train, canary_set, claim, **settings).run(fresh=fresh)


@dataclass(frozen=True)
class OneRunAudit:
    """Everything that defines a one-run audit.

    Args:
        train: ``train(data, seed)``, which gets ``canary_set.included(mask)``, for canaries that are records; for
            gradients ``mechanisms.OpacusTranscript(train, canary_set.gradients, ...)``, ``mechanisms.DPSGD``, or
            whatever has ``run_canaries(canary_set, mask, seed) -> Release`` and an ``engine``.
        canary_set: the m canaries, at least 2.
        claim: what is tested, add-or-remove-one.
        attack: None (records: the scaled logit, or minus the squared error; gradients: the optimal score of the
            transcript); any attack of `dpaudit.membership`, such as ``Lira()``, fitted on `shadows` models; one of
            `dpaudit.attacks.canary_records`, such as `Calibrated`; or a function ``attack(release, canary_set) -> (m,)
            scores or {name: (m,)}``, higher = more likely included, NaN = cannot say. It never sees the coins. Several
            columns are paid for.
        method: a `OneRunMethod`; None: f-DP with the k of `methods.one_run_planned.planned_k`, fixed by claim and m.
        confidence: of each statement, in (0, 1).
        seed: fixes coins and seeds.
        runs: trainings, each with fresh coins and seeds, combined by Fisher's method; fixed beforehand.
        ledger: a folder that keeps finished runs (one .npz each), so that a killed audit goes on; None keeps none.
        shadows: models that a membership attack is fitted on, an even number; each has half of the canaries.
        pilot: three trainings before the first run, without and with all of the canaries and with another seed, to see
            that canaries and seed are heeded. False where one training is all there is; the report then says so.
        threat_model: what the adversary sees, in words; None for the default of the kind of canaries.
        reproduce: the command that repeats this audit, for the report.

    Raises:
        UsageError: a value out of its range, a claim of another adjacency, canaries that `train` cannot take.
    """

    train: Any
    canary_set: CanarySet
    claim: Claim
    _: KW_ONLY
    attack: Any = None
    method: OneRunMethod | None = None
    confidence: float = 0.95
    seed: int = 0
    runs: int = 1
    ledger: str | PathLike[str] | None = None
    shadows: int = 16
    pilot: bool = True
    threat_model: str | None = None
    reproduce: str = ""
    _mechanism: CanaryMechanism = field(init=False, repr=False)
    _attack: CanaryAttack = field(init=False, repr=False)
    _method: OneRunMethod = field(init=False, repr=False)
    _draws: Draws = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require_confidence(self.confidence)
        _require(isinstance(self.claim, Claim), "claim", "a dpa.Claim", self.claim)
        _require(isinstance(self.canary_set, CanarySet), "canary_set", "a dpa.CanarySet", self.canary_set)
        m = len(self.canary_set)
        if m < 2:
            raise UsageError(
                "too few canaries for one run",
                allowed="at least 2, each with a coin of its own; a hundred or more to learn something",
                got=m,
                remedy="canaries.dirac_set(data, model, m=1000), or CanarySet(base, records=(x, y))",
            )
        if self.claim.adjacency is not Adjacency.ADD_OR_REMOVE_ONE:
            raise UsageError(
                "canaries of one run are in or out: a claim of another adjacency says nothing of them directly",
                allowed=f"{Adjacency.ADD_OR_REMOVE_ONE}",
                got=f"{self.claim.adjacency}",
                remedy="the claim for adding or removing one record; nothing is converted silently",
            )
        whole = isinstance(self.runs, int) and not isinstance(self.runs, bool)
        _require(whole and 1 <= self.runs <= _MOST_RUNS, "runs", f"a whole number, 1 to {_MOST_RUNS}", self.runs)
        if self.method is not None and not isinstance(self.method, OneRunMethod):
            raise UsageError(
                "method of a one-run audit",
                allowed="dpa.methods.OneRunFDP(k=...), dpa.methods.OneRun(k=...), or None",
                got=getattr(self.method, "name", type(self.method).__name__),
                remedy="dpa.audit for methods of many runs",
            )
        own = object.__setattr__
        own(self, "_draws", Draws(self.seed))
        own(self, "_mechanism", as_canary_mechanism(self.train, self.canary_set))
        own(self, "_attack", self._as_attack())
        method = self.method or OneRunFDP(k=planned_k(self.claim, m, confidence=self.confidence))
        method.k.sizes(m)  # says now if there are more guesses than canaries
        own(self, "_method", method)

    def _as_attack(self) -> CanaryAttack:
        if hasattr(self.attack, "fit") and not isinstance(self.attack, type):
            from dpaudit._one_run_membership import MembershipScores

            return MembershipScores(self.attack, self.shadows)
        return as_canary_attack(self.attack, self.canary_set)

    def fingerprint(self) -> dict[str, str]:
        """Everything that decides the numbers."""
        return {
            **{f"version of {k}": v for k, v in versions(self._mechanism.engine).items() if k in _DECISIVE},
            "claim": json.dumps(self.claim.to_dict(), sort_keys=True),
            "canaries": self.canary_set.digest,
            "mechanism": repr(self._mechanism),
            "attack": repr(self._attack),
            "method": json.dumps(self._method.to_dict(), sort_keys=True),
            "confidence": repr(self.confidence),
            "seed": str(self.seed),
            "runs": str(self.runs),
        }

    def run(self, *, fresh: bool = False) -> OneRunReport:
        """Train, and judge.

        Args:
            fresh: delete the runs that the ledger holds.

        Raises:
            UsageError: anything the caller can mend; AuditError: anything else that kept the audit from its end.
        """
        start, ground = time.monotonic(), self._ground()
        if perfect_runs(self._method, self.claim, self.confidence, ground.masks) is None:
            return conclude(ground, (), start)
        game = OneRunGame(self._mechanism, self.canary_set, self._attack, self._draws)
        played: list[Played] = []
        folder = None if self.ledger is None else Path(self.ledger)
        with KeptRuns(folder, self.fingerprint(), fresh=fresh) as kept:
            if self.pilot and not kept.checked:
                game.check()
            for run in range(self.runs):
                done = kept.read(run, self._draws, len(self.canary_set))
                if done is None:
                    done = game.play(run)
                    _require_same(played, done)
                    kept.write(run, done, self._draws, len(self.canary_set))
                played.append(done)
        return conclude(ground, played, start)

    def _ground(self) -> Ground:
        m, gradients = len(self.canary_set), self.canary_set.gradients is not None
        return Ground(
            claim=self.claim,
            method=self._method,
            confidence=self.confidence,
            seed=self.seed,
            masks=tuple(self._draws.coins(run, m) for run in range(self.runs)),
            engine=self._mechanism.engine,
            threat_model=self.threat_model or (_WHITE_BOX if gradients else _BLACK_BOX),
            canary=_described(self.canary_set),
            reproduce=self.reproduce or f"this call again, seed={self.seed}",
            fingerprint=fingerprint_digest(self.fingerprint()),
            versions=versions(self._mechanism.engine),
            pilot=self.pilot,
        )


_BLACK_BOX = "sees the release (of a model: its outputs), knows the data set and all canaries, not which are in"
_WHITE_BOX = "sees the noised gradient of every step, inserts gradients, knows all canaries, not which are in"


def _described(canaries: CanarySet) -> str:
    listed = ", ".join(f"{k}={v}" for k, v in canaries.params.items())
    return f"{canaries.name}({listed})" if listed else f"{canaries.name}, {len(canaries)}"


def _require(right: bool, what: str, allowed: str, got: Any) -> None:
    if not right:
        raise UsageError(what, allowed=allowed, got=got if isinstance(got, int | float) else type(got).__name__)


def _require_same(before: Sequence[Played], new: Played) -> None:
    """The first run's scores must say something; later runs must have the same statistics.

    Raises:
        UsageError: nothing but equal or NaN scores, no statistics, or other ones than before.
    """
    if before and new.scores and list(new.scores) != list(before[0].scores):
        allowed, got = ", ".join(before[0].scores), ", ".join(new.scores)
        raise UsageError("the attack names other statistics in another run", allowed=allowed, got=got)
    if before:
        return
    if not new.scores:
        raise UsageError("the attack reports no scores", allowed="(m,) floats, or {name: (m,) floats}", got="none")
    if all(_constant(column) for column in new.scores.values()):
        raise UsageError(
            "all canaries have the same score, or NaN: the attack cannot tell them apart",
            allowed="(m,) scores, NaN only where it cannot say",
            got=", ".join(f"{name}: {np.unique(column)[0]:.4g}" for name, column in new.scores.items()),
            remedy="another attack=; or look whether the training diverged",
        )


def _constant(column: "np.ndarray[Any, np.dtype[np.float64]]") -> bool:
    return len(np.unique(column[~np.isnan(column)])) < 2
