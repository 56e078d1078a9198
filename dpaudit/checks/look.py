"""All checks on one mechanism, in the order in which their faults are named."""

import time
from collections.abc import Callable, Iterable

from dpaudit.checks.accounting import accounting
from dpaudit.checks.apart import apart
from dpaudit.checks.clipping import clipping
from dpaudit.checks.empty import empty_batches
from dpaudit.checks.findings import Finding, Findings
from dpaudit.checks.noise import noise_in_both_worlds, noise_scale, reused_noise
from dpaudit.checks.observe import CannotSee, View
from dpaudit.checks.past_noise import past_noise
from dpaudit.checks.sampler import sampler
from dpaudit.checks.training_data import training_data
from dpaudit.checks.worlds import adjacency, data_set_size, differing_records, non_finite, seeds
from dpaudit.claim import Claim
from dpaudit.neighbors import Neighbors

__all__ = ["look"]

Check = Callable[[], Iterable[Finding]]


def look(view: View, claim: Claim, neighbors: Neighbors, *, seconds: float = 25.0) -> Findings:
    """Every check once. An error inside one is a finding that says what was not looked at, never a pass.

    Args:
        view: the means to see.
        claim: what is claimed.
        neighbors: D0 and D1.
        seconds: no check begins after so long.
    """
    checks: dict[str, Check] = {  # the first fault is the most likely cause
        "training data": lambda: training_data(view),
        "records": lambda: differing_records(view, neighbors),
        "records apart": lambda: apart(view),
        "clipping": lambda: clipping(view),
        "noise scale": lambda: noise_scale(view),
        "empty batches": lambda: empty_batches(view, neighbors),
        "noise in both worlds": lambda: noise_in_both_worlds(view),
        "non-finite records": lambda: non_finite(view, neighbors),
        "noise reuse": lambda: reused_noise(view),
        "data-set size": lambda: data_set_size(view, neighbors),
        "after the noise": lambda: past_noise(view),
        "sampler": lambda: sampler(view, claim),
        "accounting": lambda: accounting(view, claim),
        "adjacency": lambda: adjacency(claim, neighbors),
        "seed": lambda: seeds(view),
    }
    start, found = time.monotonic(), []
    for name, check in checks.items():
        if time.monotonic() - start > seconds:
            found.append(Finding(name, "skipped", f"out of time after {seconds:g} s"))
            continue
        found += _guarded(name, check)
    return Findings.of(found)


def _guarded(name: str, check: Check) -> list[Finding]:
    try:
        return list(check())
    except CannotSee as error:
        return [Finding(name, "skipped", str(error))]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and MemoryError of the user's function too: no check stops an audit
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return [Finding(name, "skipped", f"the check raised {told[:300]}")]
