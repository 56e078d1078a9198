"""The page of a membership report: the frame of an audit's, no word of a verdict, and redacted as it stands."""

import base64
import csv
import io
import re

import numpy as np
import pytest
from parsed import Page
from test_html import DRAWN, NASTY

from dpaudit.membership.evaluation import Evaluation
from dpaudit.membership.signals import Signals
from dpaudit.report import Note
from dpaudit.report.membership import MembershipReport, measure
from dpaudit.report.membership.html import membership_html, notebook_html
from dpaudit.report.membership.parts import Skipped
from dpaudit.report.membership.text import facts, rest
from dpaudit.report.plain import one_line

MODELS, RECORDS = 12, 40
FIRST = 7001  # numbers of records that nothing else on a page looks like


def report_on(names, redact=False, word="word"):
    """Attacks of these names, each a little weaker than the one before."""
    rng = np.random.default_rng(5)
    members = rng.permuted(np.tile(np.arange(MODELS) < MODELS // 2, (RECORDS, 1)), axis=1).T
    margins = rng.normal(size=members.shape) + 1.5 * members
    each = {name: margins + place * rng.normal(size=members.shape) for place, name in enumerate(names)}
    everyone = np.zeros((MODELS, FIRST + RECORDS), dtype=bool)
    everyone[:, FIRST:] = members
    losses = np.full(everyone.shape, 1.0)
    losses[:, FIRST:] = np.logaddexp(0, -margins)
    evaluation = Evaluation(each, members, np.arange(MODELS), np.arange(FIRST, FIRST + RECORDS))
    return MembershipReport(
        **measure(evaluation, Signals(losses, everyone), redact=redact),
        skipped=(Skipped(f"skipped {word}", word),),
        source=word,
        versions={"dpaudit": "0.1.0", word: word},
        reproduce=f"dpaudit membership {word}",
        notes=(Note(word, word),),
        fingerprint=word,
    )


@pytest.fixture(scope="module")
def report():
    return report_on(["first", "second"])


@pytest.fixture(scope="module")
def page(report):
    return Page(membership_html(report))


@pytest.fixture(scope="module")
def redacted():
    return report_on(["first", "second"], redact=True)


def test_it_says_what_the_text_report_says(report, page):
    for _, value in (*facts(report), *(row for row in rest(report) if row[0] != "versions")):
        assert one_line(value) in page.text
    assert report.reproduce in page.inside("code")
    assert "no conclusion about a claim of differential privacy" in page.text
    for attack in report.attacks:
        assert f"{attack.auc:.3f} {attack.interval.low:.3f}-{attack.interval.high:.3f}" in page.text


def test_nothing_sounds_like_a_verdict(page):
    assert not re.search(r"refut|epsilon|\beps\b|verdict|p.value|conclusive", page.text, re.IGNORECASE)
    assert page.inside("h1") == ["Population membership"]


def test_it_is_one_file_that_runs_nothing(page):
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert page.all("src") == page.all("style") == []
    assert all(address.startswith(("#", "data:text/csv;base64,")) for address in page.all("href"))
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert set(" ".join(page.all("aria-labelledby") + page.all("aria-describedby")).split()) <= set(ids)


def test_figures_say_what_they_show_in_numbers(page, report):
    assert page.tags.count("figure") == 3
    roc, losses, scores = page.inside("desc")
    assert f"first: AUC {report.attack('first').auc:.3f}" in roc
    assert "overlap by" in losses
    assert scores.count("overlap by") == 2


def test_records_are_a_download(page, report):
    links = [a for _, a in page.elements if "download" in a]
    assert [link["download"] for link in links] == ["records.csv"]
    content = base64.b64decode(links[0]["href"].removeprefix("data:text/csv;base64,")).decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [int(row["record"]) for row in rows] == list(range(FIRST, FIRST + RECORDS))
    assert [row["first: AUC"] for row in rows] == [
        "" if row["first: AUC"] is None else str(row["first: AUC"]) for row in report.records.rows()
    ]


def test_redacted_stays_redacted(redacted, report):
    for html in (membership_html(redacted), notebook_html(redacted)):
        found = Page(html)
        assert found.all("download") == []
        assert "data:" not in html
        assert not set(map(str, range(FIRST, FIRST + RECORDS))) & set(re.findall(r"\d+", found.text))
        assert "nothing about single records" in found.text
    assert any(str(record) in Page(membership_html(report)).text for record in range(FIRST, FIRST + RECORDS))


def test_the_same_bytes_for_the_same_report(redacted):
    again = report_on(["first", "second"], redact=True)
    assert membership_html(redacted) == membership_html(again)


@pytest.mark.parametrize("make", [membership_html, notebook_html])
def test_other_peoples_text_is_text(make):
    clean = Page(make(report_on([f"n{place}" for place in range(len(NASTY))])))
    html = make(report_on(NASTY, word=" ".join(NASTY)))
    nasty = Page(html)
    assert [[tag, *a] for tag, a in nasty.elements if tag not in DRAWN] == [
        [tag, *a] for tag, a in clean.elements if tag not in DRAWN
    ]
    for said in NASTY:
        assert one_line(said) in nasty.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x85\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)


def test_a_notebook_cell_is_no_page(report):
    html = report._repr_html_()
    assert html == notebook_html(report)
    assert not {"html", "head", "body", "script", "figure", "h1"} & set(Page(html).tags)
