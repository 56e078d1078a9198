"""``[tool.dpaudit]``: what it may say, who is heard before it, and that one sees what it did."""

import json

import pytest
from audit_worlds import FINE

import dpaudit as dpa
from dpaudit._settings import Settings, read_settings
from dpaudit.errors import UsageError

SHORT = FINE.replace("max_trials=40, ", "")


def settings(folder, text):
    (folder / "pyproject.toml").write_text(f"[tool.dpaudit]\n{text}\n")


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("DPAUDIT_DATA", "")  # so that it is put back as it was


def test_the_nearest_file_decides(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings(tmp_path, 'trials = 300\nworkers = 0\ntrial-timeout = 2.5\nout = "kept"\ndata = "sets"')
    found = read_settings(inner / "spec.py")
    assert found.path == tmp_path / "pyproject.toml"
    assert found.values == {"max_trials": 300, "workers": 0, "trial_timeout": 2.5}
    assert (found.out, found.data) == (tmp_path / "kept", tmp_path / "sets")
    (inner / "pyproject.toml").write_text("[project]\nname = 'other'\n")  # sets nothing, and nothing is inherited
    assert read_settings(inner / "spec.py") == Settings()
    assert read_settings(tmp_path / "nowhere" / "spec.py").values["max_trials"] == 300


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trails = 3", "unknown key in [tool.dpaudit] of"),
        ("trials = 0", "trials in [tool.dpaudit] of"),
        ('trials = "many"', "try: trials = 1000"),
        ("trials = true", "got: True"),
        ("trials = 10.0", "allowed: a whole number, such as 1000"),
        ("confidence = 1", "allowed: a number in (0, 1), such as 0.95; got: 1; try: confidence = 0.95"),
        ("workers = -1", "got: -1"),
        ("trial-timeout = nan", "allowed: seconds, such as 60"),
        ("trial_timeout = 3", "trial-timeout"),
        ("out = 3", 'try: out = "out"'),
        ('data = ""', "allowed: a folder, as text"),
        ("[[tool.dpaudit]]", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path, text, told):
    settings(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        read_settings(tmp_path)
    assert told in str(refused.value)
    assert str(tmp_path / "pyproject.toml") in str(refused.value)


def test_not_a_table_and_not_text(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool]\ndpaudit = 3\n")
    with pytest.raises(UsageError, match="a table"):
        read_settings(tmp_path)
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path)


def test_flag_before_spec_before_project_before_built_in(dpaudit, spec, tmp_path):
    settings(tmp_path, 'trials = 25\nconfidence = 0.9\nworkers = 0\nout = "kept"')
    name = spec(SHORT)
    code, out, err = dpaudit("run", name, "--json")
    told = json.loads(out)
    assert (code, told["trials"]["requested"], told["confidence"]) == (0, 25, 0.9)
    assert told["reproduce"] == "dpaudit run spec.py --seed 0 --trials 25 --confidence 0.9"
    assert f"from {tmp_path / 'pyproject.toml'}: max_trials=25, confidence=0.9\n" in err
    assert [path.name.partition("-")[0] for path in (tmp_path / "kept").iterdir()] == ["spec"]
    told = json.loads(dpaudit("run", spec(FINE), "--json", "--confidence", "0.8", "--out", "here")[1])
    assert (told["trials"]["requested"], told["confidence"]) == (40, 0.8)  # 40: the spec's own
    assert told["reproduce"] == "dpaudit run spec.py --seed 0 --confidence 0.8"


def test_the_reproduce_command_gives_the_same_without_the_settings(dpaudit, spec, tmp_path):
    settings(tmp_path, "trials = 25")
    first = json.loads(dpaudit("run", spec(SHORT), "--json", "--out", "one")[1])
    (tmp_path / "pyproject.toml").unlink()
    second = json.loads(dpaudit(*first["reproduce"].split()[1:], "--json", "--out", "two")[1])
    for told in (first, second):
        del told["timings"], told["trials"]["after_stop"]
    assert first == second


def test_a_refused_setting_is_one_line_and_exit_2(refused, spec, tmp_path):
    settings(tmp_path, "trails = 25")
    assert "unknown key in [tool.dpaudit]" in refused("run", spec(FINE))


def test_data_unless_the_environment_says(tmp_path, monkeypatch, dpaudit, spec):
    settings(tmp_path, 'data = "sets"')
    name = spec(f"import os; print('data:', os.environ['DPAUDIT_DATA'])\n{FINE}")
    _, out, err = dpaudit("run", name, "--json")
    assert f"data: {tmp_path / 'sets'}" in err
    assert json.loads(out)["reproduce"].endswith(f"--data {tmp_path / 'sets'}")
    monkeypatch.setenv("DPAUDIT_DATA", "mine")
    assert "data: mine" in dpaudit("run", name, "--fresh")[2]
    assert f"data: {tmp_path / 'told'}" in dpaudit("run", name, "--fresh", "--data", "told")[2]


def test_apply_tells_what_it_took():
    from dpaudit.mechanisms.known import zero_or_one

    audit = dpa.Audit(lambda data, seed: data, zero_or_one(), claim=dpa.Claim(epsilon=1.0), confidence=0.8)
    made, taken = Settings(values={"max_trials": 7, "confidence": 0.9, "workers": None}).apply(audit)
    assert (made.max_trials, made.confidence, taken) == (7, 0.8, {"max_trials": 7})
