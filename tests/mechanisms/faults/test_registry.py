"""The zoo holds every fault of FAULTS section 2, each complete."""

import pytest

import dpaudit as dpa
from dpaudit.adjacency import Adjacency
from dpaudit.mechanisms import Mechanism
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, View, fault_named

PLANNED_TEXT = """
no_noise closure_overwrites_noise ghost_loss_broadcast noise_div_batch_twice noise_scaled_by_wrong_clip batch_clip
clip_after_noise normalise_by_dataset_size normalise_by_actual_batch skip_empty_batches shuffle_as_poisson
sample_rate_misreported replace_one_claimed gdp_clt_accountant steps_undercounted reused_prng_key_per_leaf
reused_prng_key_per_step known_seed raw_grad_accumulates max_vs_min_clip clip_by_value norm_squared_compared
first_leaf_unnoised nan_canary batchnorm_running_stats functional_batchnorm standardise_on_private_data
momentum_from_raw_gradients adaptive_clip_unnoised duplicate_records gradient_accumulation_uncounted
noise_divided_by_workers backpropagation_clipping low_bits
"""
PLANNED = PLANNED_TEXT.split()
RIGHT_TEXT = """
exact exact_fused exact_per_layer noise_too_large wrong_public_constant canary_1e38 full_batch ghost_batch_of_one
momentum_on_privatised adam_on_privatised gradient_accumulation
"""
RIGHT = RIGHT_TEXT.split()


def test_the_list_is_complete():
    assert sorted(FAULTS) == sorted(PLANNED)
    assert sorted(CONTROLS) == sorted(RIGHT)


def test_there_is_no_other_fault():
    with pytest.raises(dpa.UsageError, match="unknown fault"):
        fault_named("no_such_fault")


@pytest.mark.parametrize("name", [*PLANNED, *RIGHT])
def test_each_is_whole(name):
    fault = fault_named(name)
    assert fault.name == name
    assert fault.line
    assert fault.severity
    assert fault.basis
    assert fault.control == (name in RIGHT)
    assert {View.FINAL, View.TRANSCRIPT} <= {case.view for case in fault.cases}
    assert fault.to_dict()["claim"]["epsilon"] > 0
    for case in fault.cases:
        assert isinstance(case.mechanism, Mechanism)
        assert case.neighbors.adjacency is fault.claim.adjacency
        assert case.visible or case.why
        assert "0x" not in repr(case.mechanism)
        seeds = [3, 2**32 - 1]
        releases = case.mechanism.run_many(case.neighbors, [True, False], seeds)
        assert len(releases) == 2
        assert isinstance(releases[0].value, dpa.Transcript) == (case.view is not View.FINAL)
    if not fault.control and fault.truth is not None:  # the truth is worse than the claim
        eps = 0.5 * fault.claim.epsilon()
        assert fault.truth.delta(eps) > fault.claim.delta(eps) or name == "gdp_clt_accountant"
    if fault.claim.adjacency is Adjacency.REPLACE_ONE:
        assert name in ("replace_one_claimed", "ghost_batch_of_one")
