"""The page of an audit: complete, the same as the text, inert, and the same bytes for the same report."""

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from page_reports import FOUND, one_run, played, scores
from parsed import Page

from dpaudit.checks.findings import Finding, Findings
from dpaudit.claim import Claim
from dpaudit.evidence import LowerBound, Verdict
from dpaudit.report import History, Note, TrialCounts, one_run_text, text
from dpaudit.report.html import notebook_html, report_html
from dpaudit.report.html.downloads import audit_downloads
from dpaudit.report.html.templating import fill
from dpaudit.report.plain import one_line

NASTY = (
    "<script>document.pwned=1</script>",
    '"><img src=x onerror="document.pwned=1">',
    "</style><svg onload=document.pwned=1>",
    "]]> --> </title></desc></svg></code><b>",
    "javascript:document.pwned=1",
    "{{ 7 * 191 }}{% raw %}",
    "a\x00b\x1b[31m\u202egnirts\u2066\ud800\x85\r\n",
    r"$\frac{$ $\undefined$ x_1",
)


@pytest.fixture(scope="module")
def reports():
    return {
        "REFUTED": played(3.0),
        "NOT_REFUTED": played(0.2, claim=Claim.gaussian(mu=1.0)),
        "INCONCLUSIVE": played(0.2, trials=6, reason="not even perfect scores refute this claim in 6 trials"),
        "one run": one_run(),
    }


@pytest.fixture(scope="module")
def pages(reports):
    return {name: report_html(report) for name, report in reports.items()}


@pytest.fixture(scope="module", params=["REFUTED", "NOT_REFUTED", "INCONCLUSIVE", "one run"])
def case(request, reports, pages):
    """A report, its page, and the page parsed."""
    return reports[request.param], pages[request.param], Page(pages[request.param])


BAD = " ".join(NASTY)
DRAWN = ("g", "path", "use", "text", "tspan", "defs")
WORST = {  # every text that somebody else writes
    "engine": BAD,
    "threat_model": BAD,
    "canary": BAD,
    "reproduce": f"dpaudit run {BAD}",
    "fingerprint": BAD,
    "versions": {BAD: BAD},
    "reason": BAD,
    "remedy": BAD,
    "assumes": BAD,
    "method": BAD,
    "notes": (Note(BAD, BAD),),
    "preflight": Findings.of([Finding(BAD, "fault", BAD, BAD, None, BAD, BAD)]),
}
HARMLESS = {
    **dict.fromkeys(WORST, "word"),
    "versions": {"v": "1"},
    "notes": (Note("n", "n"),),
    "preflight": Findings.of([Finding("c", "fault", "m", "d", None, "c", "r")]),
}


def named(report, name, **words):
    """The same report with these names of statistics, and these words."""
    names = tuple(name(place) for place in range(len(report.scores.names)))
    drawn = report.scores.from_table(report.scores.values, report.scores.included_mask, names)
    chosen = {"statistic": names[0], "battery": names, "rule": {"thresholds": {names[1]: 1.0}}}
    return replace(report, scores=drawn, **chosen, **words)


# --- what it is


def test_the_verdict_comes_first_and_in_words(case):
    report, _, page = case
    assert page.inside("h1") == [report.verdict.value.replace("_", " ")]
    assert page.tags.index("h1") < page.tags.index("h2")
    assert page.inside("title")[0].startswith(report.verdict.value.replace("_", " "))
    for word in ("means", "does not mean"):
        assert page.text.index(word) < page.text.index("Evidence")


def test_it_says_what_the_text_report_says(case):
    report, _, page = case
    rows = one_run_text.rows(report) if report.__class__.__name__ == "OneRunReport" else text.rows(report)
    for key, value in rows:
        wanted = value.removeprefix(f"{report.notes[0].name}: ").removeprefix(f"{report.notes[1].name}: ")
        assert one_line(wanted) in page.text, key
    assert one_line(report.reason) in page.text
    assert report.reproduce in page.inside("code")
    for name, version in report.versions.items():
        assert f"{name} {version}" in page.text


def test_no_audit_calls_anything_private(case):
    assert "private" not in case[1].lower()


def test_bounds_are_rounded_down(reports):
    bound = LowerBound(
        epsilon=0.5309999, delta=1e-5, confidence=0.95, method="x", ceiling=1.79999, n_included=1, n_excluded=1
    )
    report = replace(reports["REFUTED"], lower_bound=bound, history=None, scores=None)
    page = Page(report_html(report)).text
    assert "0.530" in page
    assert "0.531" not in page
    assert "1.799" in page
    assert "1.800" not in page
    for nothing, said in ((replace(bound, epsilon=0.0), "none above 0"), (None, "no method could say")):
        assert said in Page(report_html(replace(report, verdict=Verdict.REFUTED, lower_bound=nothing))).text


def test_evidence_that_proves_nothing_is_not_left_alone(reports):
    """Repeated releases: the test refuted, and the audit must not."""
    refuted = reports["REFUTED"]
    void = replace(refuted, verdict=Verdict.INCONCLUSIVE, lower_bound=None, scores=None, history=None)
    assert "nothing follows from it here" in Page(report_html(void)).text
    assert "nothing follows" not in Page(report_html(replace(refuted, scores=None, history=None))).text


def test_preflight_is_a_table_of_its_own(pages):
    page = Page(pages["REFUTED"])
    for finding in FOUND:
        for said in (finding.check, finding.measured, finding.declared, finding.remedy, finding.severity):
            assert said in page.text
    assert "A finding is not a verdict" in page.text


def test_a_report_with_almost_nothing_is_a_page(make_report):
    bare = make_report(
        Verdict.INCONCLUSIVE,
        test=None,
        lower_bound=None,
        statistic=None,
        battery=(),
        power={},
        versions={},
        reproduce="",
    )
    page = Page(report_html(bare))
    assert "svg" not in page.tags[page.tags.index("h2") :]
    assert "pre" not in page.tags


# --- one file, and nothing else


def test_it_needs_nothing_and_runs_nothing(case):
    _, html, page = case
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.all("src") == page.all("style") == page.all("xlink:href") == []
    assert all(address.startswith(("#", "data:text/csv;base64,")) for address in page.all("href"))
    assert not re.search(r"url\((?!#)|@import|https?://", html.replace(page.inside("style")[0], ""))
    assert not re.search(r"url\(|@import|https?:", page.inside("style")[0])


def test_its_policy_allows_its_own_style_and_nothing_else(case):
    _, html, page = case
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert html.index("Content-Security-Policy") < html.index("<style")


def test_ids_are_its_own_and_references_resolve(case):
    _, _, page = case
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    named = " ".join(page.all("aria-labelledby") + page.all("aria-describedby")).split()
    used = [address[1:] for address in page.all("href") if address.startswith("#")]
    clipped = [each.removeprefix("url(#").removesuffix(")") for each in page.all("clip-path")]
    assert set(named) | set(used) | set(clipped) <= set(ids)
    assert used
    assert clipped


def test_every_figure_says_what_it_shows_in_numbers(case):
    report, _, page = case
    figures = [a for tag, a in page.elements if tag == "svg" and a.get("role") == "img"]
    assert len(figures) == page.tags.count("figure") == (2 if report.history is None else 3)
    assert all(len(re.findall(r"\d", said)) > 10 for said in page.inside("desc"))


def test_figures_in_numbers_by_hand(make_report, make_history):
    drawn = scores(4, 0.0).from_table(
        np.array([[0.0], [1.0], [2.0], [np.nan]]), np.array([0, 0, 1, 1], bool), ("loss",)
    )
    history = make_history([1.5, 0.5, 30.0], [0.0, 0.1, 0.2999])
    page = Page(report_html(make_report(scores=drawn, statistic="loss", history=history)))
    evidence, seen, roc = page.inside("desc")
    assert "Canary out, 2 trials: median 0.5, the middle half from 0.25 to 0.75, all from 0 to 1." in seen
    assert "Canary in, 1 trials: median 2" in seen
    assert "Not drawn: 1 NaN (1 in, 0 out)." in seen
    assert roc.startswith("Area under the curve 0.500.")
    assert 'Guessing "in", the share guessed rightly by the share guessed wrongly: 0.500 at 0.1' in roc
    wealth = (
        r"Wealth: (30\.0|29\.9) at trial 3, of the 20 needed; highest \1 at trial 3, lowest (0\.5|0\.499) at trial 2\."
    )
    assert re.match(wealth, evidence)
    assert "ends at epsilon 0.299, claimed 0.53, ceiling 1.799." in evidence


def test_the_same_bytes_for_the_same_report(reports, pages):
    report = reports["REFUTED"]
    later = {"timings": {"wall": 12.0}, "trials": replace(report.trials, after_stop=9)}
    again = replace(report, scores=report.scores.rows(slice(None)), **later)
    assert report_html(again) == pages["REFUTED"]


# --- other people's text


def test_other_peoples_text_is_text(reports):
    clean = Page(report_html(named(reports["REFUTED"], "n{}".format, **HARMLESS)))
    html = report_html(named(reports["REFUTED"], lambda place: NASTY[place % len(NASTY)] + str(place), **WORST))
    nasty = Page(html)
    # a longer name may cost an axis a tick: figures are compared by kind, everything else element by element
    assert [tag for tag in nasty.tags if tag not in DRAWN] == [tag for tag in clean.tags if tag not in DRAWN]
    assert [[*a] for tag, a in nasty.elements if tag not in DRAWN] == [
        [*a] for tag, a in clean.elements if tag not in DRAWN
    ]
    known = {name for _, attributes in clean.elements for name in attributes}
    assert {name for _, attributes in nasty.elements for name in attributes} - known <= {"stroke-dashoffset"}
    for said in NASTY:
        assert one_line(said) in nasty.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x85\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "1337" not in html


@pytest.mark.parametrize("name", NASTY)
def test_any_name_can_be_drawn(make_report, name, tmp_path):
    """matplotlib reads mathematics between dollars, and XML knows no control characters."""
    drawn = scores(20, 1.0).select(["canary_loss"])
    drawn = drawn.from_table(drawn.values, drawn.included_mask, (name,))
    report = make_report(scores=drawn, statistic=name, rule={"thresholds": {name: 0.0}})
    assert one_line(name) in Page(report_html(report)).text


def test_a_template_that_names_nothing_fails():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        fill("audit", page=object())


# --- downloads


def tables(page):
    found = {}
    for _, attributes in page.elements:
        if "download" in attributes:
            content = base64.b64decode(attributes["href"].removeprefix("data:text/csv;base64,")).decode()
            found[attributes["download"]] = list(csv.DictReader(io.StringIO(content, newline="")))
    return found


def test_counts_and_coins_are_the_reports(reports, pages):
    report, found = reports["REFUTED"], tables(Page(pages["REFUTED"]))
    assert list(found) == ["counts.csv", "operating-points.csv", "coins.csv"]
    counts = {row["what"]: int(row["count"]) for row in found["counts.csv"]}
    assert counts["completed"] == report.trials.completed
    assert counts["included"] == report.scores.n_included
    assert counts["guesses right"] == report.test.details["guesses"]["right"]
    assert [(int(row["trial"]), row["world"] == "in") for row in found["coins.csv"]] == list(
        enumerate(report.scores.included_mask)
    )


def test_operating_points_counted_naively(reports, pages):
    report = reports["REFUTED"]
    values, mask = report.scores.values[:, 0], report.scores.included_mask
    points = tables(Page(pages["REFUTED"]))["operating-points.csv"]
    assert len(points) == len(values)
    for row in points:
        said = values >= float(row["in at or above"])
        assert (int(row["tp"]), int(row["fp"])) == ((said & mask).sum(), (said & ~mask).sum())
        assert (int(row["fn"]), int(row["tn"])) == ((~said & mask).sum(), (~said & ~mask).sum())


def test_coins_of_one_run_name_the_canary(reports, pages):
    coins = tables(Page(pages["one run"]))["coins.csv"]
    assert list(coins[0]) == ["run", "canary", "world"]
    assert [row["world"] == "in" for row in coins] == list(reports["one run"].scores.included_mask)


def test_scores_per_world_have_no_coins(make_report, make_scores):
    drawn = make_scores(30)
    drawn = drawn.from_table(drawn.values, drawn.included_mask, drawn.names, ordered=False)
    names = [file.name for file in audit_downloads(make_report(scores=drawn))]
    assert names == ["counts.csv", "operating-points.csv"]


def test_too_many_coins_are_elsewhere(make_report, monkeypatch):
    monkeypatch.setattr("dpaudit.report.html.downloads._MOST_ROWS", 39)
    report = make_report(scores=scores(40, 0.0))
    assert [file.name for file in audit_downloads(report)] == ["counts.csv", "operating-points.csv"]
    assert "The coins of 40 trials are in the ledger" in Page(report_html(report)).text
    assert "are in the ledger" not in Page(report_html(replace(report, redacted=True))).text


# --- size


def test_a_hundred_thousand_trials_fit_into_three_megabytes(make_report):
    rng = np.random.default_rng(1)
    drawn = scores(100_000, 0.05)
    path = np.cumsum(rng.normal(0, 0.02, len(drawn)))
    report = make_report(
        Verdict.NOT_REFUTED,
        scores=drawn,
        statistic="canary_loss",
        battery=drawn.names,
        history=History(np.arange(1, 100_001), path, np.maximum.accumulate(np.maximum(path, 0))),
        trials=TrialCounts(requested=100_000, completed=100_000, included=drawn.n_included, excluded=drawn.n_excluded),
    )
    html = report_html(report)
    assert len(html.encode()) < 3_000_000
    assert len(html.encode()) - sum(len(file.uri) for file in audit_downloads(report)) < 400_000


# --- notebooks


def test_a_notebook_cell_is_no_page(case):
    report, _, _ = case
    html = report._repr_html_()
    assert html == notebook_html(report)
    page = Page(html)
    assert not {"html", "head", "body", "main", "script", "meta", "figure", "h1"} & set(page.tags)
    assert page.inside("h3") == [report.verdict.value.replace("_", " ")]
    assert report.reproduce in page.inside("code")
    assert page.all("href") == []
    assert len(html) < 20_000


def test_a_notebook_cell_escapes(reports):
    report = reports["REFUTED"]
    clean, nasty = (Page(notebook_html(replace(report, **words))) for words in (HARMLESS, WORST))
    assert nasty.tags == clean.tags
    assert [sorted(a) for _, a in nasty.elements] == [sorted(a) for _, a in clean.elements]
