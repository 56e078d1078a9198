"""The small forms, on scikit-learn's digits, in this process: each would take seconds to load torch."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "reproductions"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, "--quick", *arguments])
        monkeypatch.syspath_prepend(str(FOLDER))
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_shadow_data_from_real_to_synthetic(run, tmp_path):
    said = run("location30_shadow", "--json", "--store", str(tmp_path))
    made = json.loads(said)
    assert [row["shadow data"] for row in made["rows"]] == [
        "real",
        "noisy 10 %",
        "noisy 20 %",
        "marginal",
        "model-synthesised",
    ]
    assert made["settings"]["seed"] == 7
    assert {"cpu", "versions", "date"} <= made["machine"].keys()
    for row in made["rows"]:
        assert row["train accuracy"] > 0.95
        assert row["precision"] > 0.5
    again = json.loads(run("location30_shadow", "--json", "--store", str(tmp_path)))  # all models are kept
    assert again["rows"] == made["rows"]


def test_white_box_on_small_softmax_models(run, tmp_path):
    out = tmp_path / "leino.json"
    said = run("leino_mnist", "--out", str(out))
    linear, deep = json.loads(out.read_text())["rows"]
    assert linear["AUC"] > linear["AUC of the loss"]
    assert linear["precision at the top 10 %"] > 0.65
    assert deep["AUC"] > 0.5
    assert "differences from the published setting" in said


def test_a_row_for_every_mitigation(run):
    rows = {row["mitigation"]: row for row in json.loads(run("mitigations", "--json"))["rows"]}
    assert len(rows) == 11
    assert rows["none"]["test accuracy"] == rows["temperature 5"]["test accuracy"]
    assert rows["DP-SGD eps 8"]["train accuracy"] < rows["none"]["train accuracy"]


def test_the_order_of_attacks_at_low_false_positive_rates(run):
    rows = {row["attack"]: row for row in json.loads(run("lira_fashion", "--json"))["rows"]}
    assert rows["LiRA online"]["AUC"] > rows["LiRA offline"]["AUC"] - 0.01 > rows["loss"]["AUC"]
    assert rows["LiRA online"]["TPR at 1 %"] > rows["loss"]["TPR at 1 %"]


def test_poison_makes_inliers_stand_out(run):
    none, four = json.loads(run("truth_serum", "--json"))["rows"]
    assert (none["copies"], four["copies"]) == (0, 4)
    assert four["AUC"] > none["AUC"] + 0.05  # .93 against .71


def test_reference_models_and_distilled_ones(run, tmp_path):
    made = json.loads(run("ye_mnist", "--json", "--store", str(tmp_path)))
    assert [row["attack"] for row in made["rows"]] == ["loss", "S", "P", "R", "D"]
    assert all(0.4 < row["AUC"] < 0.8 for row in made["rows"])
    assert (tmp_path / "reference" / "shadows.json").exists()


def test_the_readme_is_what_the_results_say(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table"])
    runpy.run_path(str(FOLDER / "table.py"), run_name="__main__")
    assert capsys.readouterr().out.strip() == (FOLDER / "README.md").read_text().strip()
