"""Profiles that no mechanism can have are refused, with the place; those of known mechanisms are not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.mechanisms import known
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian
from dpaudit.soundness import require_profile


@dataclass(frozen=True)
class Own:
    how: str
    kind = "own"

    def in_over_out(self, epsilon: Any) -> Any:
        eps = np.asarray(epsilon, dtype=np.float64)
        match self.how:
            case "increasing":
                return 0.1 + 0.01 * np.minimum(eps, 1)
            case "concave":
                return np.where(eps < 1, 0.5, 0.0)
            case "large":
                return np.full(eps.shape, 1.5)
            case "nan":
                return np.full(eps.shape, np.nan)
            case "scalar":
                return 0.1
        return np.maximum(0.0, 0.5 - 0.1 * np.expm1(eps))

    def out_over_in(self, epsilon: Any) -> Any:
        return np.full(np.shape(epsilon), 0.2)

    def group(self, copies: int) -> "Own":
        return self

    def parameters(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("increasing", "increases"),
        ("concave", "not convex"),
        ("large", "no probabilities"),
        ("nan", "no probabilities"),
        ("scalar", "wrong shape"),
    ],
)
def test_what_cannot_be_a_profile_is_refused(how: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"in_over_out of the profile .*{why}"):
        Claim(profile=Own(how))


def test_a_profile_of_ones_own() -> None:
    assert Claim(profile=Own("right")).profile == Own("right")


@pytest.mark.parametrize(
    "profile",
    [
        ApproximateDP(1.0, 1e-3),
        Gaussian(0.3),
        Gaussian(4.0),
        DPSGD(1.0, 0.1, 20),
        known.Laplace(2.0).claim().profile,
        known.SubsampledGaussian(1.0, 0.1).claim().profile,
    ],
)
def test_known_profiles_are_sound(profile: Any) -> None:
    assert require_profile(profile) is profile
