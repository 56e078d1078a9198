"""The zoo's own runs: some faults refuted, controls not, and the counts that come of it."""

import numpy as np
import pytest
from scipy.stats import binomtest

import dpaudit as dpa
from dpaudit.mechanisms.faults import View, fault_named
from dpaudit.zoo import run_zoo
from dpaudit.zoo.playing import play
from dpaudit.zoo.running import found_before, ideal_trials


@pytest.fixture(scope="module")
def found():
    return run_zoo(["no_noise", "normalise_by_dataset_size", "exact", "noise_too_large"], seeds=1, audits=5)


def test_faults_are_refuted_and_controls_are_not(found):
    assert [each.fault.name for each in found.faults] == ["no_noise", "normalise_by_dataset_size"]
    assert [each.fault.name for each in found.controls] == ["exact", "noise_too_large"]
    for each in found.faults:  # with the information of ten trials in each, 150 fail once in far more than 1e6
        assert [case.case.view for case in each.cases] == [View.FINAL, View.TRANSCRIPT, View.PROGRAM]
        assert [case.refuted for case in each.cases] == [1, 1, 1]
        assert all(case.median_trials < 150 for case in each.cases)
        assert all(case.statistic for case in each.cases)
        assert each.ideal < 40
        assert each.preflight
        assert each.program_preflight
    for each in found.controls:
        assert each.ideal is None
        assert each.preflight == ()
        for case in each.cases:
            assert case.audits == (1 if case.case.view is View.PROGRAM else 5)
            assert case.p_value == binomtest(case.refuted, case.audits, 0.05, alternative="greater").pvalue
            assert case.as_expected


def test_the_findings_are_one_json_object_and_text(found):
    told = found.to_dict()
    assert told["schema"] == 1
    assert told["settings"]["seeds"] == 1
    first = told["faults"][0]
    assert first["name"] == "no_noise"
    assert first["cases"][0]["verdicts"] == {"REFUTED": 1}
    assert first["cases"][0]["threat_model"] == "final weights"
    assert first["cases"][2]["threat_model"] == "Opacus program"
    assert first["program_preflight"]
    assert told["controls"][0]["program_preflight"] == []
    assert told["controls"][1]["program_preflight"] is None  # it has no program
    assert told["controls"][0]["control"]
    assert "no_noise" in str(found)


@pytest.mark.parametrize("name", ["ghost_loss_broadcast", "nan_canary"])
def test_one_more_fault_under_both_threat_models(name):
    fault = fault_named(name)
    for case in fault.cases:
        report = dpa.audit(
            case.mechanism, case.neighbors, claim=fault.claim, workers=0, max_trials=150, seed=1, preflight=False
        )
        assert report.verdict is dpa.Verdict.REFUTED


def test_every_severity_is_within_forty_ideal_trials():
    for name in ("noise_scaled_by_wrong_clip", "skip_empty_batches", "duplicate_records", "replace_one_claimed"):
        assert 3 < ideal_trials(fault_named(name)) < 40
    assert ideal_trials(fault_named("gdp_clt_accountant")) > 10_000  # FAULTS: preflight's, not the runs'
    assert ideal_trials(fault_named("exact")) is None


def test_preflight_does_not_look_at_what_a_seed_gives_away():
    assert found_before(fault_named("known_seed")) == ()
    assert View.SEED in [case.view for case in fault_named("known_seed").cases]


@pytest.mark.parametrize("given", [{"seeds": 0}, {"max_trials": 0}, {"audits": 0}, {"names": ["no_such"]}])
def test_what_cannot_be_run_is_refused(given):
    with pytest.raises(dpa.UsageError):
        run_zoo(**{"names": ["no_noise"], **given})


def test_the_law_of_a_shift_is_that_of_its_claim():
    """Ideal trials of the truth against itself: the claim holds, and nothing refutes it."""
    fault = fault_named("noise_scaled_by_wrong_clip")
    inside, outside = fault.law(np.random.default_rng(0))
    for eps in (0.5, 2.0):
        delta = (inside > eps).mean() - np.exp(eps) * (outside > eps).mean()
        # 100,000 draws: 5.5 standard errors
        assert delta == pytest.approx(float(fault.truth.profile.in_over_out(eps)), abs=5.5 * np.exp(eps) / 600)


@pytest.mark.parametrize(
    ("name", "view", "most"), [("low_bits", 0, 150), ("nan_canary", 1, 150), ("exact_fused", 0, 30)]
)
def test_an_audit_of_the_zoo_is_dpa_audit(name, view, most):
    fault = fault_named(name)
    case = fault.cases[view]
    report = dpa.audit(
        case.mechanism, case.neighbors, claim=fault.claim, workers=0, max_trials=most, seed=4, preflight=False
    )
    run = play(fault, case, 4, most)
    assert (run.verdict, run.trials) == (report.verdict, report.trials.completed)
    if run.verdict is dpa.Verdict.REFUTED:
        assert run.statistic == report.statistic
