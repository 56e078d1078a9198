"""Whether a trial costs the same among a thousand and among a hundred thousand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpaudit.bench.contestants import contestants_for
from dpaudit.bench.crew import Crew
from dpaudit.bench.workloads import WORKLOADS

__all__ = ["Scaling", "measure_scaling"]

COUNTS = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Scaling:
    """W1 at several numbers of trials, in alternating rounds.

    Attributes:
        seconds: per number of trials: seconds per trial in each round.
        cpu: per number of trials: CPU seconds per trial, the least of all rounds; a busy machine hardly changes it.
        peak: bytes of a fresh process after 10,000 trials.
    """

    seconds: Mapping[int, tuple[float, ...]]
    cpu: Mapping[int, float]
    peak: int

    @property
    def spread(self) -> float:
        """By how much the slowest of the best times exceeds the fastest, as a share."""
        return _spread([min(times) for times in self.seconds.values()])

    @property
    def cpu_spread(self) -> float:
        """The same of the CPU seconds."""
        return _spread(list(self.cpu.values()))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "seconds_per_trial": {str(count): list(times) for count, times in self.seconds.items()},
            "best": {str(count): min(times) for count, times in self.seconds.items()},
            "spread_of_best": self.spread,
            "cpu_seconds_per_trial": {str(count): seconds for count, seconds in self.cpu.items()},
            "spread_of_cpu": self.cpu_spread,
            "peak_bytes_10000_trials": self.peak,
        }


def measure_scaling(rounds: int, counts: tuple[int, ...] = COUNTS) -> Scaling:
    """W1 by our engine, one call for all trials of a count, counts in turn; memory in a process of its own.

    Args:
        rounds: of each count. Small counts are over quickly, and a short run escapes disturbances more easily than a
            long one; so each round of a count is the mean of as many runs as make up a tenth of the largest.
        counts: of trials.
    """
    workload = WORKLOADS["W1"]
    ours = contestants_for(workload)[0]
    with Crew(ours, workload) as crew:
        peak = crew.measure(10_000, "trials").peak
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    cpu: dict[int, list[float]] = {count: [] for count in counts}
    with Crew(ours, workload) as crew:
        for _ in range(rounds):
            for count in counts:
                runs = max(1, counts[-1] // 10 // count)
                found = [crew.measure(count, "trials") for _ in range(runs)]
                seconds[count].append(sum(1 / each.rate for each in found) / runs)
                cpu[count].append(sum(each.cpu for each in found) / runs)
    return Scaling(
        {count: tuple(times) for count, times in seconds.items()},
        {count: min(times) for count, times in cpu.items()},
        peak,
    )


def _spread(values: list[float]) -> float:
    return max(values) / min(values) - 1
