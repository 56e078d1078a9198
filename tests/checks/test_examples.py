"""Preflight of every example: which fault is named first, and that the honest twins are left alone."""

from pathlib import Path

import pytest

import dpaudit as dpa
from dpaudit._spec import load_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
FIRST = {
    "ensemble_digits": None,
    "numbers_only": None,
    "own_loop": None,
    "opacus_batchnorm": "records apart",
    "opacus_broken_memory_manager": "sampler",
    "opacus_broken_memory_manager_mended": None,
    "opacus_closure": None,
    "opacus_dataset_size": "data-set size",
    "opacus_dataset_size_zeroed": None,
    "opacus_digits": None,
    "opacus_fixed_order": "sampler",
    "opacus_ghost_regression": "clipping",
    "opacus_ghost_regression_squeezed": None,
    "opacus_huge_record": None,
    "opacus_layernorm": None,
    "opacus_missing_noise": "accounting",
    "opacus_non_finite": "non-finite records",
    "opacus_known_seed": None,
    "opacus_known_seed_secret": None,
    "opacus_poisson_order": None,
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_fault_of_an_example(name, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    audit = load_spec(EXAMPLES / f"{name}.py").audit
    found = dpa.preflight(audit.train, audit.neighbors, audit.claim, seed=audit.seed)
    assert (found.faults[0].check if found.faults else None) == FIRST[name], str(found)


def test_the_ghost_regression_names_clipping(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    audit = load_spec(EXAMPLES / "opacus_ghost_regression.py").audit
    (fault,) = dpa.preflight(audit.train, audit.neighbors, audit.claim).faults
    assert (fault.cause, fault.p_value) == ("clipping", None)
