"""What an audit costs is said before it starts, and decides nothing."""

import io
import time

import pytest
from audit_worlds import essence

import dpaudit as dpa
from dpaudit._cost import Cost, measured
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.trials import Outcome, Pilot, Progress, Status, Trial

DP_SGD = dpa.Claim.dp_sgd(noise_multiplier=1.1, sample_rate=0.05, steps=200, delta=1e-5)


def pilot(*seconds):
    runs = [Outcome(Trial(i, included=False, seed=i), Status.OK, {}, seconds=s) for i, s in enumerate(seconds)]
    return Pilot(*runs)


def cost(claim=DP_SGD, *, trials=1000, limit=None, seconds=(9.0, 8.0, 5.0, 4.0), together=False):
    return measured(
        pilot(*seconds),
        claim,
        confidence=0.95,
        trials=trials,
        workers=2,
        perfect=13,
        limit=limit,
        together=together,
    )


def test_the_imports_of_the_first_runs_are_not_counted():
    assert cost().seconds == 5.0
    assert cost().at_most == 2500.0


def test_what_is_said():
    first, second = str(cost()).splitlines()
    assert first == "cost: 5 s a trial, 2 workers; 1000 trials take at most 41.7 min"
    assert "perfect scores would refute at trial 13 (32 s)" in second
    assert "half the noise needs about 23 trials (58 s)" in second


def test_cheaper_games_are_named_when_it_is_too_long():
    text = str(cost(limit=600.0))
    assert "more than the limit of 10.0 min" in text
    for game in ("OpacusStep", "OpacusTranscript", "audit_one_run", "ensemble"):
        assert game in text
    assert "cheaper" not in str(cost(limit=3000.0))
    assert "more than an hour" in str(cost(trials=2000))
    together = str(cost(dpa.Claim(epsilon=1.0), limit=600.0, together=True))
    assert "ensemble" not in together
    assert "OpacusStep" not in together
    assert "audit_one_run" in together


@pytest.mark.parametrize(
    ("claim", "least", "most"),
    [
        (dpa.Claim.gaussian(mu=1.0, delta=1e-5), 37, 74),  # the limit, and twice that
        (dpa.Claim.gaussian(mu=0.5, delta=1e-5), 108, 216),
        (dpa.Claim.gaussian(mu=2.0, delta=1e-5), 25, 50),
        (DP_SGD, 15, 60),
    ],
)
def test_half_the_noise(claim, least, most):
    assert least <= cost(claim).halved <= most


def test_a_claim_without_noise_has_no_such_number():
    assert cost(dpa.Claim(epsilon=1.0)).halved is None


def test_few_trials_use_few_workers():
    one = Cost(seconds=5.0, trials=1, workers=16, perfect=None)
    assert one.at_most == 5.0
    assert Cost(seconds=5.0, trials=0, workers=2, perfect=None).at_most == 0.0


def test_it_is_said_before_the_first_trial_and_changes_nothing():
    def train(data, seed):
        time.sleep(0.005)
        return float(data) + seed / 2**40

    def run(progress):
        audit = dpa.Audit(train, zero_or_one(), claim=dpa.Claim(epsilon=1.0), max_trials=40, workers=0)
        return audit.run(progress=progress)

    stream = io.StringIO()
    told = run(Progress(stream=stream))
    assert stream.getvalue().startswith("cost: ")
    assert "39 trials take at most" in stream.getvalue()
    assert essence(told) == essence(run(None))
    assert told.timings["estimated_trial_seconds"] >= 0.005
    assert told.timings["estimated_seconds_at_most"] == pytest.approx(39 * told.timings["estimated_trial_seconds"])
