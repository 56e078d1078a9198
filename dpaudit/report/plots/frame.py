"""What all figures share: size, colours, title, plain text, and saving the same bytes for the same report.

Names of statistics and attacks are other people's: matplotlib would read "$\\frac$" in one as mathematics, and fail.
Whatever holds a name goes through `plain` and is drawn with `parse_math=False`.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dpaudit.report.plain import one_line
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST, _NARROW_LONGEST = 60, 22  # characters of a name in a figure

# Okabe and Ito's colours: told apart by people with any colour vision, and in grey.
INCLUDED, EXCLUDED, ALLOWED, RULE, EVIDENCE = "#D55E00", "#0072B2", "#B8B8B8", "#000000", "#009E73"


NARROW = 4.6
"""Inches: the width of a figure that is read on a phone, where a wider one would shrink until nobody can read it."""


def new_figure(report: Report, *, width: float, height: float, narrow: bool = False) -> "Figure":
    """An empty figure whose title is the verdict and the claim; a narrow one stands below both. Sizes in inches."""
    if narrow:
        return plain_figure("", width=NARROW, height=height)
    claim, verdict = report.claim, report.verdict.value.replace("_", " ")
    title = f"{verdict}: claim ({claim.epsilon():.4g}, {claim.quoted_delta:.3g})-DP"
    return plain_figure(title, width=width, height=height)


@contextmanager
def _no_backend_asked_for() -> Iterator[None]:
    """Matplotlib refuses to be imported where MPLBACKEND is one that it does not know; no backend is used here."""
    asked = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ["MPLBACKEND"] = asked


def plain_figure(title: str, *, width: float, height: float) -> "Figure":
    """An empty figure, on no screen, with a title if it is to have one. Sizes in inches."""
    with _no_backend_asked_for():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def pair(figure: "Figure", *, stacked: bool) -> "tuple[Axes, Axes]":
    """Two panels, beside each other or one above the other."""
    if stacked:
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.set(hspace=0.06)  # type: ignore[call-arg]  # of the constrained layout that every figure here has
    first, second = figure.subplots(*((2, 1) if stacked else (1, 2)))
    return first, second


def save_figure(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG or SVG, by the suffix of `path`."""
    if path.suffix == ".svg":
        write_svg(figure, path, metadata={"Date": None})
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    lay_out(figure)
    figure.set_dpi(150)
    canvas: Any = FigureCanvasAgg(figure)
    with any_script():
        canvas.print_png(path, metadata={"Software": None})


def write_svg(
    figure: "Figure", file: "Path | BinaryIO", *, metadata: Mapping[str, str | None], letters: str = "path"
) -> None:
    """Write the figure as SVG, the same text for the same figure; its letters drawn as a "path", or left ("none")."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    lay_out(figure)
    canvas: Any = FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": "dpaudit", "svg.fonttype": letters}), any_script():
        canvas.print_svg(file, metadata=metadata)


def lay_out(figure: "Figure") -> None:
    """Put everything in its place, for good.

    `Figure.savefig` draws twice, once to measure; a figure that is laid out is drawn once, by its canvas.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        with any_script():
            engine.execute(figure)
        figure.set_layout_engine("none")


@contextmanager
def any_script() -> Iterator[None]:
    """Without the warning for each character that the font lacks: names may be in any script."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def plain(name: str, *, narrow: bool = False) -> str:
    """A name, without control characters, and cut where it would squeeze the figure."""
    shown, most = one_line(name), _NARROW_LONGEST if narrow else _LONGEST
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def plain_decades(axes: "Axes") -> None:
    """Plain numbers on logarithmic axes whose limits are set, and two minor ticks a decade, told where decades are few.

    Powers of ten in mathematics and eight minor ticks a decade take longer than everything else in a figure.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
            few = high < 20 * low
            axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}") if few else NullFormatter())


def legend(axes: "Axes", **looks: Any) -> None:
    """The legend, its labels as they are written."""
    for text in axes.legend(frameon=False, **looks).get_texts():
        text.set_parse_math(False)
