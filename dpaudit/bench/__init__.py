"""How fast the ensemble is beside Opacus on this machine, and beside what the machine could do at best."""

from dpaudit.bench.result import Bench, WorkloadResult
from dpaudit.bench.run import bench
from dpaudit.bench.workloads import WORKLOADS, Workload

__all__ = ["WORKLOADS", "Bench", "Workload", "WorkloadResult", "bench"]
