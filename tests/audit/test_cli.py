"""What the command line prints, where, and with which exit code."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from audit_worlds import ROOT, execute, saved, send, start, write_spec

import dpaudit as dpa

GAUSSIAN = {"included": np.linspace(2, 5, 60), "excluded": np.linspace(-1, 2, 60)}


def process(code, *words, cwd):
    """`main` after some code in the same process."""
    script = f"import sys; sys.path.insert(0, {ROOT!r})\n{code}\nfrom dpaudit.cli import main; main({list(words)!r})"
    made = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=60)
    return made.returncode, made.stdout, made.stderr


# --- exit codes, as a process


@pytest.mark.parametrize(
    ("settings", "code", "verdict"),
    [
        ({"epsilon": 1.0}, 0, "NOT_REFUTED"),
        ({"epsilon": 0.05, "trials": 400}, 1, "REFUTED"),
        ({"epsilon": 30.0}, 3, "INCONCLUSIVE"),
    ],
)
def test_run_as_a_process(tmp_path, settings, code, verdict):
    write_spec(tmp_path, **settings)
    plots = {"TEST_PLOTS": "yes"} if code == 1 else {}
    left, out, err = execute("run", "spec.py", "--out", "run", "--json", cwd=tmp_path, **plots)
    assert left == code, err
    assert (tmp_path / "run" / "plots").is_dir() is (code == 1)
    told = json.loads(out)  # although the spec prints
    assert "the spec says hello" in err
    assert (told["schema"], told["verdict"]) == (1, verdict)
    assert any(line.startswith(f"{verdict}   claim (") for line in err.splitlines())
    assert ("cost: " in err) is (code != 3)  # nothing is played where nothing can refute
    assert err.endswith("report in run\n")
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == told
    assert told["reproduce"] == "dpaudit run spec.py --seed 0"


def test_scores_counts_and_plan_as_processes(tmp_path):
    np.savez(tmp_path / "apart.npz", **GAUSSIAN)
    np.savez(tmp_path / "alike.npz", included=np.linspace(0, 1, 60), excluded=np.linspace(0, 1, 60))
    for name, epsilon, code in (("apart", "0.5", 1), ("alike", "0.5", 0), ("apart", "30", 3)):
        left, out, err = execute("scores", f"{name}.npz", "--epsilon", epsilon, cwd=tmp_path)
        assert (left, out) == (code, ""), err
    assert execute("plan", "--epsilon", "1", cwd=tmp_path)[0] == 0
    counts = ("counts", "--tp", "30", "--fp", "0", "--included", "30", "--excluded", "30")
    assert execute(*counts, cwd=tmp_path)[0] == 0


# --- an exception never looks like an accusation


@pytest.mark.parametrize(
    "broken",
    [
        "import dpaudit._judge as part; part.judge = lambda *a, **k: 1 / 0",
        "import dpaudit.scores as part; part.Scores.__init__ = lambda *a, **k: sys.exit(1)",
        "sys.modules['typer'] = None",
        "def grow(*a, **k): raise MemoryError\nimport dpaudit._judge as part; part.judge = grow",
        "def deep(*a, **k): deep()\nimport dpaudit._judge as part; part.judge = deep",
        "def out(*a, **k): raise EOFError\nimport dpaudit._judge as part; part.judge = out",
    ],
)
def test_a_broken_part_exits_2_and_never_1(tmp_path, broken):
    np.savez(tmp_path / "scores.npz", **GAUSSIAN)
    code, out, err = process(broken, "scores", "scores.npz", "--epsilon", "0.5", "--json", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "dpaudit: error: internal, " in err
    assert "try: --debug" in err
    assert "Traceback" not in err


def test_where_a_part_broke(tmp_path):
    code, _, err = process("sys.modules['typer'] = None", "plan", "--epsilon", "1", "--debug", cwd=tmp_path)
    assert code == 2
    assert "Traceback" in err
    assert "commands" in err


def test_a_reader_that_leaves_exits_2(tmp_path):
    """Click would make 1 of a closed pipe; buffered or not."""
    for unbuffered in ("", "1"):
        plan = start("plan", "--epsilon", "1", "--json", cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
        plan.stdout.close()
        err = plan.stderr.read()
        plan.stderr.close()
        assert plan.wait(30) == 2
        assert err.splitlines()[-1] == "dpaudit: error: the output cannot be written: Broken pipe"


def test_no_words_and_wrong_words(refused):
    assert "Missing command" in refused()
    assert "No such command 'audit'" in refused("audit")
    assert "try: dpaudit plan --help" in refused("plan", "--bogus")


# --- interrupted


def test_ctrl_c_outside_the_trials_is_130(tmp_path):
    (tmp_path / "spec.py").write_text("import sys, time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    waiting = start("run", "spec.py", cwd=tmp_path)
    assert waiting.stderr.readline() == "ready\n"
    code, out, err = send(waiting, signal.SIGINT)
    assert (code, out) == (130, "")
    assert err == "dpaudit: interrupted; what was finished is in the ledger\n"


def test_ctrl_c_while_the_report_is_made_is_130(dpaudit, tmp_path, monkeypatch):
    """As the second Ctrl-C of an audit would be; the ledger stays."""
    write_spec(tmp_path)

    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dpaudit._audit.judge_ledger", interrupted)
        code, _, err = dpaudit("run", "spec.py", "--out", "run")
    assert code == 130
    assert err.endswith("dpaudit: interrupted; what was finished is in the ledger\n")
    assert dpaudit("report", "run")[0] == 0


# --- run


def test_run_takes_its_settings_from_the_command_line(dpaudit, tmp_path):
    write_spec(tmp_path)
    words = ("--seed", "4", "--trials", "30", "--confidence", "0.9", "--data", tmp_path, "--out", "run")
    assert dpaudit("run", "spec.py", *words)[0] == 0
    told = saved(tmp_path / "run")
    assert (told["seed"], told["trials"]["requested"], told["confidence"]) == (4, 30, 0.9)
    assert told["reproduce"] == f"dpaudit run spec.py --seed 4 --trials 30 --confidence 0.9 --data {tmp_path}"


def test_the_default_folder_is_named_after_the_fingerprint(dpaudit, tmp_path):
    write_spec(tmp_path)
    assert dpaudit("run", "spec.py")[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == f"spec-{saved(folder)['fingerprint'][:8]}"
    assert {"ledger.sqlite", "report.json", "report.txt"} <= {file.name for file in folder.iterdir()}
    assert dpaudit("run", "spec.py")[0] == 0  # again, from the ledger
    assert dpaudit("run", "spec.py", "--seed", "1")[0] in (0, 1)  # another audit, another folder
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_folder_that_the_spec_names(dpaudit, tmp_path):
    path = write_spec(tmp_path)
    path.write_text(
        path.read_text()
        .replace("dpa.Audit(", "dpa.Audit(ledger='mine', train=")
        .replace("=train, ", "=train, neighbors=")
    )
    assert dpaudit("run", "spec.py")[0] == 0
    assert saved(tmp_path / "mine")["verdict"] == "NOT_REFUTED"


def test_finished_is_judged_again_and_fresh_begins_again(dpaudit, tmp_path):
    write_spec(tmp_path)
    assert dpaudit("run", "spec.py", "--out", "run")[0] == 0
    first = (tmp_path / "run" / "report.json").read_text()
    assert dpaudit("run", "spec.py", "--out", "run")[0] == 0
    assert (tmp_path / "run" / "report.json").read_text() == first
    assert dpaudit("report", "run")[0] == 0
    assert (tmp_path / "run" / "report.json").read_text() == first
    again = saved(tmp_path / "run")
    assert dpaudit("run", "spec.py", "--out", "run", "--fresh")[0] == 0
    assert saved(tmp_path / "run") == again
    assert (tmp_path / "run" / "report.json").read_text() != first  # other timings


def test_report_prints_json_too(dpaudit, tmp_path):
    write_spec(tmp_path)
    assert dpaudit("run", "spec.py", "--out", "run")[0] == 0
    code, out, err = dpaudit("report", "run", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "run" / "report.json").read_text())
    assert err.startswith("NOT_REFUTED")


# --- scores, counts, plan


def test_scores_say_what_the_library_says(dpaudit, tmp_path):
    np.savez(tmp_path / "scores.npz", **GAUSSIAN)
    code, out, err = dpaudit("scores", "scores.npz", "--epsilon", "0.5", "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["verdict"]) == (1, 1, "REFUTED")
    assert err.startswith("REFUTED")
    scores, claim = dpa.Scores(**GAUSSIAN), dpa.Claim(epsilon=0.5)
    assert told["test"]["p_value"] == dpa.test(scores, claim).p_value
    assert (
        told["lower_bound"]["epsilon"]
        == dpa.methods.Betting().lower_bound(scores, delta=0.0, confidence=0.95, claim=claim).epsilon
    )  # shares its bets with the test
    assert dpaudit("scores", "scores.npz", "--mu", "0.1")[0] == 1


def test_scores_by_the_method_asked_for(dpaudit, tmp_path):
    np.savez(tmp_path / "scores.npz", **GAUSSIAN)
    code, out, _ = dpaudit("scores", "scores.npz", "--epsilon", "0.5", "--method", "clopper-pearson", "--json")
    assert code == 1
    assert json.loads(out)["test"]["method"].startswith("clopper-pearson")


def table(path, rng):
    coins = rng.random(80) < 0.5
    leak, noise = coins + 0.2 * rng.standard_normal(80), rng.standard_normal(80)
    rows = [f"{int(c)},{a:.17g},{b:.17g}" for c, a, b in zip(coins, leak, noise, strict=True)]
    path.write_text("\n".join(["included,leak,noise", *rows, ""]))
    return coins, leak, noise


def test_columns_of_a_table(dpaudit, tmp_path):
    coins, leak, noise = table(tmp_path / "scores.csv", np.random.default_rng(0))
    columns = {"leak": leak, "noise": noise}
    for chosen, code in ((("leak",), 1), (("noise",), 0), (("noise", "leak", "noise"), 1), ((), 1)):
        words = [word for name in chosen for word in ("--statistic", name)]
        left, out, _ = dpaudit("scores", "scores.csv", "--epsilon", "1", *words, "--json")
        assert left == code
        kept = {name: columns[name] for name in (dict.fromkeys(chosen) or columns)}
        assert (
            json.loads(out)["test"]["e_value"]
            == dpa.test(dpa.Scores(scores=kept, included_mask=coins), dpa.Claim(epsilon=1.0)).e_value
        )


def test_a_table_from_a_spreadsheet(dpaudit, tmp_path):
    """A byte-order mark, blanks after the commas of the header, an empty line at the end."""
    rows = "".join(f"{i % 2}, {i % 2 + i / 1000}\r\n" for i in range(60))
    (tmp_path / "scores.csv").write_bytes(b"\xef\xbb\xbfincluded, score\r\n" + rows.encode() + b"\r\n")
    assert dpaudit("scores", "scores.csv", "--epsilon", "0.5")[0] == 1


def test_counts(dpaudit):
    words = ("--tp", 4922, "--fp", 174, "--included", 100000, "--excluded", 100000, "--delta", 1e-5)
    code, out, err = dpaudit("counts", *words, "--confidence", 0.9999999999, "--json")
    bound = dpa.LowerBound.from_counts(
        tp=4922, fp=174, n_included=100000, n_excluded=100000, delta=1e-5, confidence=0.9999999999
    )
    assert code == 0
    assert json.loads(out)["epsilon"] == bound.epsilon
    assert err == f"{bound}\n"
    assert "epsilon >= 2.79" in err


def test_plan(dpaudit):
    code, out, err = dpaudit("plan", "--epsilon", "1", "--json")
    assert code == 0
    assert json.loads(out)["perfect_trials"] == dpa.plan(dpa.Claim(epsilon=1.0)).perfect_trials
    assert "perfect scores refute it after" in err


@pytest.mark.parametrize(
    "suspect",
    [
        ("--epsilon", "1", "--suspect-epsilon", "3"),
        ("--mu", "1", "--suspect-mu", "3"),
        ("--mu", "1", "--suspect-noise", "0.3"),
        ("--epsilon", "1", "--suspect-tpr", "0.95", "--suspect-fpr", "0.02"),
    ],
)
def test_plan_for_a_suspect(dpaudit, tmp_path, suspect):
    code, out, err = dpaudit("plan", *suspect, "--json", "--plot", "plan.png")
    assert code == 0
    needed = json.loads(out)["needed"]
    assert [each["median"] <= each["at_power"] for each in needed] == [True, True]
    assert "if the truth is" in err
    assert (tmp_path / "plan.png").stat().st_size > 10_000


def test_plan_takes_one_suspect_that_can_be_simulated(refused):
    assert "one suspect" in refused("plan", "--mu", "1", "--suspect-mu", "2", "--suspect-noise", "0.5")
    assert "one suspect" in refused("plan", "--mu", "1", "--suspect-tpr", "0.5")
    assert "by parameters" in refused("plan", "--epsilon", "1", "--suspect-noise", "0.5")


# --- help


def commands():
    from dpaudit.commands import app

    return {command.callback.__name__: command.callback for command in app.registered_commands}


def test_help_names_every_command_and_the_exit_codes(dpaudit):
    code, out, _ = dpaudit("--help")
    assert code == 0
    assert set(commands()) >= {"run", "preflight", "scores", "counts", "plan", "report", "combine", "bench"}
    for name in commands():
        assert name in out
        code, detail, _ = dpaudit(name, "--help")
        assert code == 0
        assert "Example: dpaudit" in " ".join(detail.split())
    assert "0 not refuted, 1 refuted, 2" in " ".join(out.split())


def examples():
    for name, callback in commands().items():
        lines = [line.strip() for line in callback.__doc__.splitlines()]
        found = [line.removeprefix("Example: ") for line in lines if line.startswith("Example: ")]
        assert found, name
        yield from found


def test_every_example_of_the_help_runs(dpaudit, tmp_path, monkeypatch):
    write_spec(tmp_path, name="examples/opacus_digits.py")  # in place of the real ones, which take minutes
    saved = "dpa.membership.Signals([[0.1, 0.2], [0.3, 0.1]], np.array([[True, False], [False, True]]))"
    study = f"import numpy as np\nimport dpaudit as dpa\nmembership = dpa.MembershipStudy({saved})\n"
    (tmp_path / "examples" / "membership_digits.py").write_text(study)
    monkeypatch.setattr("dpaudit.report.membership.save.writers", {})  # its plots take seconds; tests/report has them
    np.savez(tmp_path / "scores.npz", **GAUSSIAN)
    for seed, night in enumerate(("monday", "tuesday")):
        dpaudit("run", write_spec(tmp_path), "--seed", seed, "--out", f"runs/{night}")
    dpaudit("run", write_spec(tmp_path), "--seed", 20261122, "--out", "runs/nightly/20261122")
    (tmp_path / "policy.toml").write_text("[alarm]\naudits = 365\n")
    for example in examples():
        program, *words = example.split()
        assert program == "dpaudit"
        if words[0] == "bench":  # a minute of all cores: tests/bench runs it
            continue
        code, out, err = dpaudit(*words)
        assert code in (0, 1), (example, err)
        assert err
        if "--json" in words:
            assert json.loads(out)["schema"] == 1
