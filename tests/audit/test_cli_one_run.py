"""One-run scores from the command line and from Python."""

import json

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.methods import OneRun


@pytest.fixture
def canaries(tmp_path):
    rng = np.random.default_rng(0)
    mask = rng.random(1000) < 0.5
    scores = 2.0 * mask + rng.normal(size=1000)
    np.savez(tmp_path / "scores.npz", scores=scores, included_mask=mask)
    return dpa.Scores.one_run(scores=scores, included_mask=mask)


def test_defaults_follow_the_game(canaries):
    claim = dpa.Claim(epsilon=1.0, delta=1e-5)
    result = dpa.test(canaries, claim)
    assert result.refuted
    assert result.method.startswith("one-run-fdp")
    assert 1.0 < dpa.lower_bound(canaries, delta=1e-5).epsilon < 6.0
    assert dpa.test(canaries, claim, method=OneRun()).refuted


@pytest.mark.parametrize("method", ["one-run", "one-run-fdp"])
def test_refuted_from_a_file(canaries, dpaudit, method):
    words = ("scores", "scores.npz", "--game", "one-run", "--delta", "1e-5", "--json", "--method", method)
    code, out, err = dpaudit(*words, "--epsilon", "1")
    told = json.loads(out)
    assert (code, told["verdict"]) == (1, "REFUTED")
    assert told["test"]["details"]["canaries"] == 1000
    assert "1000 canaries" in err
    code, out, _ = dpaudit(*words, "--epsilon", "4")
    assert (code, json.loads(out)["verdict"]) == (0, "NOT_REFUTED")
    code, out, _ = dpaudit(*words, "--epsilon", "20")
    assert (code, json.loads(out)["verdict"]) == (3, "INCONCLUSIVE")


def test_the_wrong_game_is_refused(canaries, refused, tmp_path):
    assert "many-runs scores" in refused(
        "scores", "scores.npz", "--epsilon", "1", "--game", "one-run", "--method", "betting"
    )
    assert "one-run scores" in refused("scores", "scores.npz", "--epsilon", "1", "--method", "one-run")
    np.savez(tmp_path / "worlds.npz", included=[1.0, 2.0], excluded=[0.0, 1.0])
    assert "coin" in refused("scores", "worlds.npz", "--epsilon", "1", "--game", "one-run")
    assert "unknown game" in refused("scores", "scores.npz", "--epsilon", "1", "--game", "two-runs")
