"""A fault of the zoo as its user plants it in a real Opacus program."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from dpaudit.claim import Claim
from dpaudit.mechanisms.faults.fault import Case, Fault, View
from dpaudit.mechanisms.faults.setting import Setting
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus import OpacusTranscript
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import Neighbors

__all__ = ["Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """A training with real Opacus that has a fault of the zoo, under the claim and on the data of that fault.

    Args:
        name: of the fault or control.
        train: ``train(data, seed)``.
        how: how it comes about in Opacus, in words.
        seen: the adversary sees the steps of this setting and inserts the fault's gradient; None: sees the final
            weights, with the fault's record.
    """

    name: str
    train: Callable[[Any, int], Any]
    how: str
    _: KW_ONLY
    seen: Setting | None = None

    @property
    def fault(self) -> Fault:
        """The fault or control of this name on the ensemble engine, which has the claim."""
        from dpaudit.mechanisms.faults.registry import fault_named

        return fault_named(self.name)

    @property
    def claim(self) -> Claim:
        """What its user believes: that of the parameters that are in the program."""
        return self.fault.claim

    @property
    def neighbors(self) -> Neighbors:
        """The two worlds."""
        return self.case().neighbors

    @property
    def mechanism(self) -> Mechanism:
        """What is audited."""
        return self.case().mechanism

    def case(self, fault: Fault | None = None) -> Case:
        """As one more threat model of the fault, which is made if it is not given: its claim takes a moment."""
        view = View.FINAL if self.seen is None else View.TRANSCRIPT
        ensemble = (self.fault if fault is None else fault).case(view)
        assert ensemble is not None  # all have both
        if self.seen is None:
            return Case(View.PROGRAM, Function(self.train), ensemble.neighbors)
        constants = {"noise_multiplier": self.seen.noise_multiplier, "sample_rate": self.seen.sample_rate}
        watched = OpacusTranscript(self.train, self.seen.direction()[None], **constants)
        return Case(View.PROGRAM, watched, ensemble.neighbors)
