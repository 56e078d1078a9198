"""The one-parameter families that claims belong to: mu-GDP by mu, DP-SGD by its noise multiplier."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from dpaudit.evidence import FamilyBound
from dpaudit.profiles import DPSGD, Gaussian, Profile

__all__ = ["Family"]

_COARSE = 4e-3  # discretisation of loss distributions while searching; rounded up, so what is refuted stays refuted
_REACH, _PRECISION = 64.0, 1.003
_LOUDEST = (
    8.0  # of DP-SGD: a record that is rarely sampled leaves claims of no noise refutable, at a high price to compute
)


@dataclass(frozen=True)
class Family:
    """Claims that differ in one parameter, ordered by how much they permit.

    Attributes:
        parameter: "mu" or "noise_multiplier".
        claimed: its value in the claim.
        claim: the claim's own profile.
        more_private: whether larger values claim more privacy.
        made: the profile at a value.
        reach: the weakest member looked at permits so many times as much.
    """

    parameter: str
    claimed: float
    claim: Profile
    more_private: bool
    made: Callable[[float], Profile]
    reach: float = _REACH

    @classmethod
    def of(cls, profile: Profile) -> "Family | None":
        """The family of a claim's profile; None if it has none."""
        match profile:
            case Gaussian(mu=mu):
                return cls("mu", mu, profile, False, Gaussian)
            case DPSGD(noise_multiplier=sigma, interval=interval):
                coarse = replace(profile, interval=max(interval, _COARSE))

                def made(value: float) -> Profile:
                    return replace(coarse, noise_multiplier=value)

                return cls("noise_multiplier", sigma, profile, True, made, _LOUDEST)
            case _:
                return None

    def member(self, factor: float) -> Profile:
        """The profile that permits `factor` times as much; 1 is the claim itself."""
        return self.claim if factor == 1 else self.made(self._value(factor))

    def largest(self, refuted: Callable[[float], bool], confidence: float) -> FamilyBound:
        """The weakest refuted member, to .3 %.

        Args:
            refuted: whether the member at a factor is; every factor below a refuted one must be refuted as well.
            confidence: with which all these refutations hold together.
        """
        low, high = (1.0, 2.0) if refuted(1.0) else (0.5, 1.0)
        while (
            low >= 1 and high < self.reach and refuted(high)
        ):  # step by step: weak claims of DP-SGD take long to compute
            low, high = high, 2 * high
        while low < 1 and not refuted(low):
            low, high = low / 2, low
            if low < 1 / _REACH:
                return FamilyBound(self.parameter, None, self.claimed, confidence)
        while high / low > _PRECISION:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if refuted(middle) else (low, middle)
        return FamilyBound(self.parameter, self._value(low), self.claimed, confidence)

    def _value(self, factor: float) -> float:
        return self.claimed / factor if self.more_private else self.claimed * factor
