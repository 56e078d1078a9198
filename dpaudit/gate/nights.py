"""Evidence of many nights as one process, and when it is an alarm."""

import math
from collections.abc import Sequence

__all__ = ["all_or_nothing", "log_wealth_of_nights"]


def log_wealth_of_nights(log_e: Sequence[float], audits: int) -> float:
    """The logarithm of S after all audits of one experiment, in the order they ended; an alarm at ``S >= 1/alpha``.

    S_0 = 0, S_k = e_k (S_{k-1} + 1/n), with n = `audits`. Written out, S_k is the sum over j <= k of the products
    e_j ... e_k, each at 1/n: somebody begins to bet at night j with a share of 1/n and stakes all he has every night.
    So one night of e = n/alpha is enough, two of sqrt(n/alpha) are, and a fault that begins tonight does not first
    have to win back what a year of honest nights has lost.

    Null hypothesis: the experiment's claim holds, in every audit of it.
    Guarantee: over all the n audits that a policy declares, of however many experiments, and after each of them (or
        in the midst of one), P(S of some experiment ever reaches 1/alpha) <= alpha.
    Assumes: each e-value has mean at most 1 given everything before its audit: seeds differ between the audits of one
        experiment, and no audit in between is left out. Leaving out the oldest is allowed (after a fault was mended,
        say): it drops terms of the sum. Nothing on how experiments depend on one another: they may share seeds.
    Reference: Ville 1939; Vovk & Wang 2021, section 3 (products of sequential e-values); Shin, Ramdas & Rinaldo 2022
        ("E-detectors"), section 2 (a sum over the times of beginning).

    Proof sketch. Fix one experiment; let A_k = k/n be what its first k audits put in. E[S_k | past] <= S_{k-1} + 1/n,
    so S - A is a supermartingale from 0, within an audit as well, where e is a wealth that bets trial by trial. At
    the first time tau that S >= 1/alpha (or the end) E[S_tau] <= E[A_tau] <= E[A_end], hence by Markov's inequality
    P(alarm) <= alpha E[A_end]. The experiments together put in at most n/n = 1; adding up their alarms gives alpha.

    Args:
        log_e: natural logarithms of the e-values, -inf for 0.
        audits: n >= 1, the audits that the policy's alpha is for.
    """
    share, total = -math.log(audits), -math.inf
    for value in log_e:
        low, high = sorted((total, share))
        total = value + high + math.log1p(math.exp(low - high))
    return total


def all_or_nothing(refuted: bool, confidence: float) -> float:
    """Logarithm of the e-value of a test that is read once: 1/alpha if it refuted at `confidence`, else 0.

    Its mean under the claim is P(refuted)/alpha <= 1, for any test valid at that confidence.
    """
    return -math.log1p(-confidence) if refuted else -math.inf
