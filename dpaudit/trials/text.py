"""Text from somebody's code made safe to store and to print."""

import traceback

TRACE_CHARACTERS = 8_000


def clean(text: str, limit: int) -> str:
    """`text` as valid UTF-8 (lone surrogates escaped), at most `limit` characters, the end cut off."""
    valid = text[: limit + 1].encode("utf-8", "backslashreplace").decode("utf-8")
    return valid if len(valid) <= limit else valid[: limit - 3] + "..."


def one_line(text: str, limit: int = 300) -> str:
    """`text` with every run of white space as one blank, cut to `limit` characters."""
    return clean(" ".join(text[: 4 * limit].split()), limit)


def describe(error: BaseException) -> str:
    """``"ValueError: message"`` on one line; survives an exception whose ``str`` raises."""
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be shown)"
    return one_line(f"{kind}: {message}" if message else kind)


def trace_of(error: BaseException) -> str:
    """The traceback; of a long one the end, where the cause is."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:
        text = describe(error)
    return clean(text[-TRACE_CHARACTERS:], TRACE_CHARACTERS)
