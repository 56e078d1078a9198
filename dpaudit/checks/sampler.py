"""Batches: drawn by independent coins at the claimed rate, as amplification by sampling assumes."""

from collections.abc import Iterator

import numpy as np
from scipy.special import betainc, gammaln, logsumexp, xlog1py, xlogy

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import Batches, View
from dpaudit.checks.probabilities import SURE
from dpaudit.claim import Claim
from dpaudit.profiles import DPSGD

__all__ = ["sampler"]

_REMEDY = "Poisson sampling, or a claim without amplification (sample_rate=1, a step for each time a record is used)"


def sampler(view: View, claim: Claim) -> Iterator[Finding]:
    """Shuffled or fixed batches under a claim for Poisson sampling; more records than the rate; the same batch again.

    Of a claim that is stated as (epsilon, delta) the rate is the mechanism's own.
    """
    declared = view.declared(False)
    profile = claim.profile
    claimed = profile.sample_rate if isinstance(profile, DPSGD) else declared.sample_rate
    amplified = claimed is not None and claimed < 1
    reported = claim.source.startswith("reported by ") or isinstance(profile, DPSGD)
    if declared.poisson is False and amplified and reported:
        yield Finding(
            "sampler",
            "fault",
            "batches are shuffled or fixed",
            f"Poisson sampling at rate {claimed:.4g}",
            cause="a claim whose sampler is not the sampler used",
            remedy=_REMEDY,
        )
        return
    seen = view.batches()
    twice = _drawn_twice(seen)
    if twice > 1:
        yield Finding(
            "sampler",
            "fault",
            f"a record is drawn up to {twice} times before one noise",
            "once",
            cause="batches are accumulated, and counted as one",
            remedy="cut one Poisson batch into parts, or account for every batch",
        )
        return
    if claimed is None:
        yield Finding("sampler", "skipped", "the claim does not say at which rate batches are sampled")
        return
    yield _judge(seen, claimed)


def _judge(seen: Batches, rate: float) -> Finding:
    many = seen.sizes.size
    candidates = []
    if rate < 1:
        same = _all_equal(seen, rate)
        candidates.append((same, f"all {many} batches hold {seen.sizes.flat[0]} records", "the sampler is not Poisson"))
        if seen.masks is not None:
            again, text = _repeated(seen, rate)
            candidates.append((again, text, "the sampler's generator is reset: batches do not follow fresh coins"))
    total, trials = int(seen.sizes.sum()), seen.records * many
    above = float(betainc(total, trials - total + 1, rate)) if total else 1.0  # P(Binomial >= total)
    found = total / trials
    candidates.append(
        (above, f"records are sampled at rate {found:.4g}", "the sample rate in use is larger than the claimed one")
    )
    largest, n = int(seen.sizes.max(initial=0)), seen.records
    tail = 0.0 if largest > n else float(betainc(largest, n - largest + 1, rate)) if largest else 1.0
    candidates.append(
        (min(1.0, many * tail), f"a batch holds {largest} of {n} records", "batches are merged before one noise")
    )
    p, measured, cause = min(candidates)
    p = min(1.0, p * len(candidates))
    if p < SURE:
        return Finding("sampler", "fault", measured, f"Poisson sampling at rate {rate:.4g}", p, cause, _REMEDY)
    text = f"{many} batches, {found:.4g} of the records in each on average"
    return Finding("sampler", "ok", text, f"Poisson sampling at rate {rate:.4g}", p)


def _drawn_twice(seen: Batches) -> int:
    """The most batches that one record joins from one release to the next."""
    if seen.masks is None or seen.released is None or seen.released.all():
        return 1
    most = 1
    for masks, released in zip(seen.masks, seen.released, strict=True):
        for part in np.split(masks, np.flatnonzero(released) + 1):
            most = max(most, int(part.sum(0).max(initial=0)))
    return most


def _all_equal(seen: Batches, rate: float) -> float:
    """Probability that independent binomial sizes are all equal; 1 where they are not."""
    sizes, n = seen.sizes.ravel(), seen.records
    if len(sizes) < 2 or (sizes != sizes[0]).any():
        return 1.0
    k = np.arange(n + 1)
    log_pmf = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, rate) + xlog1py(n - k, -rate)
    return float(np.exp(logsumexp(len(sizes) * log_pmf)))


def _repeated(seen: Batches, rate: float) -> tuple[float, str]:
    """Probability that a batch meets its like as often as here, by the union bound over pairs, and which ones."""
    masks = seen.masks
    if masks is None:
        return 1.0, ""
    runs, steps, n = masks.shape
    log_once = n * np.log(rate**2 + (1 - rate) ** 2)
    within = sum(int((masks[:, a] == masks[:, b]).all(-1).sum()) for a in range(steps) for b in range(a))
    across = sum(int((masks[a] == masks[b]).all(-1).sum()) for a in range(runs) for b in range(a))
    pairs = runs * steps * (steps - 1) // 2 + steps * runs * (runs - 1) // 2
    if within + across == 0:
        return 1.0, ""
    where = "steps of one training" if within else "trainings with different seeds"
    return float(min(1.0, pairs * np.exp(log_once))), f"the same batch is drawn in different {where}"
