"""The claim against the parameters in use: recomputed by privacy loss distributions, whatever accountant made it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dpaudit.adjacency import Adjacency
from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, Declared, View
from dpaudit.claim import Claim
from dpaudit.profiles import DPSGD

__all__ = ["accounting"]

_SLACK = 0.02  # relative and absolute: accountants of the same parameters differ by less (Opacus's PRV: 0.01)


@dataclass(frozen=True)
class _Used:
    noise_multiplier: float
    sample_rate: float
    steps: int

    def epsilon(self, claim: Claim, adjacency: Adjacency) -> float:
        if self.noise_multiplier == 0:
            return float("inf")
        made = Claim.dp_sgd(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            steps=self.steps,
            delta=claim.quoted_delta,
            adjacency=adjacency,
        )
        return made.epsilon()

    def central_limit(self, claim: Claim) -> float:
        """What the "gdp" accountant reports: mu = q sqrt(T (e^(1/sigma^2) - 1)) (Bu, Dong, Long, Su 2020)."""
        with np.errstate(over="ignore", divide="ignore"):
            growth = float(np.expm1(np.float64(self.noise_multiplier) ** -2.0))
        mu = self.sample_rate * float(np.sqrt(self.steps * growth))
        return Claim.gaussian(mu=mu, delta=claim.quoted_delta).epsilon() if 0 < mu < 100 else float("inf")

    def __str__(self) -> str:
        return f"noise multiplier {self.noise_multiplier:.4g}, sample rate {self.sample_rate:.4g}, {self.steps} steps"


def accounting(view: View, claim: Claim) -> Iterator[Finding]:
    """Epsilon at the claim's delta of the noise multiplier, sample rate and steps in use, against the claimed one."""
    used = _used(view)
    if claim.quoted_delta <= 0:
        raise CannotSee("a claim at delta 0 cannot be compared with Gaussian noise")
    claimed = claim.epsilon()
    actual = used.epsilon(claim, claim.adjacency)
    measured = f"{used} make epsilon {actual:.4g} at delta {claim.quoted_delta:.3g}"
    declared = f"epsilon {claimed:.4g}"
    if actual <= claimed * (1 + _SLACK) + _SLACK:
        yield Finding("accounting", "ok", measured, declared)
        return
    cause, remedy = _cause(used, claim, view.declared(False))
    yield Finding("accounting", "fault", measured, declared, cause=cause, remedy=remedy)


def _used(view: View) -> _Used:
    """As set, and where a whole training was seen its number of steps."""
    declared = view.declared(False)
    seen = [run.taken for run in view.runs() if run.taken is not None]
    steps = max(seen) if seen else declared.steps
    noise, rate = declared.noise_multiplier, declared.sample_rate
    if declared.poisson is False:
        raise CannotSee("no amplification is known for batches that are not sampled by coins")
    if noise is None or rate is None or steps is None:
        raise CannotSee("noise multiplier, sample rate and number of steps in use are not all known")
    return _Used(noise, rate, steps)


def _cause(used: _Used, claim: Claim, declared: Declared) -> tuple[str, str]:
    """What differs from the claim's own parameters, or whose arithmetic it is."""
    profile = claim.profile
    if isinstance(profile, DPSGD):
        worse = [
            (used.noise_multiplier < profile.noise_multiplier * 0.999, "less noise is configured than is claimed"),
            (used.steps > profile.steps, "more steps are taken than are accounted"),
            (used.sample_rate > profile.sample_rate * 1.001, "the sample rate is larger than the claimed one"),
        ]
        said = "; ".join(text for wrong, text in worse if wrong)
        if said:
            return said, "claim the parameters that are used"
    if claim.adjacency is Adjacency.REPLACE_ONE and np.isfinite(claim.epsilon()):
        adding = used.epsilon(claim, Adjacency.ADD_OR_REMOVE_ONE)
        if adding <= claim.epsilon() * (1 + _SLACK) + _SLACK:
            return (
                "the claim holds for adding or removing a record, and is made for replacing one",
                "twice the noise, or claim add-or-remove-one",
            )
    accountant = claim.source if claim.source.startswith("reported by ") else declared.accountant
    if "gdp" in accountant or abs(used.central_limit(claim) - claim.epsilon()) < 0.05 * claim.epsilon():
        return "the gdp accountant reports a central-limit approximation, no bound", 'accountant="prv" or "rdp"'
    return (
        f"the claim is smaller than its parameters allow{f' (accountant: {accountant})' if accountant else ''}: "
        "an approximation, steps that were not counted, or another setting",
        "recompute the claim: dpa.Claim.dp_sgd(...).epsilon()",
    )
