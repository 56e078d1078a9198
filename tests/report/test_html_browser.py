"""The pages in a real browser: light and dark, on a phone and on a desk."""

from dataclasses import replace

import pytest
from browser import Browser, missing
from page_reports import one_run, played
from test_html import NASTY, WORST, named
from test_membership_html import report_on

from dpaudit.claim import Claim
from dpaudit.evidence import Verdict
from dpaudit.report.html import notebook_html, report_html
from dpaudit.report.membership.html import membership_html
from dpaudit.report.redaction import redacted

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")

SIZES = [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]

CONTRAST = """
const parse = said => {
  const n = (said.match(/[\\d.]+/g) || []).map(Number);
  return [n[0] ?? 0, n[1] ?? 0, n[2] ?? 0, n.length > 3 ? n[3] : 1];
};
const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const light = c => {
  const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const ratio = (a, b) => {
  const [x, y] = [light(a), light(b)];
  return (Math.max(x, y) + .05) / (Math.min(x, y) + .05);
};
const paper = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
};
const painted = (text, below) => {  // what a figure has filled behind the middle of a text
  const box = text.getBoundingClientRect(), point = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2);
  for (const path of text.ownerSVGElement.querySelectorAll("path")) {
    const style = getComputedStyle(path);
    if (style.fill === "none" || !path.isPointInFill(point.matrixTransform(path.getScreenCTM().inverse()))) continue;
    const fill = parse(style.fill);
    fill[3] *= Number(style.fillOpacity) * Number(style.opacity);
    below = over(fill, below);
  }
  return below;
};
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const node = texts.currentNode, element = node.parentElement, style = getComputedStyle(element);
  if (!node.data.trim() || element.closest("title, desc, style")) continue;
  const drawn = element.closest("text");
  const ground = drawn ? painted(drawn, paper(drawn)) : paper(element);
  const ink = parse(drawn ? style.fill : style.color);
  ink[3] *= Number(style.opacity);
  found.push([ratio(over(ink, ground), ground), node.data.trim()]);
}
return found;
"""

SEEN = """
return {
  tags: [...document.querySelectorAll("*")].map(e => e.tagName.toLowerCase()),
  wide: [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + .5 || e.getBoundingClientRect().left < -.5)
    .map(e => e.outerHTML.slice(0, 80)),
  width: [document.documentElement.scrollWidth, innerWidth],
  small: [...document.querySelectorAll("figure svg text")].filter(e => e.getBoundingClientRect().height < 7).length,
  pwned: document.pwned ?? null,
  paper: getComputedStyle(document.body).backgroundColor,
};
"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> file."""
    folder = tmp_path_factory.mktemp("pages")
    refuted = played(3.0)
    worst = named(refuted, lambda place: NASTY[place % len(NASTY)] + str(place), **WORST)
    long = {"canary": "x" * 400, "engine": "word " * 200, "reproduce": f"dpaudit run {'y' * 300}.py --seed 7"}
    shown = {
        "REFUTED": refuted,
        "NOT_REFUTED": replace(played(0.2, claim=Claim.gaussian(mu=1.0)), **long),
        "INCONCLUSIVE": played(0.2, trials=6, reason="not even perfect scores refute this claim in 6 trials"),
        "one run": one_run(),
        "redacted": redacted(played(0.2)),
        "nasty": worst,
    }
    made = {name: report_html(report) for name, report in shown.items()}
    made["membership"] = membership_html(report_on(["loss", *NASTY]))
    made["membership redacted"] = membership_html(report_on(["loss", "LiRA online"], redact=True))
    made["cell"] = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><body>{notebook_html(worst)}</body></html>'
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


PAGES = ["REFUTED", "NOT_REFUTED", "INCONCLUSIVE", "one run", "redacted", "nasty", "membership", "membership redacted"]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_readable_everywhere(browser, pages, name):
    """No console message, no request but for the file, nothing beside the page, and contrast as WCAG AA asks."""
    papers = set()
    for width, scheme in SIZES:
        browser.open(pages[name], width=width, scheme=scheme)
        seen = browser.run(SEEN)
        where = (name, width, scheme)
        assert browser.said() == [], where
        assert browser.requests() == [pages[name].as_uri()], where
        assert seen["width"] == [width, width], where
        assert seen["wide"] == [], where
        assert seen["small"] == 0, where
        texts = browser.run(CONTRAST)
        assert len(texts) > 60, where
        assert [(told, text) for told, text in texts if told < 4.5] == [], where
        papers.add((scheme, seen["paper"]))
    assert len(papers) == 2  # dark is another paper than light, on both devices


def test_the_contrast_of_a_known_page(browser, tmp_path):
    """The instrument itself: black on white is 21, and grey 777777 just misses."""
    known = tmp_path / "known.html"
    known.write_text(
        '<!DOCTYPE html><body><p style="color:#000">black</p><p style="color:#777777">grey</p>'
        '<p style="color:#0008;background:#000">half</p>'
        '<svg width="90" height="20"><path d="M0 0H90V20H0z" fill="#333"/><text y="15" fill="#000">svg</text></svg>'
    )
    browser.open(known)
    found = {text: told for told, text in browser.run(CONTRAST)}
    assert found["black"] == pytest.approx(21)
    assert found["grey"] == pytest.approx(4.48, abs=0.005)
    assert found["half"] == pytest.approx(1)
    assert found["svg"] == pytest.approx(1.66, abs=0.02)


@pytest.mark.parametrize("name", ["nasty", "cell", "membership"])
def test_other_peoples_text_does_nothing(browser, pages, name):
    """A browser finds the elements that the template has, and runs none of what the names say."""
    browser.open(pages[name])
    assert browser.alert() is None
    seen = browser.run(SEEN)
    assert seen["pwned"] is None
    assert not {"script", "img", "b", "iframe"} & set(seen["tags"])
    browser.open(pages["REFUTED"])
    kinds = set(browser.run(SEEN)["tags"])
    assert set(seen["tags"]) <= kinds | {"h3"}


def test_the_policy_holds_even_for_what_would_be_injected(browser, pages, tmp_path):
    """Were something to slip through, the page's policy stops it."""
    hurt = tmp_path / "hurt.html"
    whole = pages["REFUTED"].read_text(encoding="utf-8")
    hurt.write_text(
        whole.replace(
            "<main>",
            '<main><script>document.pwned=1</script><img src="x" onload="document.pwned=1" onerror="document.pwned=1">'
            '<style>h1{color:rgb(1,2,3)}</style><h6 style="color:rgb(1,2,3)">x</h6>',
        )
    )
    browser.open(hurt)
    assert browser.run(SEEN)["pwned"] is None
    colours = browser.run("return [...document.querySelectorAll('h1, h6')].map(e => getComputedStyle(e).color)")
    assert "rgb(1, 2, 3)" not in colours
    assert len([message for message in browser.said() if "Content Security Policy" in message]) >= 4


def test_downloads_are_whole(browser, pages):
    browser.open(pages["REFUTED"])
    sizes = browser.run(
        "return [...document.querySelectorAll('a[download]')].map(a => [a.download, atob(a.href.split(',')[1]).length])"
    )
    assert [name for name, _ in sizes] == ["counts.csv", "operating-points.csv", "coins.csv"]
    assert all(size > 20 for _, size in sizes)


def test_the_verdict_is_seen_without_scrolling(browser, pages):
    for verdict in Verdict:
        browser.open(pages[verdict.value], width=360)
        box = browser.run(
            "const b = document.querySelector('.banner').getBoundingClientRect(); return [b.top, b.bottom]"
        )
        assert 0 <= box[0] < box[1] < 500


def test_print_is_dark_on_white(browser, pages):
    browser.open(pages["NOT_REFUTED"], scheme="dark")
    browser.media("print")
    papers = browser.run(
        "return ['body', '.tiles div'].map(e => getComputedStyle(document.querySelector(e)).backgroundColor)"
    )
    browser.media("screen")
    assert papers == ["rgb(255, 255, 255)", "rgb(245, 247, 249)"]
