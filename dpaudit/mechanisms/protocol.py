"""What a mechanism is."""

from typing import Any, Protocol, runtime_checkable

from dpaudit.release import Release


@runtime_checkable
class Mechanism(Protocol):
    """What is audited: one world's data set and a seed in, a release out.

    One that can train many models at once has ``run_many(neighbors, included, seeds) -> [Release]`` as well, a release
    for each coin and seed that depends on nothing else: trials are then played in chunks (`dpaudit.mechanisms.DPSGD`).

    ``repr(mechanism)`` goes into the ledger's fingerprint, so it names every parameter and no memory address.
    """

    @property
    def name(self) -> str:
        """A few words for the report."""
        ...

    @property
    def engine(self) -> str:
        """What ran: "native (implementation)", "ensemble (algorithm)" or "known"."""
        ...

    def run(self, data: Any, seed: int) -> Release:
        """One run.

        Args:
            data: one world's data set; never modified.
            seed: an int in [0, 2^32), all the randomness there is.
        """
        ...
