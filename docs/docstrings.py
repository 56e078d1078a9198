"""Our docstrings as reStructuredText.

They are plain text for people at a terminal: `name` in single backticks, labels such as ``Guarantee:`` with the text on
the same line, formulas with bars, stars and underscores that reStructuredText would take for markup.
"""

import re
from typing import Any

__all__ = ["process"]

LABELS = ("Null hypothesis", "Guarantee", "Assumes", "Reference", "Raises", "Returns", "Yields")
_LABEL = re.compile(rf"^({'|'.join(LABELS)}|Guarantee, Assumes, Reference): (.*)$")
_GOOGLE = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
_ITEM = re.compile(r"^(\(\d\)|[*-]) ")
_CODE = re.compile(r"``.+?``|`[^`]+`")


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """What Sphinx calls for each docstring, before napoleon reads the sections Args, Raises and the like."""
    inherited = what == "data" and getattr(obj, "__doc__", None) == type(obj).__doc__  # a dict's own, say
    lines[:] = [] if inherited else converted(lines)


def converted(lines: list[str]) -> list[str]:
    """One docstring, line by line."""
    made: list[str] = []
    sections = literal = False
    for line in _hung(lines):
        text, before = line.strip(), made[-1] if made else ""
        indent = len(line) - len(line.lstrip())
        if _GOOGLE.match(line):
            sections = True
        elif text and indent == 0 and not literal:
            sections = sections and bool(_LABEL.match(line))
        if literal:
            literal = indent > 0 or not text
        if not literal and indent >= 4 and not sections and not before.strip() and made and not _in_item(made):
            made += ["::", ""]  # an indented block after an empty line is code
            literal = True
        if literal:
            made.append(line)
        elif label := _LABEL.match(line):
            made += [""] * bool(before.strip() and not before.startswith((":", " "))) + [
                f":{label[1]}: {_escaped(label[2])}"
            ]
        else:
            if before.strip() and not sections and _begins_block(line, indent, made):
                made.append("")
            made.append(_escaped(line))
    return made


def _begins_block(line: str, indent: int, made: list[str]) -> bool:
    """Whether an empty line is due: before the first item of a list, and behind indented text."""
    if _ITEM.match(line):
        return not _in_item(made) or not _ITEM.match(made[-1])
    return indent == 0 and made[-1].startswith(" ")


def _hung(lines: list[str]) -> list[str]:
    """A label's text that goes on at the margin is indented, as most of it is."""
    made: list[str] = []
    flush = False
    for line in lines:
        if _LABEL.match(line):
            flush = True
        elif not line.strip() or (line.startswith(" ") and made and _LABEL.match(made[-1])):
            flush = False
        made.append("    " + line if flush and not _LABEL.match(line) else line)
    return made


def _in_item(made: list[str]) -> bool:
    """Whether the last text is a list's item, which goes on in an indented paragraph."""
    for line in reversed(made):
        if line.strip() and not line.startswith(" "):
            return line.startswith(("*", "-", "(", ":"))
    return False


def _escaped(line: str) -> str:
    """Formulas as text, names in backticks as code."""
    made, end = "", 0
    bullet = re.match(r"^\s*\* ", line)
    if bullet:
        made, end = bullet[0], bullet.end()
    for code in _CODE.finditer(line, end):
        made += _plain(line[end : code.start()]) + f"``{code[0].strip('`')}``"
        end = code.end()
        if end < len(line) and line[end].isalnum():
            made += "\\ "
    return made + _plain(line[end:])


def _plain(text: str) -> str:
    return re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", text)
