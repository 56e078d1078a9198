import subprocess
import sys

import pytest
from audit_worlds import ROOT

import dpaudit as dpa

HEAVY = {
    "torch",
    "opacus",
    "matplotlib",
    "pandas",
    "statsmodels",
    "dp_accounting",
    "sklearn",
    "scipy.stats",
    "rich",
    "typer",
    "loky",
    "cloudpickle",
    "numba",
    "jinja2",
}


def loaded_by(code):
    script = f"import sys; sys.path.insert(0, {ROOT!r})\n{code}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_dpaudit_takes_numpy_and_nothing_heavier():
    found = loaded_by("import dpaudit; dpaudit.Adjacency")
    assert "dpaudit.adjacency" in found
    assert not found & HEAVY


def test_every_public_name_without_torch():
    """Looking at a name is free of torch, opacus and plots; typer and rich belong to the command line."""
    found = loaded_by("import dpaudit as d; [getattr(d, n) for n in d.__all__]; d.Claim(epsilon=1.0)")
    assert {"numpy", "dpaudit._audit", "dpaudit.claim"} <= found
    assert not found & HEAVY


def test_the_entry_point_itself_is_light():
    found = loaded_by("import dpaudit.cli")
    assert "dpaudit.cli" in found
    assert not found & HEAVY


@pytest.mark.parametrize("name", dpa.__all__)
def test_every_public_name_resolves_twice_to_the_same_thing(name):
    """A submodule of the same name would replace a function after its first use (DECISIONS 24)."""
    first = getattr(dpa, name)
    if callable(first) and name in ("audit", "test", "lower_bound", "plan"):
        with pytest.raises(TypeError):
            first()  # runs its lazy imports, if only to find its arguments missing
    assert getattr(dpa, name) is first


def test_functions_stay_functions_after_their_first_use():
    scores = dpa.Scores(included=[2.0, 3.0, 4.0], excluded=[0.0, 1.0, -1.0])
    claim = dpa.Claim(epsilon=1.0)
    for _ in range(2):
        assert not dpa.test(scores, claim).refuted
        assert dpa.lower_bound(scores).epsilon == 0.0
        assert dpa.plan(claim).perfect_trials > 3


def test_all_is_sorted_and_what_dir_shows():
    assert list(dpa.__all__) == sorted(dpa.__all__)
    assert dir(dpa) == list(dpa.__all__)
    for module in (dpa.attacks, dpa.mechanisms, dpa.methods, dpa.report, dpa.datasets):
        assert all(hasattr(module, name) for name in module.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dpa.nothing


def test_pytest_does_not_collect_our_test_function():
    assert dpa.test.__test__ is False
    assert dpa.TestResult.__test__ is False
