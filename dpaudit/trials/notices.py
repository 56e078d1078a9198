"""What one trial warns and prints: distinct texts with counts, bounded however much there is."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from dpaudit.trials.text import one_line

MOST_TEXTS = 20
MOST_CHARACTERS = 300
MOST_OF_A_WARNING = 160
_SENTENCE_END = re.compile(r"[.!?](?=\s+[^a-z\s])")  # not the dots of "e.g. this"


class Notices:
    """Counts distinct texts; those past the first twenty are counted together.

    Of a warning its category and first sentence are kept, at most 160 characters: libraries warn in every trial.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._others = 0

    def add(self, text: str) -> None:
        """Count `text` once; blank lines are nothing."""
        line = one_line(text, MOST_CHARACTERS)
        if not line:
            return
        if line in self._counts or len(self._counts) < MOST_TEXTS:
            self._counts[line] = self._counts.get(line, 0) + 1
        else:
            self._others += 1

    def counts(self) -> tuple[tuple[str, int], ...]:
        """(text, count) in order of first appearance."""
        rest = (("(further distinct messages)", self._others),) if self._others else ()
        return (*self._counts.items(), *rest)

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Take every warning and everything printed inside the block; nothing of it reaches the terminal."""
        printed = _Lines(self)

        def note(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
            self.add(f"{category.__name__}: {first_sentence(str(message))}")

        with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
            warnings.simplefilter("always")
            warnings.showwarning = note  # catch_warnings puts the original back
            try:
                yield
            finally:
                printed.end()


class _Lines(io.TextIOBase):
    """A text stream that keeps no more than the line being written."""

    def __init__(self, notices: Notices) -> None:
        super().__init__()
        self._notices, self._line = notices, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, rest = (self._line + text).replace("\r", "\n").split("\n")
        for line in lines:
            self._notices.add(line)
        self._line = rest[: 4 * MOST_CHARACTERS]
        return len(text)

    def end(self) -> None:
        self._notices.add(self._line)
        self._line = ""


def first_sentence(text: str) -> str:
    """The first sentence of `text` on one line, at most 160 characters."""
    line = one_line(text, 4 * MOST_OF_A_WARNING)
    end = _SENTENCE_END.search(line)
    return one_line(line if end is None else line[: end.end()], MOST_OF_A_WARNING)
