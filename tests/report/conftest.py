"""Reports with known contents; nothing here is random without a seed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dpaudit.claim import Claim
from dpaudit.evidence import LowerBound, TestResult, Verdict
from dpaudit.report import History, Report, TrialCounts
from dpaudit.scores import Scores

sys.path.insert(0, str(Path(__file__).parent))  # for browser, page_reports and parsed, shared by these tests

BATTERY = ("loss", "weight_scale", "failed")


def _scores(n=300, shift=2.0, seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random(n) < 0.5
    return Scores(
        scores={
            "loss": rng.normal(size=n),
            "weight_scale": rng.normal(size=n) + shift * mask,
            "failed": np.zeros(n),
        },
        included_mask=mask,
    )


def _history(wealths, bounds=None):
    wealths = np.asarray(wealths, float)
    n = len(wealths)
    bounds = np.linspace(0, 0.5, n) if bounds is None else np.asarray(bounds, float)
    return History(np.arange(1, n + 1), np.log(wealths), bounds)


@pytest.fixture
def make_scores():
    return _scores


@pytest.fixture
def make_history():
    return _history


@pytest.fixture
def make_report():
    def make(verdict=Verdict.REFUTED, **changes):
        refuted = verdict is Verdict.REFUTED
        facts = {
            "verdict": verdict,
            "claim": Claim(epsilon=0.53, delta=1e-5),
            "lower_bound": LowerBound(
                epsilon=0.5309999 if refuted else 0.0,
                delta=1e-5,
                confidence=0.95,
                method="betting",
                ceiling=1.79999,
                n_included=20,
                n_excluded=21,
            ),
            "test": TestResult(
                refuted=refuted,
                confidence=0.95,
                method="betting",
                p_value=1 / 20.78 if refuted else 1.0,
                e_value=20.78 if refuted else 0.4321,
                trials_used=41,
                statistic="weight_scale",
                details={"crossed_at": 41 if refuted else None, "guesses": {"right": 14, "wrong": 0, "abstained": 27}},
            ),
            "trials": TrialCounts(requested=1000, completed=41, included=20, excluded=21, after_stop=3),
            "statistic": "weight_scale",
            "battery": BATTERY,
            "power": {"perfect_trials": 13},
            "confidence": 0.95,
            "seed": 7,
            "method": "betting over all, both signs",
            "engine": "native (implementation)",
            "versions": {"dpaudit": "0.1.0", "torch": "2.13.0"},
            "threat_model": "black box, final weights, start known",
            "canary": "extreme(scale=100)",
            "reproduce": "dpaudit run examples/spec.py --seed 7",
            "fingerprint": "0123456789abcdef",
            "timings": {"trials": 12.5},
        }
        return Report(**{**facts, **changes})

    return make
