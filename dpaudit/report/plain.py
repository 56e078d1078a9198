"""Other people's text on one line: names, messages and commands that a report quotes."""

__all__ = ["one_line"]


def one_line(text: str) -> str:
    """Without line breaks, control characters and those that turn the direction of reading; runs of blanks as one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
