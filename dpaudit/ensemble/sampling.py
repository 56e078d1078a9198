"""How the batch of a step is drawn."""

from dataclasses import dataclass

from dpaudit.errors import UsageError


@dataclass(frozen=True)
class Poisson:
    """Every record joins every batch by a coin of its own with probability `rate` (to 2^-32), independently."""

    rate: float

    def __post_init__(self) -> None:
        if not 0.0 < float(self.rate) <= 1.0:
            raise UsageError("sample rate is out of range", allowed="(0, 1]", got=self.rate)

    def expected(self, size: int) -> float:
        """Expected number of records in a batch from `size` records."""
        return self.rate * size


@dataclass(frozen=True)
class Shuffle:
    """Each epoch is a fresh permutation of the model's records, cut into batches; the last one may be smaller."""

    batch: int

    def __post_init__(self) -> None:
        if int(self.batch) != self.batch or self.batch < 1:
            raise UsageError("batch size", allowed="an integer of at least 1", got=self.batch)

    def expected(self, size: int) -> float:
        """The batch size, or all records where there are fewer."""
        return float(min(self.batch, size))


@dataclass(frozen=True)
class FullBatch:
    """All records of the model in every step."""

    def expected(self, size: int) -> float:
        """All records."""
        return float(size)


Sampling = Poisson | Shuffle | FullBatch
