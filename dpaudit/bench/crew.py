"""The processes of a contestant, seen from outside."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import dpaudit
from dpaudit.bench.contestants import Contestant
from dpaudit.bench.workloads import Workload
from dpaudit.errors import AuditError

__all__ = ["Crew", "Measure"]

INHERITED = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "NUMBA_NUM_THREADS", "MALLOC_")
WIDE = {"OPENBLAS_CORETYPE": "SKYLAKEX"}  # OpenBLAS takes processors it does not know for AVX2 ones: half the speed
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36), "MALLOC_TOP_PAD_": str(2**26)}


@dataclass(frozen=True)
class Measure:
    """One round of a contestant.

    Attributes:
        rate: trials per second of all its processes together.
        cpu: CPU seconds per trial.
        peak: bytes of memory, the most so far, of all its processes together.
        threads: of each process.
    """

    rate: float
    cpu: float
    peak: int
    threads: int


class Crew:
    """A contestant at work; a context manager, since it has processes to end.

    Args:
        contestant: who.
        workload: what it works on.
    """

    def __init__(self, contestant: Contestant, workload: Workload) -> None:
        self.contestant = contestant
        words = [contestant.kind, workload.name, str(contestant.threads)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "dpaudit.bench.worker", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(contestant),
            )
            for _ in range(contestant.processes)
        ]
        self._ready: list[dict[str, Any]] = []

    def wait(self) -> list[dict[str, Any]]:
        """What each process said when it was warm."""
        self._ready = self._ready or [self._read(process) for process in self._processes]
        return self._ready

    def measure(self, amount: float, unit: str = "seconds") -> Measure:
        """Runs all processes for about so many seconds, or each for so many trials."""
        threads = self.wait()[0]["threads"]
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{unit} {amount}\n")
            process.stdin.flush()
        told = [self._read(process) for process in self._processes]
        return Measure(
            rate=sum(each["trials"] / each["seconds"] for each in told),
            cpu=sum(each["cpu_seconds"] for each in told) / sum(each["trials"] for each in told),
            peak=sum(each["peak_bytes"] for each in told),
            threads=threads,
        )

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AuditError(f"{self.contestant.title}: its process ended with code {process.wait()}, see above")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if kind is not None:
                process.kill()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait()


def environment(contestant: Contestant) -> dict[str, str]:
    """What this process has, but for what says something of threads and memory, which the contestant decides."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
    path = [str(Path(dpaudit.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    # BLAS and OpenMP count the cores for themselves where `threads` is 0: that is what people get
    counted = {"OMP_NUM_THREADS": str(contestant.threads)} if contestant.threads else {}
    memory = KEEP_MEMORY if contestant.malloc else {}
    wide = WIDE if contestant.kind == "gemm" and _has_avx512() else {}
    return {**kept, **counted, **memory, **wide, "PYTHONPATH": os.pathsep.join(path)}


def _has_avx512() -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= set(info.read_text().split())
