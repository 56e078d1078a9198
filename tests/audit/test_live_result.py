"""The result of what watched a run, and the result of the test replayed from its ledger: one and the same."""

import pytest
from audit_worlds import essence

import dpaudit as dpa
from dpaudit._audit import judge_ledger
from dpaudit._facts import Facts
from dpaudit.mechanisms.known import GaussianMechanism, Laplace, zero_or_one
from dpaudit.methods.betting import BettorMonitor
from dpaudit.trials import Ledger


@pytest.fixture
def took(monkeypatch):
    """What every monitor said when it was asked whether it took the trials to be judged."""
    said, asked = [], BettorMonitor.took
    monkeypatch.setattr(BettorMonitor, "took", lambda self, *given: said.append(asked(self, *given)) or said[-1])
    return said


def replayed(folder):
    with Ledger.read_only(folder) as ledger:
        return judge_ledger(ledger, Facts.from_dict(ledger.facts).the_claim(), dpa.methods.Betting())


class Stumbling(Laplace):
    """Fails in every seventh training or so: trials without statistics."""

    def run(self, data, seed):
        if seed % 7 == 3:
            raise ValueError("no luck")
        return super().run(data, seed)


@pytest.mark.parametrize(
    ("mechanism", "claim", "refuted"),
    [
        (Laplace(3.0), dpa.Claim(epsilon=0.5), True),
        (Laplace(1.0), dpa.Claim(epsilon=1.0), False),
        (GaussianMechanism(1.0), dpa.Claim.gaussian(mu=1.0), False),
        (Stumbling(1.0), dpa.Claim(epsilon=1.0), False),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_live_and_replayed_are_equal(tmp_path, took, mechanism, claim, refuted, workers):
    live = dpa.audit(mechanism, zero_or_one(), claim=claim, max_trials=90, workers=workers, ledger=tmp_path)
    assert took == [True], "the result was taken from what watched the run"
    assert (live.verdict is dpa.Verdict.REFUTED) == refuted
    assert essence(replayed(tmp_path)) == essence(live)


def test_after_a_resume_it_has_taken_the_earlier_trials_too(tmp_path, took):
    setting = {"claim": dpa.Claim(epsilon=1.0), "workers": 0, "ledger": tmp_path}
    dpa.audit(Laplace(1.0), zero_or_one(), max_trials=40, **setting)
    longer = dpa.audit(Laplace(1.0), zero_or_one(), max_trials=90, **setting)
    assert took == [True, True]
    assert longer.trials.completed == 90
    assert essence(replayed(tmp_path)) == essence(longer)


def test_where_a_ledger_holds_other_trials_they_are_replayed(tmp_path, took, monkeypatch):
    """As if the disk had kept something else than what was played."""
    extend = BettorMonitor.extend
    monkeypatch.setattr(
        BettorMonitor, "extend", lambda self, values, *rest: extend(self, values + (len(values) == 1), *rest)
    )
    live = dpa.audit(Laplace(1.0), zero_or_one(), claim=dpa.Claim(epsilon=1.0), max_trials=40, ledger=tmp_path)
    assert took == [False]
    assert essence(replayed(tmp_path)) == essence(live)
