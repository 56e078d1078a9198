"""The contestants do run, in processes of their own. Nothing here looks at how fast."""

import importlib.util
import json
import os
from dataclasses import replace

import pytest

from dpaudit.bench import bench, contestants
from dpaudit.bench.contestants import Contestant, contestants_for, runner
from dpaudit.bench.crew import Crew, environment
from dpaudit.bench.scaling import measure_scaling
from dpaudit.bench.workloads import WORKLOADS
from dpaudit.errors import AuditError, UsageError
from dpaudit.report.json import dumps

KEYS = {"ratio", "ratio_tuned", "trials_per_second", "cpu_seconds_per_trial", "peak_bytes", "share_of_floor"}


def test_a_tiny_bench_of_w1(monkeypatch):
    """On "one core", so that there are fewer processes to start."""
    monkeypatch.setattr(contestants, "CORES", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = bench(["W1", "W1"], rounds=2, seconds=0.01)
    told = json.loads(dumps(found.to_dict()))
    assert set(told["workloads"]) == {"W1"}
    w1 = told["workloads"]["W1"]
    assert set(w1) >= KEYS
    assert all(w1[key] > 0 for key in KEYS)
    timed = w1["contestants"]
    assert set(timed) >= {each.name for each in contestants_for(WORKLOADS["W1"])}
    assert all(len(each["rounds"]) == 2 for each in timed.values())
    assert {name: each["threads"] for name, each in timed.items() if name != "opacus_default"} == dict.fromkeys(
        set(timed) - {"opacus_default"}, 1
    )
    assert timed["opacus_default"]["threads"] != 7  # what this process was told is not handed on
    assert told["machine"]["versions"]["torch"]
    assert "Opacus in one process" in str(found)


def test_memory_and_scaling(monkeypatch):
    monkeypatch.setattr(contestants, "CORES", 1)
    found = measure_scaling(1, counts=(5, 10))
    assert set(found.seconds) == {5, 10}
    assert found.spread >= 0
    assert 2**26 < found.peak < 2**30


@pytest.mark.parametrize("name", ["W2", "W3", "W4"])
def test_engines_take_every_workload(name):
    kind = contestants_for(WORKLOADS[name])[0].kind
    assert kind == ("torch" if name == "W4" else "fused")
    runner(kind, WORKLOADS[name], 1)(1)


@pytest.mark.parametrize("kind", ["opacus", "ghost"])
def test_opacus_takes_a_convolution(kind):
    runner(kind, replace(WORKLOADS["W4"], records=64, rate=0.5, steps=2), 1)(1)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_takes_a_linear_stack():
    runner("jax", WORKLOADS["W1"], 1)(65)


def test_a_process_that_dies_is_said():
    with (
        Crew(Contestant("x", "the title", "no such kind"), WORKLOADS["W1"]) as crew,
        pytest.raises(AuditError, match="the title: its process ended with code 1"),
    ):
        crew.wait()


def test_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    made = environment(Contestant("x", "x", "opacus", threads=0))
    assert not [name for name in made if name.startswith(("OMP_", "MALLOC_"))]
    assert made["HOME"] == os.environ["HOME"]
    tuned = environment(Contestant("x", "x", "opacus", threads=1, malloc=True))
    assert (tuned["OMP_NUM_THREADS"], tuned["MALLOC_MMAP_MAX_"]) == ("1", "0")


@pytest.mark.parametrize(("words", "match"), [({"rounds": 0}, "rounds"), ({"seconds": 0.0}, "seconds per round")])
def test_numbers_out_of_range(words, match):
    with pytest.raises(UsageError, match=match):
        bench(["W1"], **words)


def test_unknown_workload_at_the_command_line(capsys):
    from dpaudit.cli import main

    with pytest.raises(SystemExit) as left:
        main(["bench", "--workload", "W9"])
    assert left.value.code == 2
    assert "allowed: W1, W2, W3, W4; got: W9" in capsys.readouterr().err
