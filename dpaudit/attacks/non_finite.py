"""Whether anything in the release is NaN or infinite."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dpaudit.digest import all_finite
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


@dataclass(frozen=True)
class NonFinite:
    """``non_finite``: 1.0 if a NaN or an infinity is anywhere in the release, else 0.0.

    A record that turns the whole model into NaN betrays itself with certainty, whatever the noise.
    """

    name: ClassVar[str] = "non-finite"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``non_finite``."""
        return {"non_finite": 0.0 if all_finite(release.value) else 1.0}
