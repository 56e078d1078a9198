"""Preflight of the zoo: what it names, and that it accuses no control."""

import pytest

import dpaudit as dpa
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, fault_named

UNSEEN = {"low_bits"}  # noise on a grid: no check reads the last bits
CHECK = {  # one of these is named first
    "no_noise": {"noise scale"},
    "closure_overwrites_noise": {"clipping"},
    "ghost_loss_broadcast": {"clipping"},
    "noise_div_batch_twice": {"noise scale"},
    "noise_scaled_by_wrong_clip": {"noise scale"},
    "batch_clip": {"clipping"},
    "clip_after_noise": {"clipping"},
    "normalise_by_dataset_size": {"noise in both worlds", "noise scale", "after the noise"},
    "normalise_by_actual_batch": {"noise in both worlds", "noise scale", "after the noise"},
    "skip_empty_batches": {"empty batches", "after the noise", "noise scale"},
    "shuffle_as_poisson": {"sampler"},
    "sample_rate_misreported": {"sampler"},
    "replace_one_claimed": {"accounting"},
    "gdp_clt_accountant": {"accounting"},
    "steps_undercounted": {"accounting"},
    "reused_prng_key_per_leaf": {"noise reuse"},
    "reused_prng_key_per_step": {"noise reuse"},
    "raw_grad_accumulates": {"clipping"},
    "max_vs_min_clip": {"clipping"},
    "clip_by_value": {"clipping"},
    "first_leaf_unnoised": {"noise scale"},
    "nan_canary": {"non-finite records"},
    "batchnorm_running_stats": {"after the noise"},
    "functional_batchnorm": {"records apart"},
    "standardise_on_private_data": {"records"},
    "momentum_from_raw_gradients": {"after the noise"},
    "adaptive_clip_unnoised": {"clipping"},
    "duplicate_records": {"records"},
    "gradient_accumulation_uncounted": {"sampler"},
    "noise_divided_by_workers": {"noise scale"},
    "backpropagation_clipping": {"noise scale"},
}


def seen(name):
    """The first faults of all its threat models, and what was seen in them."""
    fault = fault_named(name)
    return [dpa.preflight(case.mechanism, case.neighbors, fault.claim) for case in fault.cases]


@pytest.mark.parametrize("name", CONTROLS)
def test_no_control_is_accused(name):
    """A right mechanism is accused with probability below 1e-6: only the tests of noise and batches are random."""
    for found in seen(name):
        assert found.faults == (), str(found)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in UNSEEN])
def test_every_fault_but_one_is_named(name):
    accused = [found.faults[0] for found in seen(name) if found.faults]
    assert accused
    assert all(fault.cause and fault.remedy and fault.measured for fault in accused)
    if name in CHECK:
        assert {fault.check for fault in accused} <= CHECK[name]


def test_what_no_check_can_see_is_not_called_passed():
    for name in UNSEEN:
        assert not any(found.faults for found in seen(name))
