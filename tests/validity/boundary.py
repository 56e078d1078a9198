"""The judge of the validity tests, on the worlds of `dpaudit.testing`.

Every test here audits a mechanism that keeps its claim exactly, hundreds of times, and counts false refutations. A
test fails iff that count is impossible at the nominal rate: P(Binomial(audits, alpha) >= count) <= 1e-6 (DECISIONS
15). So a valid method fails a test with probability at most 1e-6, the some 150 tests of the suite together with
probability at most 2e-4 over the choice of seeds; the seeds are fixed, and the suite passes always or never.

DPAUDIT_VALIDITY=deep (`make validity`) plays ten times as many audits, and some of 5000 trials.
"""

import os

from dpaudit.testing import DRESSINGS, TOO_MANY, WORLDS, LeakyCoin, Noise, excess_p_value, play

__all__ = [
    "ALPHA",
    "AUDITS",
    "DEEP",
    "DRESSINGS",
    "MECHANISMS",
    "LeakyCoin",
    "Noise",
    "assert_broken",
    "assert_valid",
    "deeper",
    "more",
    "play",
]

ALPHA = 0.05
DEEP = os.environ.get("DPAUDIT_VALIDITY", "") == "deep"
MECHANISMS = WORLDS


def more(audits: int) -> int:
    """Ten times as many in the deep run."""
    return 10 * audits if DEEP else audits


def deeper(audits: dict[int, int]) -> dict[int, int]:
    """Audits per number of trials, more in the deep run, which adds 300 of 5000 trials."""
    return {n: more(a) for n, a in audits.items()} | ({5000: 300} if DEEP else {})


AUDITS = deeper({50: 3000, 200: 1500, 1000: 400})  # trials -> audits


def assert_valid(refuted: int, audits: int) -> None:
    """Not more false refutations than ALPHA can explain."""
    p = float(excess_p_value(refuted, audits, ALPHA))
    assert p > TOO_MANY, f"{refuted} of {audits} true claims refuted at a nominal {ALPHA:.0%} (p = {p:.1e})"


def assert_broken(refuted: int, audits: int) -> None:
    """A rule that is known to be wrong is seen to be wrong: the same judge condemns it."""
    p = float(excess_p_value(refuted, audits, ALPHA))
    assert p < TOO_MANY, (
        f"only {refuted} of {audits} true claims refuted: this test no longer shows why the rule exists"
    )
