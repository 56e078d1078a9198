"""Shuffling accounted as Poisson in its small form, and the picture of all bounds."""

import argparse
import json
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "reproductions"
RESULTS = [json.loads(path.read_text()) for path in sorted((FOLDER / "results").glob("*.json"))]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return lambda name: runpy.run_path(str(FOLDER / f"{name}.py"))


def test_a_shuffle_is_refuted_and_poisson_batches_are_as_claimed(load, capsys, tmp_path, monkeypatch):
    """400 trials a row. The shuffle is guessed right .743 of the time, and .603 refute (sd .022): 6 sd, 1 in 10^9.

    The control keeps the claim: more right guesses than are allowed and 6 sd are as rare.
    """
    script = load("shuffling")
    script["main"](["--quick", "--json", "--store", str(tmp_path)])
    shuffled, poisson = json.loads(capsys.readouterr().out)["rows"]
    assert shuffled["refuted"]
    assert shuffled["noise refuted"] < shuffled["noise multiplier"]
    assert shuffled["eps refuted"] > shuffled["claimed eps"] == pytest.approx(4, abs=0.1)
    assert poisson["batches"] == "Poisson"
    assert poisson["right guesses"] < poisson["claim allows"] + 6 * 0.025
    monkeypatch.setitem(script["row_of"].__globals__, "scores_of", None)  # all trials are kept: none is played again
    again = script["row_of"](script["settings"](True)[1], 400, argparse.Namespace(store=str(tmp_path), seed=7))
    assert again["right guesses"] == poisson["right guesses"]


@pytest.mark.parametrize("what", ["canary alone", "others pull back"])
def test_the_trainings_follow_the_law_that_thresholds_come_from(load, what):
    """2,000 trainings and 20,000 draws: means of either world within 6 standard errors, once in 10^9 further apart."""
    script = load("shuffling")
    setting = script["Setting"](what, 4.0, 5, 2, known=1.2)
    scores, coins = script["scores_of"](setting, 2000, seed=3)
    for world in (False, True):
        seen, law = scores[coins == world], script["drawn"](setting, world)
        error = np.sqrt(seen.var() / len(seen) + law.var() / len(law))
        assert abs(seen.mean() - law.mean()) < 6 * error


def test_the_canary_is_clipped_to_the_bound_and_the_others_are_where_they_should_be(load):
    script = load("shuffling")
    for what, without, with_it in (("canary alone", [0, 0, 0], [0, 0, 1]), ("others pull back", [0, 0, 1], [0, 0, 2])):
        setting = script["Setting"](what, 4.0, 3, 1, known=1e-6)
        neighbors, mechanism = script["world"](setting)
        for included, expected in ((False, without), (True, with_it)):
            release = mechanism.run_many(neighbors, [included], [5])[0]
            sums = release.value.units[:, 0] + script["BATCH"] * (what == "others pull back")
            assert np.sort(sums) == pytest.approx(expected, abs=1e-3)


def test_the_picture_has_a_mark_for_each_row_and_the_same_bytes(load, tmp_path):
    script = load("table")
    script["draw"](RESULTS, tmp_path / "one.svg")
    script["draw"](RESULTS, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert "<dc:date>" not in text
    drawn = script["points"](RESULTS)
    assert "steinke_one_run" in drawn
    marks = [each for each in ET.fromstring(text).iter() if each.get("id", "").startswith("PathCollection")]
    assert len(marks) >= len(drawn)
    words = "\n".join(script["text_alternative"](RESULTS))
    assert all(script["SHAPES"].get(name, (name,))[0] in words for name in drawn)
    assert "results/bounds.svg" in words


def test_the_picture_in_the_folder_is_what_the_results_say(load, tmp_path):
    """Drawn by `table.py --picture`; only this version of matplotlib has these bytes."""
    kept = (FOLDER / "results" / "bounds.svg").read_text()
    if f"Matplotlib v{mpl.__version__}," not in kept:
        pytest.skip(f"drawn with another matplotlib than {mpl.__version__}")
    load("table")["draw"](RESULTS, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == kept
