"""The small forms of the black-box audits, in this process: each would take seconds to load torch.

Everything is seeded, so a run repeats exactly on one machine. Where rounding of another machine changes single
trainings, what is asserted lies at least 5 standard errors from what was seen (false failure below 1e-6).
"""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "reproductions"


@pytest.fixture
def script(monkeypatch, capsys):
    """The script's namespace, and what `main` prints with these arguments."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        return runpy.run_path(str(FOLDER / f"{name}.py"))

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, "--quick", "--json", *arguments])
        load(name)["main"]()
        return json.loads(capsys.readouterr().out)

    run.load = load
    return run


def test_clipbkd_on_two_digits(script, tmp_path):
    made = script("clipbkd", "--trials", "120", "--store", str(tmp_path))
    (row,) = made["rows"]
    assert (row["model"], row["published eps"], row["k"], row["trials"]) == ("logistic", 1, 8, 120)
    assert 0.7 < row["exact eps"] < 0.8  # by privacy loss distributions: no chance in it
    assert row["ours, Clopper-Pearson"] < row["exact eps"]
    # mu is 8/5 for the group: 79 % right of 120, 61 % needed for any bound at 99 %, 5 standard errors away
    assert 0 < row["ours, right guesses"] < row["refuted DP-SGD"]
    assert script("clipbkd", "--trials", "120", "--store", str(tmp_path), "--finished")["rows"] == made["rows"]


def test_their_thresholds_are_picked_on_one_half_and_judged_on_the_other(script):
    told = script.load("clipbkd")
    rng = np.random.default_rng(0)
    first = rng.normal(2, 1, 300), rng.normal(0, 1, 300)
    nothing = rng.normal(0, 1, 300), rng.normal(0, 1, 300)
    assert told["theirs"](*first, *first, 1) > 1
    assert told["theirs"](*first, *nothing, 1) < 0.5  # luck of the first half is not judged
    assert told["best_of_all"](*first, 1) >= told["theirs"](*first, *first, 1)
    # 500 perfect trials a world at 99 %: the paper's ceiling
    ones, zeros = np.ones(500), np.zeros(500)
    assert told["bound_at"](0.5, ones, zeros, 1) == pytest.approx(4.54, abs=0.005)


def test_worst_case_start_on_digits(script, tmp_path):
    made = script("worst_case_start", "--store", str(tmp_path))
    (row,) = made["rows"]
    assert (row["model"], row["trials"], row["claimed mu"]) == ("MLP", 200, pytest.approx(2.000, abs=0.001))
    # the canary's loss shows all of mu = 2; 200 trials know it to .17, their estimator's interval to about .3
    assert 1.1 < row["fitted mu (estimate)"] < 2.9
    assert row["both limits together at 95 % (estimate)"] < row["their estimator (estimate)"]
    assert 0.6 < row["right guesses: refuted mu"] < 2.7
    assert row["right guesses: eps, any mechanism"] < 4.21  # what 200 right guesses of 200 would give
    for name in ("right guesses", "betting"):
        assert row[f"{name}: eps, any mechanism"] < row[f"{name}: its eps"]


def test_their_gaussian_estimate_of_known_counts(script):
    told = script.load("worst_case_start")
    # all apart, 100 a world, each limit at 95 %: both rates at most 1 - .05^(1/100) = .02951, so mu = 2 x 1.8876
    values, mask = np.concatenate([np.ones(100), np.zeros(100)]), np.arange(200) < 100
    estimate = told["their_estimator"](values, mask, 0.05)
    assert estimate == pytest.approx(told["epsilon_of"](2 * 1.8876), abs=0.01)
    assert told["epsilon_of"](told["exact_mu"]()) == pytest.approx(10, abs=1e-6)
    assert told["their_estimator"](np.zeros(200), mask, 0.05) == 0.0
