import sys

import pytest

import dpaudit as dpa
from dpaudit._spec import load_spec

TEXT = """
import dpaudit as dpa
from dpaudit.mechanisms.known import Laplace, zero_or_one
{more}
audit = dpa.Audit(Laplace(1.0), zero_or_one(), claim=dpa.Claim(epsilon=1.0), workers=0, max_trials=30)
"""


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(folder, more="", name="spec.py"):
    path = folder / name
    path.write_text(TEXT.format(more=more))
    return path


def test_a_spec_defines_an_audit(tmp_path):
    loaded = load_spec(write(tmp_path))
    assert isinstance(loaded.audit, dpa.Audit)
    assert loaded.audit.max_trials == 30
    assert loaded.audit.run().verdict is dpa.Verdict.NOT_REFUTED


def test_the_digest_is_that_of_the_source_that_ran(tmp_path):
    one = load_spec(write(tmp_path)).code
    assert load_spec(write(tmp_path)).code == one
    assert load_spec(write(tmp_path, more="x = 1")).code != one
    rewriting = "from pathlib import Path; Path(__file__).write_text('')"
    code = load_spec(write(tmp_path, more=rewriting)).code
    assert load_spec(write(tmp_path, more=rewriting)).code == code


def test_modules_beside_the_spec_can_be_imported_now_and_later(tmp_path):
    (tmp_path / "beside_the_spec.py").write_text("EPSILON = 1.0\n")
    (tmp_path / "needed_later.py").write_text("EPSILON = 1.0\n")
    load_spec(write(tmp_path, more="import beside_the_spec"))
    import needed_later

    assert needed_later.EPSILON == 1.0


def test_dataclasses_in_a_spec(tmp_path):
    """They look their module up by name."""
    more = (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Mine:\n    x: int = 3\nassert Mine().x == 3"
    )
    assert load_spec(write(tmp_path, more=more)).audit.max_trials == 30


def test_ctrl_c_in_a_spec_stays_ctrl_c(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load_spec(write(tmp_path, more="raise KeyboardInterrupt"))


def test_the_cause_is_kept_for_debug(tmp_path):
    with pytest.raises(dpa.UsageError, match="ZeroDivisionError") as refusal:
        load_spec(write(tmp_path, more="1 / 0"))
    assert isinstance(refusal.value.__cause__, ZeroDivisionError)
