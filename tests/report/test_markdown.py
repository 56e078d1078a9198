"""Markdown for a pull request: the verdict first, and nothing in it but what we wrote."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from dpaudit.evidence import Verdict
from dpaudit.report import Note
from dpaudit.report.markdown import block, escape, folded, render_markdown, table, write_markdown

EVIL = [
    "<script>alert(1)</script>",
    "a | b",
    "a `code` b",
    "**bold** _it_ ~~gone~~",
    "[link](https://evil.example) ![image](https://evil.example/x.png)",
    "see https://evil.example or www.evil.example or me@evil.example",
    "@somebody #12 GH-12 owner/repo#3",
    "\\| \\",
    "# heading\n- list\n| a |\n| --- |",
    "&lt;b&gt; &#60;",
    "</details> <!-- gone -->",
]


def rendered(text):
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def shown(markup):
    """What a reader sees: no tags, entities resolved, spaces of no width gone."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).replace("\u200b", "").strip()


@pytest.mark.parametrize("text", EVIL)
def test_text_stays_text_everywhere(text):
    once = " ".join(text.split())
    assert rendered(escape(text)) == f"<p>{html.escape(html.unescape(escape(text)), quote=False)}</p>\n"
    assert shown(rendered(escape(text))) == once
    cells = re.findall(r"<td>(.*?)</td>", rendered(table(("a", "b"), [(text, "x"), ("y", text)])))
    assert [shown(cell) for cell in cells] == [once, "x", "y", once]
    assert "<p>" in rendered(folded(text, escape(text)))


@pytest.mark.parametrize("text", ["@somebody", "#12", "GH-12", "https://x.example", "www.x.example", "me@x.example"])
def test_nobody_is_notified_and_nothing_is_linked(text):
    """A forge looks for these in what is rendered: a space of no width stands in them."""
    left = html.unescape(escape(text))
    assert "\u200b" in left
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.\w", left)


def test_a_block_ends_where_it_ends():
    text = "one ``` two\n````\n  three\x1b[31m"
    assert "<code" in rendered(block(text))
    assert shown(rendered(block(text))) == "one ``` two\n````\n  three [31m"
    assert block(text).startswith("`````text\n")


@pytest.mark.parametrize("verdict", Verdict)
def test_a_report(make_report, tmp_path, verdict):
    report = make_report(verdict, reason="because" if verdict is Verdict.INCONCLUSIVE else "")
    write_markdown(report, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert text.startswith(f"### {verdict.value}: claim (0.53, 1e-05)-DP")
    markup = rendered(text)
    assert markup.count("<table>") == 1
    assert "dpaudit run examples/spec.py --seed 7\n</code>" in markup
    assert str(report).splitlines()[0] in shown(markup)
    assert markup.count("<details>") == markup.count("</details>") == 1
    if verdict is Verdict.REFUTED:
        assert "leaks at least eps 0.530 at delta 1e-05" in shown(markup)


def test_an_evil_report_is_inert(make_report):
    evil = " ".join(EVIL)
    report = make_report(
        canary=evil, statistic=evil, reason=evil, threat_model=evil, reproduce=evil, notes=(Note(evil, evil),)
    )
    markup = rendered(render_markdown(report))
    assert set(re.findall(r"<(\w+)", markup)) <= {
        "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "details", "summary"
    }  # fmt: skip
    assert markup.count("<details>") == 1
    assert markup.count("<tr>") == 1 + 6
