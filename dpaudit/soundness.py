"""Whether a user's own profile can be one at all."""

import numpy as np

from dpaudit.errors import UsageError
from dpaudit.profiles import Profile

__all__ = ["require_profile"]

_POINTS = np.concatenate([np.linspace(0, 5, 101), np.linspace(5.25, 40, 140)])
_TOLERANCE = 1e-9


def require_profile(profile: Profile) -> Profile:
    """`profile`, if both directions look like hockey-stick divergences at 241 epsilons from 0 to 40.

    Any pair of worlds has delta(eps) = sup_S P(S) - e^eps Q(S): in [0, 1], not increasing in eps and convex in e^eps,
    as a supremum of lines. A curve that is not claims more than any mechanism can keep, and would be refuted unjustly.

    Raises:
        UsageError: which direction fails, how, and where.
    """
    for name, curve in (("in_over_out", profile.in_over_out), ("out_over_in", profile.out_over_in)):
        delta = np.asarray(curve(_POINTS), dtype=np.float64)
        if delta.shape != _POINTS.shape:
            raise UsageError(f"{name} of the profile has the wrong shape", allowed="that of epsilon", got=delta.shape)
        slope = np.diff(delta) / np.diff(np.exp(_POINTS))
        _refuse(name, ~((delta >= 0) & (delta <= 1)), "has values that are no probabilities", "delta in [0, 1]")
        _refuse(name, np.diff(delta) > _TOLERANCE, "increases", "a curve that does not increase in epsilon")
        bend = np.diff(slope) * np.diff(np.exp(_POINTS))[:-1]  # in units of delta
        _refuse(name, bend < -_TOLERANCE, "is not convex in e^epsilon", "a supremum of lines P(S) - e^epsilon Q(S)")
    return profile


def _refuse(name: str, wrong: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", what: str, allowed: str) -> None:
    if wrong.any():
        at = _POINTS[int(np.argmax(wrong))]
        raise UsageError(
            f"{name} of the profile {what}",
            allowed=allowed,
            got=f"otherwise near epsilon {at:.3g}",
            remedy="the exact curve, or a larger one",
        )
