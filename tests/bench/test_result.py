"""Ratios, JSON and table of a bench, from invented numbers."""

import json

from dpaudit.report.json import dumps


def test_ratios_are_over_the_faster_peer(found):
    result = found.workloads["W1"]
    assert (result.plain, result.tuned) == ("opacus_one_thread", "opacus_tuned_ghost")
    assert (result.ratio, result.ratio_tuned, result.share) == (200.0, 100.0, 0.5)


def test_json(found):
    told = json.loads(dumps(found.to_dict()))
    assert told["schema"] == 1
    w1 = told["workloads"]["W1"]
    assert (w1["ratio"], w1["ratio_tuned"], w1["share_of_floor"]) == (200.0, 100.0, 0.5)
    assert (w1["trials_per_second"], w1["opacus_trials_per_second"]) == (1000.0, 5.0)
    assert (w1["cpu_seconds_per_trial"], w1["opacus_cpu_seconds_per_trial"]) == (0.002, 0.4)
    assert w1["cpu_ratio"] == 200.0
    assert w1["contestants"]["ours"]["rounds"] == [900.0, 1000.0]
    assert w1["floor_trials_per_second"] == 2000.0
    assert told["scaling"]["best"] == {"1000": 1e-4, "10000": 1.05e-4}
    assert told["scaling"]["peak_bytes_10000_trials"] == 2**29
    assert told["verdicts"][0]["peer_computed"] is True
    assert told["machine"]["cores"] == 2


def test_table(found):
    lines = str(found).splitlines()
    assert lines[0] == "2 cores, a processor, 2026-01-02T03:04:05+00:00, load 0.25 before the start"
    assert lines[1] == "torch 2.13.0, python 3.11.7"
    assert lines[3].endswith("digits: 200x Opacus in one process, 100x tuned, 50% of the floor")
    rows = {line.strip().split("  ")[0]: line.split() for line in lines[5:12]}
    assert rows["ours"][-6:] == ["1000", "(900)", "1", "2", "256", "1"]
    assert rows["Opacus ghost"][-6:] == ["10", "(9)", "1", "200", "256", "100"]
    assert rows["floor (150 GF/s, 2.00 G normals/s)"][-2:] == ["2000", "0.5"]
    text = str(found)
    assert "best times within 5.0% of each other, CPU times within 10.0%" in text
    assert "1000 trials: 100.0 us a trial (rounds: 120.0, 100.0), 200.0 us CPU" in text
    assert "trains 10,000: 512 MiB" in text
    assert "fault: REFUTED after 20 trials, 4.0 s" in text
    assert "at 100 trials (80% power): 12.5 s with start, computed from 0.1250 s a trial" in text
    assert "no number of trials up to 12,800" in text
    assert lines[-1] == "jax: not installed, skipped"
