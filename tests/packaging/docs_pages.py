"""The documentation's pages, taken apart."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOT_RUN = "# not run by the tests: "
"""First line of a block that needs what a test machine does not have; it must at least be Python."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: the fence's word: python, output, console, ...
        text: what is in it.
        line: of the page, where the text begins.
    """

    kind: str
    text: str
    line: int


def pages() -> list[str]:
    """Every page that somebody wrote, relative to docs/."""
    return sorted(str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md") if "_build" not in file.parts)


def blocks(page: str) -> list[Block]:
    """In order."""
    text = (DOCS / page).read_text()
    return [Block(found[1], found[2], text[: found.start(2)].count("\n") + 1) for found in _FENCE.finditer(text)]


def is_test_file(block: Block) -> bool:
    """Whether the block is a test that its reader would run with pytest, and so do we (`test_install.py`)."""
    return block.kind == "python" and "\ndef test_" in block.text


def commands() -> list[str]:
    """Every line of a console block that somebody is asked to type, without its comment."""
    typed = (
        line for page in pages() for block in blocks(page) if block.kind == "console" for line in block.text.split("\n")
    )
    return sorted({line[2:].split("  #")[0].strip() for line in typed if line.startswith("$ ")})
