"""Every example runs as it stands; the honest ones with fewer trials than a user would take."""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dpaudit import Verdict
from dpaudit._spec import load_spec, load_study

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = {  # name: (verdict, trials; None for the example's own)
    "opacus_ghost_regression": (Verdict.REFUTED, None),
    "opacus_missing_noise": (Verdict.REFUTED, None),
    "opacus_ghost_regression_squeezed": (Verdict.NOT_REFUTED, 60),
    "opacus_digits": (Verdict.NOT_REFUTED, 60),
    "opacus_dataset_size": (Verdict.REFUTED, None),
    "opacus_dataset_size_zeroed": (Verdict.NOT_REFUTED, 60),
    "opacus_batchnorm": (Verdict.REFUTED, None),
    "opacus_layernorm": (Verdict.NOT_REFUTED, 60),
    "opacus_non_finite": (Verdict.REFUTED, None),
    "opacus_huge_record": (Verdict.NOT_REFUTED, 60),
    "opacus_broken_memory_manager": (Verdict.REFUTED, None),
    "opacus_broken_memory_manager_mended": (Verdict.NOT_REFUTED, 60),
    "opacus_closure": (Verdict.NOT_REFUTED, 60),
    "opacus_fixed_order": (Verdict.REFUTED, None),
    "opacus_known_seed": (Verdict.REFUTED, None),
    "opacus_known_seed_secret": (Verdict.NOT_REFUTED, 60),
    "opacus_poisson_order": (Verdict.NOT_REFUTED, 60),
    "white_box_opacus": (Verdict.REFUTED, None),
    "own_loop": (Verdict.NOT_REFUTED, 100),
    "numbers_only": (Verdict.NOT_REFUTED, None),
    "ensemble_digits": (Verdict.NOT_REFUTED, 300),
    "dataframe": (Verdict.REFUTED, None),
    "hugging_face": (Verdict.NOT_REFUTED, 30),
    "composed_claim": (Verdict.REFUTED, None),
}
STUDIES = {"membership_digits": 0.6}  # name: the least AUC of its strongest attack
SCRIPTS = {"headline", "reliability", "validity_table", "scale_dask", "scale_ray"}
REAL = {"opacus_ddp", "opacus_lightning", "opacus_transformer"}  # see test_real_trainings.py


@pytest.mark.parametrize("name", SPECS)
def test_spec(name: str) -> None:
    expected, trials = SPECS[name]
    audit = load_spec(EXAMPLES / f"{name}.py").audit
    workers = None if name == "opacus_ghost_regression" else 0  # processes once: each start imports torch anew
    report = replace(audit, max_trials=trials or audit.max_trials, workers=workers).run()
    assert report.verdict is expected, str(report)
    assert report.trials.failed == report.trials.lost == 0


@pytest.mark.parametrize("name", STUDIES)
def test_study(name: str) -> None:
    report = replace(load_study(EXAMPLES / f"{name}.py"), workers=0).run()
    assert report.strongest.auc > STUDIES[name], str(report)
    assert report.skipped == ()


def test_every_example_is_here_and_short() -> None:
    found = {path.stem: path for path in EXAMPLES.glob("*.py")}
    assert found.keys() == SPECS.keys() | STUDIES.keys() | SCRIPTS | REAL
    too_long = [name for name, path in found.items() if len(path.read_text().splitlines()) >= 80]
    assert not too_long


def test_headline_names_specs_and_their_verdicts() -> None:
    """The script itself is `make audit`; that its expectations are those tested above is checked here."""
    expected = runpy.run_path(str(EXAMPLES / "headline.py"))["EXPECTED"]
    assert {name: SPECS[name][0] for name in expected} == expected


def test_reliability_prints_a_row() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "reliability.py"), "--only", "opacus_ghost_regression", "--seeds", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "opacus_ghost_regression               1/1" in done.stdout
