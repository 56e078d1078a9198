"""Real Opacus, watched from inside while the user's own code runs unchanged. Imported, this loads no torch."""

from typing import TYPE_CHECKING, Any

from dpaudit.mechanisms.opacus.recording import recording
from dpaudit.mechanisms.opacus.taps import Observer, tapping

if TYPE_CHECKING:
    from dpaudit.mechanisms.opacus.step import OpacusStep
    from dpaudit.mechanisms.opacus.transcript import OpacusTranscript

__all__ = ["Observer", "OpacusStep", "OpacusTranscript", "recording", "tapping"]


def __getattr__(name: str) -> Any:
    if name == "OpacusStep":
        from dpaudit.mechanisms.opacus.step import OpacusStep

        return OpacusStep
    if name == "OpacusTranscript":
        from dpaudit.mechanisms.opacus.transcript import OpacusTranscript

        return OpacusTranscript
    raise AttributeError(f"module 'dpaudit.mechanisms.opacus' has no attribute {name!r}")
