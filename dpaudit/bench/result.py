"""What a bench found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dpaudit.bench.crew import Measure
from dpaudit.bench.scaling import Scaling
from dpaudit.bench.workloads import Workload

__all__ = ["Bench", "Timing", "VerdictTime", "WorkloadResult"]


@dataclass(frozen=True)
class Timing:
    """The rounds of one contestant.

    Attributes:
        title: in the table.
        rounds: in order.
    """

    title: str
    rounds: tuple[Measure, ...]

    @property
    def best(self) -> Measure:
        """The round with the highest rate."""
        return max(self.rounds, key=lambda each: each.rate)

    @property
    def cpu(self) -> float:
        """CPU seconds per trial, the least of all rounds: nearly the same on a busy machine."""
        return min(each.cpu for each in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        best = self.best
        return {
            "trials_per_second": best.rate,
            "rounds": [each.rate for each in self.rounds],
            "cpu_seconds_per_trial": self.cpu,
            "peak_bytes": max(each.peak for each in self.rounds),
            "threads": best.threads,
        }


@dataclass(frozen=True)
class WorkloadResult:
    """One workload.

    Attributes:
        workload: which.
        data: what the records were.
        timings: per contestant's name; all but "jax" are always there.
        flops_per_second: rate of matrix products on all cores.
        normals_per_second: rate of standard normals on all cores.
        floor: seconds that a trial takes at least at these rates.
    """

    workload: Workload
    data: str
    timings: Mapping[str, Timing]
    flops_per_second: float
    normals_per_second: float
    floor: float

    @property
    def plain(self) -> str:
        """Name of the faster Opacus in one process: two threads of OpenMP collapse where something else wants a core,
        and the ratio must not live on that.
        """
        return max(("opacus_default", "opacus_one_thread"), key=self._rate)

    @property
    def ratio(self) -> float:
        """Ours over Opacus's hooks in one process."""
        return self._rate("ours") / self._rate(self.plain)

    @property
    def tuned(self) -> str:
        """Name of the faster one of the tuned Opacus contestants."""
        return max(("opacus_tuned_hooks", "opacus_tuned_ghost"), key=self._rate)

    @property
    def ratio_tuned(self) -> float:
        """Ours over the faster tuned Opacus."""
        return self._rate("ours") / self._rate(self.tuned)

    @property
    def share(self) -> float:
        """Our rate as a share of the floor's."""
        return self._rate("ours") * self.floor

    def _rate(self, name: str) -> float:
        return self.timings[name].best.rate

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        ours, opacus = self.timings["ours"], self.timings[self.plain]
        return {
            "title": self.workload.title,
            "data": self.data,
            "ratio": self.ratio,
            "ratio_tuned": self.ratio_tuned,
            "opacus": self.plain,
            "opacus_tuned": self.tuned,
            "trials_per_second": ours.best.rate,
            "opacus_trials_per_second": opacus.best.rate,
            "cpu_seconds_per_trial": ours.cpu,
            "opacus_cpu_seconds_per_trial": opacus.cpu,
            "cpu_ratio": opacus.cpu / ours.cpu,
            "peak_bytes": max(each.peak for each in self.timings["ours"].rounds),
            "share_of_floor": self.share,
            "floor_trials_per_second": 1 / self.floor,
            "gemm_flops_per_second": self.flops_per_second,
            "normals_per_second": self.normals_per_second,
            "contestants": {name: timing.to_dict() for name, timing in self.timings.items()},
        }


@dataclass(frozen=True)
class VerdictTime:
    """Seconds until one knows, ours and by hand.

    Attributes:
        spec: name of the audit.
        verdict: ours.
        trials: ours.
        seconds: ours, the whole command from its start to its report.
        peer_trials: the fixed number that the other would plan.
        peer_plan: against what, in words.
        peer_trial_seconds: of the same training function, one after another in one process.
        peer_seconds: of `peer_trials` with the start of the process, but without attack and statistics.
        peer_computed: whether the latter is a product, not a run.
    """

    spec: str
    verdict: str
    trials: int
    seconds: float
    peer_trials: int | None
    peer_plan: str
    peer_trial_seconds: float
    peer_seconds: float | None
    peer_computed: bool


@dataclass(frozen=True)
class Bench:
    """All of it.

    Attributes:
        workloads: per name.
        machine: see `machine`.
        skipped: contestants that could not run, and why.
        scaling: if asked for.
        verdicts: if asked for.
    """

    workloads: Mapping[str, WorkloadResult]
    machine: Mapping[str, Any]
    skipped: tuple[str, ...] = ()
    scaling: Scaling | None = None
    verdicts: tuple[VerdictTime, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {
            "schema": 1,
            "workloads": {name: result.to_dict() for name, result in self.workloads.items()},
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "verdicts": [asdict(each) for each in self.verdicts],
            "skipped": list(self.skipped),
            "machine": dict(self.machine),
        }

    def __str__(self) -> str:
        from dpaudit.bench.table import table

        return table(self)
