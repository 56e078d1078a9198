"""action.yml: its steps, run here by bash as GitHub's runner would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from audit_worlds import HEAD, ROOT

ACTION = Path(ROOT) / "action.yml"
INPUTS = {"spec", "policy", "trials", "seed", "out", "history", "python"}
WITHOUT_PLOTS = """
from dpaudit.report import writers
for name in [name for name in writers if name.startswith("plots/") or name.endswith(".html")]:
    del writers[name]
"""
AUDIT = "audit = dpa.Audit(train, zero_or_one(), claim=claim, max_trials=30, workers=0)"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture(scope="module")
def action():
    return yaml.safe_load(ACTION.read_text())


@pytest.fixture
def perform(action, tmp_path):
    """Run the steps with inputs; returns exit code, outputs, job summary and log."""

    def run(**given):
        unknown = set(given) - set(action["inputs"])
        assert not unknown
        inputs = {name: spot.get("default", "") for name, spot in action["inputs"].items()} | given
        values = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.action_path": ROOT}
        output, summary = tmp_path / "output", tmp_path / "summary"
        output.write_text("")
        summary.write_text("")
        log, code = "", 0
        for step in action["runs"]["steps"]:
            script = tmp_path / "step.sh"
            script.write_text(step["run"])
            env = {k: re.sub(r"\$\{\{ (.*?) \}\}", lambda m: values[m[1]], v) for k, v in step["env"].items()}
            files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
            made = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": ROOT} | files | env,
                capture_output=True,
                text=True,
                timeout=120,
            )
            log, code = log + made.stdout + made.stderr, made.returncode
            if code:
                break
        told = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return code, told, summary.read_text(), log

    return run


@pytest.fixture
def spec(tmp_path):
    def write(audit=AUDIT, name="spec.py"):
        (tmp_path / name).write_text(HEAD + WITHOUT_PLOTS + audit)
        return name

    return write


def test_inputs_and_outputs(action):
    assert set(action["inputs"]) == INPUTS
    assert [name for name, spot in action["inputs"].items() if spot.get("required")] == ["spec"]
    assert set(action["outputs"]) == {"verdict", "epsilon-lower-bound"}
    assert all(spot["description"] for spot in (*action["inputs"].values(), *action["outputs"].values()))
    assert {output["value"] for output in action["outputs"].values()} == {
        "${{ steps.audit.outputs.verdict }}",
        "${{ steps.audit.outputs.epsilon-lower-bound }}",
    }


def test_no_input_is_part_of_a_script(action):
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"


def test_an_audit_that_is_not_refuted_then_resumed(perform, spec):
    code, outputs, summary, log = perform(spec=spec(), seed="3", python=sys.executable)
    assert code == 0, log
    assert outputs["verdict"] == "NOT_REFUTED"
    assert float(outputs["epsilon-lower-bound"]) >= 0
    assert summary.startswith("### NOT_REFUTED: claim (1, 0)-DP")
    assert "dpaudit run spec.py --seed 3" in summary
    again = perform(spec="spec.py", seed="3", python=sys.executable)
    assert again[:2] == (code, outputs)


def test_a_policy_decides(perform, spec, tmp_path):
    """Refuted at 95 %, which is not enough for a policy of a year: the step leaves with 3, the output says REFUTED."""
    leaky = AUDIT.replace("claim=claim", "claim=dpa.Claim(epsilon=0.05)").replace("max_trials=30", "max_trials=400")
    (tmp_path / "policy.toml").write_text("[alarm]\naudits = 365\n")
    code, outputs, summary, log = perform(spec=spec(leaky), policy="policy.toml", python=sys.executable)
    assert (code, outputs["verdict"]) == (3, "REFUTED"), log
    assert summary.startswith("### INSUFFICIENT: release gate: 1 of 365 declared audits")
    assert "### REFUTED: claim (0.05, 0)-DP" in summary
    assert (tmp_path / "dpaudit-run" / "gate.xml").exists()
    code, outputs, _, _ = perform(spec="spec.py", python=sys.executable)
    assert (code, outputs["verdict"]) == (1, "REFUTED")


def test_what_goes_wrong_is_2_and_an_error(perform, spec):
    spec("raise RuntimeError('no data')")
    code, outputs, summary, log = perform(spec="spec.py", python=sys.executable)
    assert (code, outputs) == (2, {"verdict": "ERROR", "epsilon-lower-bound": ""})
    assert "no data" in log
    assert "did not come to a verdict" in summary
    assert perform(spec=spec(), policy="nowhere.toml", python=sys.executable)[0] == 2


def test_inputs_are_never_run(perform, spec, tmp_path):
    name = "a b; touch ran $(touch ran) `touch ran`.py"
    spec(name=name)
    code, _, summary, log = perform(spec=name, trials="25", out="o u;t", python=sys.executable)
    assert code == 0, log
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "o u;t" / "report.json").exists()
    assert perform(spec="spec.py", seed="1; touch ran", python=sys.executable)[0] == 2
    assert perform(spec="--help", python=sys.executable)[0] == 2
    assert not (tmp_path / "ran").exists()
    assert "25 of 25" in summary
