"""What must not depend on the data, and what one bad record can do."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np

from dpaudit.adjacency import Adjacency
from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, Declared, View
from dpaudit.checks.observe.seen import OWN
from dpaudit.claim import Claim
from dpaudit.neighbors import Neighbors

__all__ = ["adjacency", "data_set_size", "differing_records", "non_finite", "seeds"]


def adjacency(claim: Claim, neighbors: Neighbors) -> Iterator[Finding]:
    """The claim's and the neighbours'."""
    same = claim.adjacency is neighbors.adjacency
    yield Finding(
        "adjacency",
        "ok" if same else "fault",
        f"the neighbours differ by {neighbors.adjacency}",
        str(claim.adjacency),
        cause="" if same else "a claim about other neighbours",
        remedy="" if same else "state adjacency= on the claim or on the canary",
    )


def differing_records(view: View, neighbors: Neighbors) -> Iterator[Finding]:
    """D1 as it is trained on may hold as many records that D0 lacks as there are canaries."""
    more, prepared = view.differing()
    if more <= neighbors.canaries:
        yield Finding("records", "ok", f"the worlds differ in {more} records", f"{neighbors.canaries}")
        return
    yield Finding(
        "records",
        "fault" if prepared else "warning",
        f"the worlds{' as they are trained on' * prepared} differ in {more} records",
        f"{neighbors.canaries}",
        cause="records are repeated, or changed by statistics of the data set at hand (standardisation)"
        if prepared
        else "neighbours that differ in more than the canary, or a data set that reads differently each time",
        remedy="public constants in preprocessing; claim group privacy for repeated records"
        if prepared
        else "build D1 from D0 with a canary recipe",
    )


def _changes(seen: Sequence[tuple[int, Declared]]) -> Finding | None:
    """Other neighbours than those of the audit, at which the settings would differ."""
    for (n, one), (m, other) in pairwise(seen):
        if None not in (one.divisor, other.divisor) and one.divisor != other.divisor:
            return Finding(
                "data-set size",
                "warning",
                f"with {n} and {m} records the divisor would be {one.divisor:g} and {other.divisor:g}",
                "a public constant",
                cause="the divisor comes from the size of the data set at hand; these neighbours do not show it",
                remedy="fix sample rate, steps and divisor from a public size",
            )
    return None


def data_set_size(view: View, neighbors: Neighbors) -> Iterator[Finding]:
    """Divisor, sample rate and steps that the mechanism derives in the two worlds."""
    zero, one = view.declared(False), view.declared(True)
    differ = [
        f"{name.replace('_', ' ')} {a:.5g} in D0 and {b:.5g} in D1"
        for name in ("divisor", "sample_rate", "steps", "noise_multiplier", "bound")
        if (a := getattr(zero, name)) is not None and (b := getattr(one, name)) is not None and a != b
    ]
    if not differ and neighbors.adjacency is Adjacency.ADD_OR_REMOVE_ONE:
        with suppress(CannotSee):
            nearby = _changes(view.nearby())
            if nearby:
                yield nearby
                return
    if differ:
        yield Finding(
            "data-set size",
            "fault",
            "; ".join(differ),
            "public constants",
            cause="settings are derived from the size of the data set at hand",
            remedy="fix sample rate, steps and divisor from a public size",
        )
    else:
        yield Finding("data-set size", "ok", "the settings are the same in both worlds", "public constants")


def non_finite(view: View, neighbors: Neighbors) -> Iterator[Finding]:
    """The sum of a batch with a record of NaN: clipping cannot mend NaN, and it tells on the record."""
    own = [pair.included for pair in view.pairs() if pair.what in OWN] + list(view.forced()[1].steps)
    if any(not np.isfinite(step.clipped).all() for step in own):
        yield Finding(
            "non-finite records",
            "fault",
            "the summed gradient is not finite once the canary is in the batch",
            "finite",
            cause="a record whose gradient is infinite or NaN passes clipping (inf x 0)",
            remedy="replace non-finite gradients by 0 before they are summed",
        )
        return
    run, what = view.non_finite()
    broken = any(not np.isfinite(step.clipped).all() for step in run.steps)
    yield Finding(
        "non-finite records",
        "warning" if broken else "ok",
        f"{what} makes the sum of its batch non-finite" if broken else f"{what} leaves the sum finite",
        "finite",
        cause="clipping multiplies NaN and inf with a factor" if broken else "",
        remedy="refuse such records, or replace non-finite gradients by 0 before they are summed" if broken else "",
    )


def seeds(view: View) -> Iterator[Finding]:
    """The same seed must repeat a release, another seed must not."""
    made = view.releases()
    if made.first == made.other:
        if _nothing_yet(view):
            raise CannotSee("the first steps release nothing")
        yield Finding(
            "seed",
            "fault" if made.continuous else "warning",
            "two trial seeds give the same release",
            "independent trials",
            cause="the seed is ignored: all randomness, noise included, is known beforehand"
            + ("" if made.continuous else "; or the release is discrete"),
            remedy="seed everything from `seed`, and nothing with a constant"
            + ("" if made.continuous else "; else return dpa.Release(value, discrete=True)"),
        )
    elif made.first != made.again:
        yield Finding(
            "seed",
            "warning",
            "the same seed gives different releases",
            "reproducible",
            cause="randomness that does not come from the seed",
            remedy="seed every generator from `seed`; verdicts stand, reproduction does not",
        )
    else:
        yield Finding("seed", "ok", "the same seed repeats the release, another does not", "reproducible")


def _nothing_yet(view: View) -> bool:
    """Steps were seen, and none of them released anything."""
    with suppress(CannotSee):
        steps = [step for run in view.runs() for step in run.steps]
        return bool(steps) and not any(step.released for step in steps)
    return False
