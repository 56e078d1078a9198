"""What an audit will cost, measured before its first trial, and what would cost less."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dpaudit.claim import Claim
from dpaudit.methods.suspects import noise_factor
from dpaudit.profiles import DPSGD, Gaussian
from dpaudit.trials import Pilot
from dpaudit.trials.progress import duration

__all__ = ["Cost", "measured"]

_LONG = 3600.0  # seconds; from there on, cheaper games are named
_WORTH = 60.0  # seconds; below, half a second for what a fault would need is not spent
_ENSEMBLE = 5.0  # the least that training many at once saved (PERFORMANCE.md, W4); up to hundreds for small models
_ONE_RUN = 4  # trainings: two pilots, one with another seed, and the run


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What is known about the time of an audit before its first trial; nothing of it decides anything.

    Attributes:
        seconds: of one trial on one worker, from the pilot.
        trials: still to be played at most.
        workers: trials at a time.
        perfect: the trial at which perfect scores refute; None: not in these.
        halved: about how many trials refute if the noise is half of what is claimed; None: not known, or not asked.
        limit: seconds the audit may take; None: no limit.
        steps: of the claimed DP-SGD; None: another claim.
        together: whether trials are trained together already.
    """

    seconds: float
    trials: int
    workers: int
    perfect: int | None
    halved: int | None = None
    limit: float | None = None
    steps: int | None = None
    together: bool = False

    def of(self, trials: float) -> float:
        """Seconds of wall clock for so many trials."""
        return self.seconds * trials / max(1, min(self.workers, trials))

    @property
    def at_most(self) -> float:
        """Seconds of wall clock if nothing stops it earlier."""
        return self.of(self.trials)

    @property
    def too_long(self) -> bool:
        """Whether it would not end within its limit, or within an hour where it has none."""
        return self.at_most > (_LONG if self.limit is None else self.limit)

    def to_dict(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return asdict(self)

    def __str__(self) -> str:
        return "cost: " + "\n      ".join(self._lines())

    def _lines(self) -> Iterator[str]:
        with_workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        yield (
            f"{self.seconds:.2g} s a trial, {with_workers}; {self.trials} trials take at most {duration(self.at_most)}"
        )
        known = []
        if self.perfect is not None:
            known.append(f"perfect scores would refute at trial {self.perfect} ({duration(self.of(self.perfect))})")
        if self.halved is not None:
            known.append(f"half the noise needs about {self.halved} trials ({duration(self.of(self.halved))})")
        if known:
            yield "; ".join(known)
        if self.too_long:
            limit = "an hour" if self.limit is None else f"the limit of {duration(self.limit)}"
            yield f"more than {limit}, unless a refutation comes first; cheaper games:"
            yield from (f"  {line}" for line in self._cheaper())

    def _cheaper(self) -> Iterator[str]:
        if self.steps is not None:
            yield (
                "one step (dpa.mechanisms.OpacusStep): thousands of trials a minute once a training has begun; tests "
                "clipping and noise, not sampling and accounting"
            )
            if self.steps > 1:
                each = self.of(-(-self.trials // self.steps))
                yield (
                    f"step by step (dpa.mechanisms.OpacusTranscript): {self.steps} observations a training instead of "
                    f"one, so that few trainings say much; {self.trials} observations in about {duration(each)}"
                )
        yield (
            f"one run (dpa.audit_one_run): many canaries in one training, {_ONE_RUN} trainings with its pilots, about "
            f"{duration(_ONE_RUN * self.seconds)}; weak for black boxes at small epsilon"
        )
        if not self.together:
            yield (
                f"the ensemble (dpa.mechanisms.DPSGD): the algorithm, not this implementation, small models trained "
                f"together; at most about {duration(self.at_most / _ENSEMBLE)}"
            )


def measured(
    pilot: Pilot,
    claim: Claim,
    *,
    confidence: float,
    trials: int,
    workers: int,
    perfect: int | None,
    limit: float | None,
    together: bool,
) -> Cost:
    """The cost of an audit, from the runs before its first trial.

    Args:
        pilot: those runs; the second fastest tells, because the first in a process also pay for imports.
        claim: what is tested.
        confidence: of the test.
        trials: still to be played at most.
        workers: trials at a time.
        perfect: the trial at which perfect scores refute.
        limit: seconds the audit may take.
        together: whether trials are trained together.
    """
    took = sorted(run.seconds for run in (pilot.excluded, pilot.included, pilot.first, pilot.again))
    steps = claim.profile.steps if isinstance(claim.profile, DPSGD) else None
    cost = Cost(
        seconds=took[1],
        trials=trials,
        workers=workers,
        perfect=perfect,
        limit=limit,
        steps=steps,
        together=together,
    )
    halved = _halved(claim, confidence) if cost.at_most > _WORTH else None
    return Cost(**cost.to_dict() | {"halved": halved})


def _halved(claim: Claim, confidence: float) -> int | None:
    """About how many trials refute the claim if the noise is half of what is claimed; None for other claims.

    ln(1/alpha) over the growth of the best single bet (one threshold for each direction, one epsilon, one stake) by
    somebody who knows the truth. Betting, which learns it, took .7 to 1.9 times as many in simulated audits.
    """
    profile = claim.profile
    if not (isinstance(profile, Gaussian) or (isinstance(profile, DPSGD) and profile.copies == 1)):
        return None
    wrong = np.geomspace(1e-4, 0.5, 24)
    right = 1 - noise_factor(claim, 0.5).claim.tradeoff(wrong)
    disjoint = right + wrong <= 1  # a guess is "in" or "out", not both
    right, wrong = right[disjoint, None, None], wrong[disjoint, None, None]
    epsilon = np.linspace(0.0, 6.0, 25)
    odds, delta = np.exp(epsilon)[:, None], claim.delta(epsilon)[:, None]
    stake = np.linspace(0.02, 0.999, 40) / (odds + delta)
    growth = (
        right * np.log1p(stake * (1 - delta))
        + wrong * np.log1p(-stake * (odds + delta))
        + (1 - right - wrong) * np.log1p(-stake * delta)
    )
    most = float(growth.max(initial=0.0))
    return None if most <= 0 else math.ceil(-math.log1p(-confidence) / most)
