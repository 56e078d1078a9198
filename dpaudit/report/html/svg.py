"""matplotlib's drawings as SVG inside an HTML page: only known elements and attributes, colours by class.

The page knows light and dark, and forbids style attributes (its content security policy names the one style sheet by
its hash), so every colour becomes a class; ids get a prefix, for several figures share a page.
"""

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from dpaudit.report.plain import one_line
from dpaudit.report.plots.frame import ALLOWED, EVIDENCE, EXCLUDED, INCLUDED, RULE, write_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "inline_svg"]

COLOURS = {
    INCLUDED.lower(): "in",
    EXCLUDED.lower(): "out",
    ALLOWED.lower(): "allowed",
    EVIDENCE.lower(): "wealth",
    RULE.lower(): "ink",
    "#707070": "edge",
    "#ffffff": "paper",
    "#cc79a7": "c4",
    "#e69f00": "c5",
    "#56b4e9": "c6",
}
"""Colour of a drawing -> name of the class that the style sheet colours in light and dark."""

_KEPT = {
    "svg": {"viewBox"},
    "g": {"transform", "clip-path"},
    "path": {"id", "d", "transform", "clip-path"},
    "use": {"x", "y", "href", "transform", "clip-path"},
    "text": {"x", "y", "transform"},
    "tspan": {"x", "y"},
    "rect": {"x", "y", "width", "height"},
    "clipPath": {"id"},
    "defs": set(),
}
_STYLE = {  # what a style attribute may say, as an attribute of its own
    "opacity",
    "fill-opacity",
    "stroke-opacity",
    "stroke-width",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linejoin",
    "stroke-linecap",
    "text-anchor",
}
_DECIMALS = re.compile(r"-?\d+\.\d+")
_SIZE = re.compile(r"([\d.]+)px")
_REFERENCE = re.compile(r"(url\(#|#)([\w-]+)")


def inline_svg(figure: "Figure", name: str, *, title: str, description: str) -> str:
    """The figure as one `<svg role="img">`, the same text for the same figure.

    Args:
        figure: is drawn on nothing: the page is its background.
        name: of the figure on its page, letters only; begins all of its ids.
        title: what it is.
        description: what it shows, in words and numbers, for those who do not see it.
    """
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    drawn = io.BytesIO()
    write_svg(figure, drawn, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")), letters="none")
    root = _kept(ElementTree.fromstring(drawn.getvalue()), name)
    assert root is not None
    titles = f"{name}-title", f"{name}-description"
    root.attrib = {"role": "img", "aria-labelledby": titles[0], "aria-describedby": titles[1], **root.attrib}
    for place, (tag, text) in enumerate(zip(("title", "desc"), (title, description), strict=True)):
        element = ElementTree.Element(tag, {"id": titles[place]})
        element.text = one_line(text)
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _kept(element: ElementTree.Element, prefix: str) -> ElementTree.Element | None:
    """A copy in HTML's own names; None for what has no place in a page (metadata, style sheets)."""
    tag = element.tag.rpartition("}")[2]
    if tag not in _KEPT:
        return None
    made = ElementTree.Element(tag, {key: _shorter(value) for key, value in _attributes(element, tag, prefix)})
    made.text = element.text if tag in ("text", "tspan") else None
    for child in element:
        kept = _kept(child, prefix)
        if kept is not None:
            kept.tail = child.tail if tag == "text" else None
            made.append(kept)
    return made


def _attributes(element: ElementTree.Element, tag: str, prefix: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for long, value in element.attrib.items():
        key = long.rpartition("}")[2]
        if key in _KEPT[tag]:
            found[key] = f"{prefix}-{value}" if key == "id" else _REFERENCE.sub(rf"\g<1>{prefix}-\g<2>", value)
    found |= _styled(element.get("style", ""), drawn=tag in ("path", "use", "rect"), text=tag in ("text", "tspan"))
    return list(found.items())


def _styled(style: str, *, drawn: bool, text: bool) -> dict[str, str]:
    """The declarations of a style attribute as attributes; colours as classes."""
    said = dict(part.strip().split(": ", 1) for part in style.split(";") if ": " in part)
    found = {key: value for key, value in said.items() if key in _STYLE}
    classes = ["f-ink"] if text else []
    for key, letter in (("fill", "f"), ("stroke", "s")):
        colour = said.get(key)
        if colour == "none" and drawn:
            found[key] = "none"
        elif colour is not None and colour in COLOURS and not text:
            classes.append(f"{letter}-{COLOURS[colour]}")
        elif colour is not None and re.fullmatch("#[0-9a-f]{6}", colour):
            found[key] = colour
    for size in _SIZE.findall(said.get("font", said.get("font-size", ""))):
        found["font-size"] = size
    if "bold" in said.get("font", "") or said.get("font-weight") in ("bold", "700"):
        found["font-weight"] = "bold"
    return found | ({"class": " ".join(classes)} if classes else {})


def _shorter(value: str) -> str:
    """Two decimals of a point of 1/72 inch are enough for any eye."""
    return _DECIMALS.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value)
