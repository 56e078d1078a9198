"""A user's own attack as a function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.modules import is_tensor
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr


@dataclass(frozen=True, repr=False)
class Function:
    """Any ``score(release, neighbors)`` that returns a float, or named floats.

    Args:
        score: the function; it must not know which world the release came from.
        statistic: the name of a single float.
    """

    score: Callable[[Release, Neighbors], float | Mapping[str, float]]
    statistic: str = "score"

    def __post_init__(self) -> None:
        if not callable(self.score):
            raise UsageError("an attack", allowed="score(release, neighbors) -> float or mapping", got=self.score)

    @property
    def name(self) -> str:
        """The function's own name."""
        return str(getattr(self.score, "__name__", type(self.score).__name__))

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """What the function returned, as floats.

        Raises:
            UsageError: it returned no number.
        """
        given = self.score(release, neighbors)
        named = given if isinstance(given, Mapping) else {self.statistic: given}
        try:
            return {str(name): _number(value) for name, value in named.items()}
        except (TypeError, ValueError):
            raise UsageError(f"the attack {self.name}", allowed="a float, or named floats", got=given) from None

    def __repr__(self) -> str:
        return f"Function({stable_repr(self.score)}, statistic={self.statistic!r})"


def _number(value: Any) -> float:
    return float(value.detach() if is_tensor(value) else value)
