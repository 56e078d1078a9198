"""What every estimate starts from: the four counts of a threshold that was fixed before the scores were seen."""

from dataclasses import dataclass

from dpaudit.errors import require_confidence
from dpaudit.intervals import check_counts

__all__ = ["Counts"]


@dataclass(frozen=True)
class Counts:
    """Included and excluded trials, and how many of either were guessed included.

    Raises:
        UsageError: impossible counts, confidence outside (0, 1).
    """

    tp: int
    fp: int
    n_included: int
    n_excluded: int
    confidence: float

    def __post_init__(self) -> None:
        check_counts(self.tp, self.n_included, "included trials")
        check_counts(self.fp, self.n_excluded, "excluded trials")
        require_confidence(self.confidence)

    @property
    def alpha(self) -> float:
        """Nominal probability that an interval misses."""
        return 1 - self.confidence

    @property
    def rates(self) -> tuple[float, float]:
        """(TPR, FPR) as they were seen."""
        return self.tp / self.n_included, self.fp / self.n_excluded
