"""Markdown for the comment on a pull request, or the summary of a CI job: the verdict first, details folded away.

What it quotes was written by others (names of statistics, errors, commands) and is shown to reviewers, so all of it is
text and nothing else: no markup, no HTML, no link, and nobody is notified by a name in it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dpaudit.report import wording
from dpaudit.report.plain import one_line
from dpaudit.report.report import Report

__all__ = ["block", "escape", "folded", "heading", "render_markdown", "table", "write_markdown"]

_PLAIN = re.compile(r"[\w .,;:()=+/%'-]")
_WORDLESS = "&#8203;"  # a space of no width: it keeps forges from finding a mention or a link, and readers don't see it
_FOUND = re.compile(r"(@|#|GH-|(?<=:)(?=//)|\bwww(?=\.))", re.IGNORECASE)


def escape(text: str) -> str:
    """`text` on one line, shown letter by letter wherever it stands: in a heading, a paragraph, a cell.

    Every character that could mean something is a numeric entity, which Markdown never takes for structure.
    """
    told = _FOUND.split(one_line(text))
    # what was found stands at the odd places; empty between a colon and the two slashes of an address
    return "".join(_entities(part) + _WORDLESS * (place % 2) for place, part in enumerate(told))


def heading(verdict: str, text: str) -> str:
    """The first line: the verdict, and what it is about."""
    return f"### {verdict}: {escape(text)}\n"


def table(titles: tuple[str, ...], rows: Iterable[Sequence[str]]) -> str:
    """A table of text; cells are escaped here."""
    lines = [titles, *([escape(cell) or " " for cell in row] for row in rows)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([shown[0], "|" + " --- |" * len(titles), *shown[1:]]) + "\n"


def block(text: str) -> str:
    """Text as it is, to be copied; its own backticks do not end it."""
    clean = "\n".join(_printable(line) for line in text.splitlines())
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", clean)), default=0))
    return f"{fence}text\n{clean}\n{fence}\n"


def _printable(line: str) -> str:
    """Without control characters, blanks as they are."""
    return "".join(c if c.isprintable() else " " for c in line)


def folded(summary: str, content: str) -> str:
    """Something that opens at a click; `content` is Markdown."""
    return f"<details><summary>{escape(summary)}</summary>\n\n{content}\n</details>\n"


def render_markdown(report: Report) -> str:
    """A report: verdict, table, what to do, the command, and the whole text folded away."""
    parts = [
        heading(report.verdict.value, wording.headline(report)),
        f"{escape(report.reason or wording.meaning(report))}\n",
        table(("", ""), _rows(report)),
        f"To reproduce:\n\n{block(one_line(report.reproduce))}",
        folded("The whole report", block(str(report))),
    ]
    return "\n".join(parts)


def write_markdown(report: Report, path: Path) -> None:
    """report.md."""
    path.write_text(render_markdown(report), encoding="utf-8")


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "lower bound", wording.bound(report)
    if report.test is not None:
        yield "evidence", wording.evidence(report.test)
    yield "statistic", report.statistic or "none"
    yield "trials", wording.counts(report.trials)
    for name, told in (("power", wording.power(report)), ("to do", wording.remedy(report))):
        if told:
            yield name, told
    yield "adversary", f"{report.threat_model}; canary: {report.canary}"
    for cause in wording.likely(report):
        yield "preflight", cause
    for note in report.notes:
        yield "note", f"{note.name}: {note.text}"


def _entities(text: str) -> str:
    return "".join(c if _PLAIN.fullmatch(c) and c != "_" else f"&#{ord(c)};" for c in text)
