"""The small forms of the white-box reproductions. Chances of a false failure are those of fair draws, seed apart."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import dpaudit as dpa

FOLDER = Path(__file__).parents[2] / "examples" / "reproductions"


@pytest.fixture
def script(monkeypatch):
    """A script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("tight_white_box", "hidden_state", "_result")
    yield lambda name: importlib.import_module(name)
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def rows(script, capsys):
    def rows(name, *arguments):
        script(name).main(["--quick", "--json", *map(str, arguments)])
        return json.loads(capsys.readouterr().out)["rows"]

    return rows


def test_steps_are_refuted_up_to_near_the_truth(rows, tmp_path):
    step, training = rows("tight_white_box", "--store", tmp_path)
    assert (step["what"], step["observations"], step["audits"]) == ("one step", 1000, 3)
    # right guesses at mu 1.55: share .91 +- .06, so three below .5 have a chance under 1e-10; the rest is slacker
    assert step["right guesses: least"] > 0.5
    assert step["clopper-pearson: least"] > 0.3
    # the noise .646, of a mu of 1.55 +- .09
    assert 0.45 < step["effective noise (estimate): median"] < 1.0
    assert (training["what"], training["observations"]) == ("training", 30)
    assert training["noise"] == step["noise"]
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [
        "step-7-1-40-0-1000.npz",
        "step-7-1-40-1-1000.npz",
        "step-7-1-40-2-1000.npz",
        "training-7-2-40-0-30.npz",
    ]


def test_what_is_kept_is_not_made_again(script, tmp_path):
    kept = script("tight_white_box").kept
    made = kept(tmp_path, "some", lambda: {"scores": np.arange(3.0)})
    again = kept(tmp_path, "some", lambda: pytest.fail("made again"))
    assert again["scores"].tolist() == made["scores"].tolist()


def test_the_noise_of_a_training_from_its_right_guesses(script):
    tight = script("tight_white_box")
    right = (1 + float(tight.claimed(0.6).delta(0.0))) / 2
    coins = np.arange(100_000) % 2 == 0
    wrong = np.arange(len(coins)) >= round(right * len(coins))
    made = {"scores": np.where(coins ^ wrong, 1.0, -1.0), "coins": coins}
    assert tight.training_noise(made) == pytest.approx(0.6, rel=5e-3)


def test_a_share_is_of_mu_or_of_the_noise(script):
    share = script("tight_white_box").share
    coins = np.arange(10_000) % 2 == 0
    made = {"scores": np.where(coins, 1.0, 0.0), "coins": coins}  # all guesses are right: far above the truth
    method = dpa.methods.RightGuesses(0.5)
    assert share(method, made, dpa.Claim.gaussian(mu=1.0)) > 5
    assert share(method, made | {"scores": 1 - made["scores"]}, dpa.Claim.gaussian(mu=1.0)) == 0.0
    dp_sgd = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=0.5, steps=1, interval=4e-3)
    right = np.arange(len(coins)) < 6250  # .617 at 95 %: as many as noise .8 allows, (1 + its delta at eps 0) / 2
    some = {"scores": np.where(coins == right, 1.0, 0.0), "coins": coins}
    assert share(method, some, dp_sgd) == pytest.approx(1 / 0.8, rel=0.02)


def test_last_weights_show_what_was_inserted(rows):
    tight, gap = rows("hidden_state")
    assert (tight["share at best"], gap["share at best"]) == (1.0, 0.7071)
    # three audits of 500 at mu .92: share .79 +- .13 each; below 0 only past 6 of these
    assert tight["right guesses: median share"] > 0.1
    # all 1,500 together: 1 +- .073
    assert tight["share of the truth (estimate)"] == pytest.approx(1.0, abs=0.4)
    assert (tight["published"], gap["published"]) == ("tight", "a gap")


@pytest.mark.parametrize("k", [1, 2])
def test_without_noise_the_change_is_the_number_of_insertions(script, k):
    hidden = script("hidden_state")
    at = hidden.quiet_weight()
    setting = hidden.every_kth(4.0, at, k) if k > 1 else hidden.every_step("each", 4.0, at, True)
    made = hidden.scores(dataclasses.replace(setting, noise=0.0), [1], 20)
    assert 0 < made["coins"].sum() < 20
    assert made["scores"] == pytest.approx(250.0 * made["coins"], rel=1e-3, abs=1e-3)
    assert setting.threshold == 125


def test_equal_likelihood_of_a_noised_number_of_insertions(script):
    cut, distance = script("hidden_state").equal_likelihood(2.0)
    rng = np.random.default_rng(0)
    noise = 2.0 * np.sqrt(250) * rng.normal(size=(2, 400_000))
    inside, outside = noise[0] + rng.binomial(250, 0.1, 400_000), noise[1]
    seen = [(inside >= at).mean() - (outside >= at).mean() for at in (cut, cut - 8, cut + 8)]
    # each mean is within .0008 (one standard deviation); 6 of these for the difference of two
    assert seen[0] == pytest.approx(distance, abs=0.0068)
    assert distance > max(seen[1:])
