"""A redacted audit: its numbers stay, and nothing in any file leads to a single trial."""

import json
from dataclasses import replace

import numpy as np
import pytest
from page_reports import one_run, played
from parsed import Page

from dpaudit.report import Note
from dpaudit.report.html import report_html
from dpaudit.report.redaction import redacted
from dpaudit.scores import Game

SECRET = "record 4711 of Mrs X"
NOTES = (
    Note("failed-trials", f"2 with and 1 without the canary: the training function raised; first: {SECRET}"),
    Note("lost-trials", f"1 with and 0 without the canary: the harness lost them; first: {SECRET}"),
    Note("said-by-trials", f"UserWarning: {SECRET} (3 times)"),
    Note("failed-run", f"training raised in run 0, its canaries were guessed blindly: ValueError: {SECRET}"),
    Note("said", f"{SECRET} (3 times)"),
    Note("repeated-releases", "trials 17 and 23 are bit-identical"),
    Note("silent-statistics", "could not be computed in any trial: variance"),
)


@pytest.fixture(scope="module")
def report():
    return played(0.2, notes=NOTES, reason="trials 17 and 23 released bit-identical results")


def test_what_was_decided_stays(report):
    kept, whole = redacted(report).to_dict(), report.to_dict()
    for name in ("verdict", "claim", "lower_bound", "test", "trials", "power", "statistic", "seed", "reproduce"):
        assert kept[name] == whole[name]


def test_quotes_and_numbers_of_trials_go(report):
    told = str(redacted(report))
    assert SECRET not in told
    assert "17 and 23" not in told
    assert "two trials released bit-identical results" in told
    for stays in ("2 with and 1 without", "raised", "variance", "trials are bit-identical"):
        assert stays in told
    assert SECRET in str(report)


def test_neither_path_nor_order_of_the_scores_is_left(report):
    kept = redacted(report)
    assert kept.history is None
    assert kept.scores.names == (report.statistic.removesuffix(" (reversed)"),)
    assert not kept.scores.ordered
    assert (np.diff(kept.scores.values[:, 0]) >= 0).all()
    name = kept.scores.names[0]
    pairs = [
        sorted(zip(s.select([name]).values[:, 0].tolist(), s.included_mask.tolist(), strict=True))
        for s in (report.scores, kept.scores)
    ]
    assert pairs[0] == pairs[1]


def test_lost_trials_stay_lost():
    whole = played(0.2, trials=40)
    lost = np.arange(len(whole.scores)) % 5 == 0
    scores = whole.scores.from_table(whole.scores.values, whole.scores.included_mask, whole.scores.names, lost=lost)
    kept = redacted(replace(whole, scores=scores)).scores
    column = scores.names.index(kept.names[0])
    assert sorted(kept.values[kept.lost, 0]) == sorted(scores.values[lost, column])


def test_the_page_has_the_figures_and_no_table(report):
    page = Page(report_html(redacted(report)))
    assert page.all("download") == []
    assert "data:" not in " ".join(page.all("href"))
    assert page.tags.count("figure") == 2
    assert SECRET not in page.text
    assert "Redacted: coins, counts by threshold" in page.text
    assert report.reproduce in page.inside("code")


def test_saving_redacted_removes_what_a_whole_report_left(report, tmp_path):
    report.save(tmp_path)
    assert (tmp_path / "plots" / "evidence.svg").exists()
    report.save(tmp_path, redact=True)
    assert not (tmp_path / "plots" / "evidence.svg").exists()
    assert not (tmp_path / "plots" / "evidence.png").exists()
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix != ".png":
            text = file.read_text(encoding="utf-8")
            assert SECRET not in text, file
            assert "17 and 23" not in text, file
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == report.verdict.value


def test_one_run_is_redacted_alike():
    kept = redacted(one_run(notes=NOTES))
    assert kept.scores.game is Game.ONE_RUN
    assert SECRET not in f"{kept}{report_html(kept)}"
    assert kept.correct > 0


def test_nothing_to_redact(make_report):
    kept = redacted(make_report())
    assert kept.redacted
    assert kept.scores is None
    assert "redacted" in str(kept)
