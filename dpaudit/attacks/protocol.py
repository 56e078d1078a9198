"""What an attack is."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


@runtime_checkable
class Attack(Protocol):
    """One adversary of the distinguishing game: it looks at one release and never sees the coin.

    ``repr(attack)`` goes into the ledger's fingerprint, so it names every parameter and no memory address.
    """

    @property
    def name(self) -> str:
        """A few words for the report."""
        ...

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """Named statistics of one release, the same names for every release of a kind.

        Higher means more likely included where the attack knows the sign; a method may learn it otherwise.
        NaN: this statistic cannot be computed here and says nothing. A non-finite release is no reason to raise.

        Raises:
            UsageError: the release or the canary is of a kind this attack cannot judge.
        """
        ...
