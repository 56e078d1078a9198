"""A figure of a report, written in as many formats as are asked for."""

import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from dpaudit.report.plots.frame import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing"]

R = TypeVar("R")


class Drawing(Generic[R]):
    """Writes a figure in the format of the path's suffix, or nothing if there is nothing to draw.

    Laying a figure out takes as long as drawing it. So the figure of the report that was asked for last is kept, with
    its layout, while that report lives: the next format is drawn from it, with everything in the same place.

    Args:
        make: the report's figure, None if it has none.
    """

    def __init__(self, make: "Callable[[R], Figure | None]") -> None:
        self._make = make
        self._lock = Lock()  # of the figure: matplotlib draws each in one thread at a time
        self._report: Callable[[], R | None] = lambda: None
        self._figure: Figure | None = None

    def __call__(self, report: R, path: Path) -> None:
        """Write the figure to `path`."""
        with self._lock:
            if self._report() is not report:
                self._figure = self._make(report)
                self._report = weakref.ref(report, self._forget)
            if self._figure is not None:
                save_figure(self._figure, path)

    def _forget(self, reference: object) -> None:
        if self._report is reference:
            self._figure = None
