"""The figures of a page: drawn narrow, for a phone, with what they show in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpaudit.report.html.svg import inline_svg
from dpaudit.report.html.templating import safe
from dpaudit.report.html.words import evidence_in_words, roc_in_words, scores_in_words
from dpaudit.report.plots.column import best_column
from dpaudit.report.plots.evidence import evidence_figure
from dpaudit.report.plots.roc import READING, roc_figure
from dpaudit.report.plots.scores import scores_figure
from dpaudit.report.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "audit_pictures"]


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes:
        title: above it.
        caption: below it: how to read it.
        svg: itself.
    """

    title: str
    caption: str
    svg: str

    @classmethod
    def of(cls, figure: "Figure", name: str, *, title: str, caption: str, words: str) -> "Picture":
        """The figure of that name on its page, with `words` for those who do not see it."""
        return cls(title, caption, safe(inline_svg(figure, name, title=title, description=words)))


def audit_pictures(report: Report) -> list[Picture]:
    """What of scores, ROC and evidence there is."""
    column, drawn = best_column(report), []
    figure = evidence_figure(report, narrow=True)
    if figure is not None:
        drawn.append(
            Picture.of(
                figure,
                "evidence",
                title="How the evidence grew",
                caption="Wealth of a bet against the claim, and the lower bound on epsilon, trial by trial. A true "
                "claim lets the wealth reach the dashed line with at most the chance that the confidence leaves.",
                words=evidence_in_words(report),
            )
        )
    figure = scores_figure(report, narrow=True)
    if figure is not None and column is not None:
        drawn.append(
            Picture.of(
                figure,
                "scores",
                title=f"What the adversary saw: {column.name}",
                caption="The more the two histograms overlap, the less the adversary can tell. Dashed or dotted "
                "upright lines, where there are any, are the adversary's thresholds.",
                words=scores_in_words(column),
            )
        )
    figure = roc_figure(report, narrow=True)
    if figure is not None and column is not None:
        drawn.append(
            Picture.of(
                figure,
                "roc",
                title="How well the worlds can be told apart",
                caption=f"{READING[0].upper()}{READING[1:]}.",
                words=roc_in_words(report, column),
            )
        )
    return drawn
