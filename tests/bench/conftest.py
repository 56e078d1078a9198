import pytest

from dpaudit.bench.crew import Measure
from dpaudit.bench.result import Bench, Timing, VerdictTime, WorkloadResult
from dpaudit.bench.scaling import Scaling
from dpaudit.bench.workloads import WORKLOADS


def timing(title, *rates):
    return Timing(title, tuple(Measure(rate=rate, cpu=2 / rate, peak=2**28, threads=1) for rate in rates))


@pytest.fixture
def found():
    """A bench with invented numbers."""
    timings = {
        "ours": timing("ours", 900.0, 1000.0),
        "opacus_default": timing("Opacus default", 2.0, 3.0),
        "opacus_one_thread": timing("Opacus one", 5.0, 4.0),
        "opacus_tuned_hooks": timing("Opacus tuned", 8.0, 9.0),
        "opacus_tuned_ghost": timing("Opacus ghost", 9.0, 10.0),
        "torch_engine": timing("torch", 250.0, 200.0),
    }
    result = WorkloadResult(WORKLOADS["W1"], "digits", timings, 150e9, 2e9, 1 / 2000)
    return Bench(
        {"W1": result},
        {
            "cores": 2,
            "cpu": "a processor",
            "load": 0.25,
            "date": "2026-01-02T03:04:05+00:00",
            "python": "3.11.7",
            "versions": {"torch": "2.13.0", "jax": None},
        },
        ("jax: not installed, skipped",),
        Scaling({1000: (1.2e-4, 1e-4), 10_000: (1.05e-4, 1.3e-4)}, {1000: 2e-4, 10_000: 2.2e-4}, 2**29),
        (
            VerdictTime("fault", "REFUTED", 20, 4.0, 100, "80% power", 0.125, 12.5, True),
            VerdictTime("honest", "NOT_REFUTED", 300, 9.0, None, "80% power", 0.125, None, True),
        ),
    )
