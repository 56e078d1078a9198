"""Everything a user can get wrong: exit code 2 and one line that says what, what is allowed, what came, what to do."""

import pickle

import numpy as np
import pytest
from audit_worlds import FINE, execute

GOOD = {"included": [1.0, 2.0, 3.0], "excluded": [0.0, 1.0]}


# --- claims


@pytest.mark.parametrize("command", [("plan",), ("scores", "scores.npz")])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--epsilon", "-1"], ("epsilon", "allowed", "got: -1")),
        (["--epsilon", "nan"], ("epsilon", "allowed", "got: nan")),
        (["--epsilon", "inf"], ("epsilon", "allowed", "got: inf")),
        (["--epsilon", "1", "--delta", "1"], ("delta", "[0, 1)", "got: 1.0")),
        (["--epsilon", "1", "--delta", "-1e-9"], ("delta", "[0, 1)", "got: -1e-09")),
        (["--epsilon", "1", "--delta", "nan"], ("delta", "[0, 1)", "got: nan")),
        (["--mu", "-2"], ("mu", "allowed", "got: -2")),
        (["--mu", "nan"], ("mu", "allowed", "got: nan")),
        (["--epsilon", "1", "--confidence", "1"], ("confidence", "between 0 and 1", "got: 1.0", "try: ")),
        (["--epsilon", "1", "--confidence", "nan"], ("confidence", "got: nan")),
        ([], ("one claim", "--epsilon E", "got: neither", "try: --epsilon 1")),
        (["--epsilon", "1", "--mu", "1"], ("one claim", "got: both")),
        (["--epsilon", "one"], ("--epsilon", "valid number", "--help")),
        (["--epsilon"], ("--epsilon", "--help")),
        (["--epsilonn", "1"], ("No such option", "--help")),
    ],
)
def test_claims_out_of_range(refused, npz, command, options, told):
    npz(**GOOD)
    line = refused(*command, *options)
    for part in told:
        assert part in line


@pytest.mark.parametrize("claim", ["epsilon=-1.0", "epsilon=1.0, delta=1.0", "epsilon=float('nan')", "delta=.1", ""])
def test_claims_out_of_range_in_a_spec(refused, spec, claim):
    line = refused("run", spec(f"audit = dpa.Audit(train, zero_or_one(), claim=dpa.Claim({claim}))"))
    assert "allowed: " in line
    assert "got: " in line


def test_claim_and_neighbours_of_different_adjacency(refused, spec):
    line = refused("run", spec("audit = dpa.Audit(train, zero_or_one('replace-one'), claim=claim)"))
    assert "different adjacencies" in line
    assert "got: claim add-or-remove-one, neighbours replace-one" in line
    assert "try: state adjacency=" in line


# --- scores


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"included": [], "excluded": [1.0]}, ("included scores are empty", "at least one")),
        ({"included": [[1.0, 2.0]], "excluded": [1.0]}, ("wrong shape", "1-D", "(1, 2)")),
        ({"included": [np.nan] * 3, "excluded": [np.nan]}, ("all scores are NaN", "at least one finite")),
        ({"included": ["a"], "excluded": ["b"]}, ("not numbers",)),
        ({"scores": [1.0, 2.0], "included_mask": [True]}, ("differ in length", "got: 2")),
        ({"scores": [1.0, 2.0], "included_mask": [2, 0]}, ("included_mask", "booleans")),
        ({"scores": [1.0, 2.0], "included_mask": [[True, False]]}, ("included_mask", "(1, 2)")),
        ({"members": [1.0], "nonmembers": [0.0]}, ("other arrays", "`included` and `excluded`", "members, nonmembers")),
        ({}, ("other arrays", "got: none")),
    ],
)
def test_scores_that_are_none(refused, npz, arrays, told):
    line = refused("scores", npz(**arrays), "--epsilon", "1")
    for part in told:
        assert part in line


def test_pickled_scores_are_not_loaded(refused, npz, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    line = refused("scores", npz(included=np.array([Bomb()], dtype=object), excluded=[0.0]), "--epsilon", "1")
    assert "cannot read scores.npz" in line
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    assert "not an .npz archive" in refused("scores", "pickle.npz", "--epsilon", "1")
    assert not (tmp_path / "exploded").exists()


def test_damaged_archives(refused, npz, tmp_path):
    whole = (tmp_path / npz(**GOOD)).read_bytes()
    np.save(tmp_path / "lone.npy", [1.0])
    lone = (tmp_path / "lone.npy").read_bytes()
    middle = len(whole) // 2
    damaged = whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:160]) + whole[160:]
    for content in (whole[:middle], b"", b"included", lone, damaged, whole[:-30]):
        (tmp_path / "bad.npz").write_bytes(content)
        assert "cannot read bad.npz" in refused("scores", "bad.npz", "--epsilon", "1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 rows, columns (none)"),
        ("included,loss\n", "0 rows, columns included, loss"),
        ("loss\n1\n", "columns loss"),
        ("included\n1\n", "columns included"),
        ("included,loss,loss\n1,2,3\n", "columns included, loss, loss"),
        ("included,loss\n1,high\n", "got: loss = 'high'"),
        ("included,loss\n1,\n", "got: loss = ''"),
        ("included,loss\n1,2,3\n", "a row of another length; allowed: 2 cells; got: 1, 2, 3"),
        ("included,loss\n1\n", "a row of another length"),
        ("included,loss\n0.5,1\n0,1\n", "included_mask"),
        ("included,loss\nnan,1\n0,1\n", "included_mask"),
        ("included,loss\n1,nan\n0,nan\n", "all scores are NaN"),
        ('included,loss\n1,"2\n', "cannot read"),
    ],
)
def test_tables_that_are_none(refused, tmp_path, text, told):
    (tmp_path / "scores.csv").write_text(text)
    assert told in refused("scores", "scores.csv", "--epsilon", "1")


def test_a_table_that_is_not_text(refused, tmp_path):
    (tmp_path / "scores.csv").write_bytes(b"included,loss\n1,\xff\xfe\n")
    assert "cannot read scores.csv" in refused("scores", "scores.csv", "--epsilon", "1")


def test_other_files_and_options(refused, npz, tmp_path):
    (tmp_path / "scores.txt").write_text("1 2 3")
    assert "no such scores file" in refused("scores", "missing.npz", "--epsilon", "1")
    assert "no such scores file" in refused("scores", ".", "--epsilon", "1")
    assert "unknown kind of scores file" in refused("scores", "scores.txt", "--epsilon", "1")
    npz(**GOOD)
    line = refused("scores", "scores.npz", "--epsilon", "1", "--method", "guessing")
    assert "unknown method; allowed: betting, clopper-pearson, one-run, one-run-fdp; got: guessing" in line
    line = refused("scores", "scores.npz", "--epsilon", "1", "--statistic", "loss")
    assert "unknown statistic; allowed: score; got: loss" in line
    assert "got: no-run" in refused("scores", "scores.npz", "--epsilon", "1", "--game", "no-run")
    assert "got: chess" in refused("scores", "scores.npz", "--epsilon", "1", "--game", "chess")


@pytest.mark.parametrize(
    "counts",
    [
        ["--tp", "5", "--fp", "0", "--included", "4", "--excluded", "4"],
        ["--tp", "-1", "--fp", "0", "--included", "4", "--excluded", "4"],
        ["--tp", "0", "--fp", "0", "--included", "0", "--excluded", "4"],
        ["--tp", "1", "--fp", "0", "--included", "4", "--excluded", "4", "--delta", "1"],
        ["--tp", "1", "--fp", "0", "--included", "4", "--excluded", "4", "--confidence", "0"],
    ],
)
def test_impossible_counts(refused, counts):
    assert "allowed: " in refused("counts", *counts)


# --- specs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ("defines no audit", "allowed: audit = dpa.Audit(", "got: no `audit`")),
        ("audit = 3", ("defines no audit", "got: audit = int")),
        ("audit = dpa.audit", ("defines no audit", "got: audit = function")),
        ("1 / 0", ("raised", "got: ZeroDivisionError: division by zero", "try: --debug")),
        ("def", ("raised", "SyntaxError")),
        ("import nothing_like_that", ("raised", "ModuleNotFoundError")),
        ("raise SystemExit(1)", ("raised", "SystemExit: 1")),
        ("import sys; sys.exit(0)", ("raised", "SystemExit: 0")),
        ("raise ValueError('two\\nlines')", ("raised", "two lines")),
        ("audit = dpa.Audit(train, zero_or_one(), claims=claim)", ("raised", "TypeError", "claims")),
        ("audit = dpa.Audit(train, (0, 1), claim=claim)", ("neighbors", "dpa.Neighbors", "got: tuple")),
        ("audit = dpa.Audit(train, zero_or_one(), claim=claim, max_trials=0)", ("max_trials", "at least 1", "got: 0")),
        ("audit = dpa.Audit(lambda data: 0, zero_or_one(), claim=claim)", ("signature", "train(data, seed)", "(data)")),
        ("audit = dpa.Audit(3, zero_or_one(), claim=claim)", ("training function", "train(data, seed)", "got: int")),
        (
            "audit = dpa.Audit(train, zero_or_one(), claim=claim, method='betting')",
            ("method", "Betting()", "'betting'"),
        ),
        ("audit = dpa.Audit(train, zero_or_one(), claim=claim, attack=1)", ("attack", "got: int", "Battery()")),
        ("audit = dpa.Audit(train, dpa.Neighbors([1], [2, 3, 4]), claim=claim)", ("neighbours", "1 and 3 records")),
    ],
)
def test_specs_that_define_no_audit(refused, spec, text, told, tmp_path):
    line = refused("run", spec(text), "--out", "run")
    for part in told:
        assert part in line
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


def test_a_missing_spec(refused, tmp_path):
    assert "no such spec file" in refused("run", "missing.py")
    assert "no such spec file" in refused("run", ".")
    (tmp_path / "spec.txt").write_text("audit = 1")
    assert "not a Python file" in refused("run", "spec.txt")
    assert "Missing argument" in refused("run")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--trials", "0"], ("max_trials", "at least 1", "got: 0", "--trials")),
        (["--trials", "-5"], ("max_trials", "got: -5")),
        (["--trials", "many"], ("--trials",)),
        (["--confidence", "1.5"], ("confidence", "got: 1.5")),
        (["--seed", "-1"], ("audit seed", "got: -1")),
        (["--workers", "-1"], ("workers", "got: -1")),
        (["--trial-timeout", "0", "--workers", "1"], ("trial timeout", "got: 0.0")),
        (["--trial-timeout", "5", "--workers", "0"], ("trial timeout", "worker processes")),
    ],
)
def test_options_of_run(refused, spec, tmp_path, options, told):
    name = spec("audit = dpa.Audit(train, zero_or_one(), claim=claim)")
    line = refused("run", name, "--out", "run", *options)
    for part in told:
        assert part in line
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


# --- training functions and canaries


def test_a_canary_that_the_training_function_rejects_and_the_mended_function_in_the_same_folder(
    refused, dpaudit, spec, tmp_path
):
    rejecting = """
def picky(data, seed):
    if data:
        raise IndexError("Target 10 is out of bounds.")
    return train(data, seed)
audit = dpa.Audit(picky, zero_or_one(), claim=claim, max_trials=40, workers={workers})
"""
    for workers in (0, 1):
        line = refused("run", spec(rejecting.format(workers=workers)), "--out", "run")
        assert "rejects the canary" in line
        assert "got: IndexError: Target 10 is out of bounds." in line
        assert "try: " in line
        assert "count_failures=True" in line
    assert dpaudit("run", spec(FINE), "--out", "run")[0] == 0
    assert (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise OSError('no data here')", ("raised on D0", "OSError: no data here")),
        ("return None", ("raised on D0", "returned nothing")),
        ("return object()", ("no statistics", "object", "attack=")),
        ("raise SystemExit(1)", ("raised on D0", "SystemExit: 1")),
    ],
)
def test_training_functions_that_do_not_work(refused, spec, body, told):
    text = f"def bad(data, seed):\n    {body}\naudit = dpa.Audit(bad, zero_or_one(), claim=claim, workers=0)"
    line = refused("run", spec(text), "--out", "run")
    for part in told:
        assert part in line


def test_a_training_function_that_kills_its_process(refused, spec, tmp_path):
    text = "import os\ndef bad(data, seed):\n    os._exit(1)\n"
    line = refused("run", spec(text + "audit = dpa.Audit(bad, zero_or_one(), claim=claim, workers=1)"), "--out", "run")
    assert "WorkerDied" in line
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


def test_a_game_that_cannot_be_sent_to_a_worker(refused, spec):
    text = (
        "lock = __import__('threading').Lock()\naudit = dpa.Audit(lambda data, seed: lock, zero_or_one(), claim=claim"
    )
    line = refused("run", spec(f"{text}, workers=1)"), "--out", "run")
    assert "cannot be sent to a worker" in line
    assert "workers=0" in line


# --- as a process


def test_one_line_and_exit_code_2_as_a_process(tmp_path):
    code, out, err = execute("scores", "missing.npz", "--epsilon", "1", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("dpaudit: error: no such scores file; allowed: .npz")
    assert err.count("\n") == 1
    code, out, err = execute("scores", "missing.npz", "--epsilon", "1", "--debug", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("dpaudit: error: no such scores file")
