"""Evidence of several audits: products and means of e-values, and what may not be combined."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from audit_worlds import write_spec
from scipy.stats import binomtest

from dpaudit import Verdict
from dpaudit._combine import Evidence, combine
from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.betting import Betting, race

CLAIM = Claim(epsilon=1.0).to_dict()


def evidence(e: float, seed: int, *, conclusive: bool = True) -> Evidence:
    return Evidence(f"runs/{seed}", math.log(e), CLAIM, seed, conclusive)


def test_products_and_means() -> None:
    parts = [evidence(5.0, 1), evidence(6.0, 2), evidence(0.9, 3)]
    product = combine(parts)
    assert product.verdict is Verdict.REFUTED
    assert product.log_e == pytest.approx(math.log(27.0))
    mean = combine(parts, how="mean")
    assert mean.verdict is Verdict.NOT_REFUTED
    assert mean.log_e == pytest.approx(math.log(11.9 / 3))
    assert "27" in str(product)


def test_beyond_float_range_and_nothing_learned() -> None:
    huge = [replace(evidence(2.0, i), log_e=600.0) for i in range(4)]
    assert combine(huge).log_e == 2400.0
    assert combine(huge, how="mean").log_e == pytest.approx(600.0)
    assert combine(huge).to_dict()["e_value"] == math.inf
    assert combine([evidence(1.0, 1, conclusive=False)]).verdict is Verdict.INCONCLUSIVE


def test_what_may_not_be_combined() -> None:
    with pytest.raises(UsageError, match="share a seed"):
        combine([evidence(5.0, 1), evidence(5.0, 1)])
    assert combine([evidence(5.0, 1), evidence(5.0, 1)], how="mean").log_e == pytest.approx(math.log(5))
    other = replace(evidence(5.0, 2), claim=Claim(epsilon=2.0).to_dict())
    with pytest.raises(UsageError, match="different claims"):
        combine([evidence(5.0, 1), other])
    for wrong in (lambda: combine([]), lambda: combine([evidence(1.0, 1)], how="best")):
        with pytest.raises(UsageError):
            wrong()


def test_twenty_nights_of_a_true_claim_raise_no_alarm() -> None:
    """Gaussian mechanism at its exact claim: 80 seasons of twenty nights, each combined into one statement."""
    rng = np.random.default_rng(0)
    coins = rng.random((1600, 60)) < 0.5
    values = coins + rng.standard_normal(coins.shape)
    claim = Claim.gaussian(mu=1)
    alarms = {"product": 0, "mean": 0}
    # the wealth AT stopping, as a report has it
    nights = race(Betting(), claim, 0.95, values, coins).log_wealth_at_stopping.reshape(80, 20)
    for season in nights:
        parts = [Evidence(str(i), float(log_e), claim.to_dict(), i, True) for i, log_e in enumerate(season)]
        for how in alarms:
            alarms[how] += combine(parts, how=how).verdict is Verdict.REFUTED
    for count in alarms.values():
        assert binomtest(count, 80, 0.05, alternative="greater").pvalue > 1e-6


def test_folders_from_the_command_line(dpaudit, refused, tmp_path) -> None:
    spec = write_spec(tmp_path, epsilon=0.05, trials=60)
    for seed in (1, 2, 3):
        assert dpaudit("run", spec, "--seed", seed, "--out", f"runs/{seed}")[0] in (0, 1)
    code, out, err = dpaudit("combine", "runs/1", "runs/2", "runs/3", "--json")
    told = json.loads(out)
    assert code == {"REFUTED": 1, "NOT_REFUTED": 0}[told["verdict"]]
    parts = [json.loads((tmp_path / "runs" / str(i) / "report.json").read_text()) for i in (1, 2, 3)]
    product = math.prod(part["test"]["e_value"] for part in parts)
    assert told["e_value"] == pytest.approx(product)
    assert err.startswith(told["verdict"])
    assert "share a seed" in refused("combine", "runs/1", "runs/1")
    assert "no report" in refused("combine", "runs/9")
    (tmp_path / "report.json").write_text("{}")
    assert "not the report of an audit" in refused("combine", ".")


def test_trials_that_repeat_one_another_are_no_evidence(refused, tmp_path) -> None:
    import dpaudit as dpa
    from dpaudit.mechanisms.known import zero_or_one

    report = dpa.audit(lambda data, seed: float(data), zero_or_one(), claim=dpa.Claim(epsilon=0.1), workers=0)
    report.save(tmp_path / "same")
    assert "repeated one another" in refused("combine", "same")
