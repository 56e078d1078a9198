"""The documentation cannot rot: it builds without a warning and without a network, its Python runs and prints what the
pages say, its commands and options exist.
"""

import re
import shlex
import shutil
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest
from docs_pages import DOCS, NOT_RUN, ROOT, blocks, commands, is_test_file, pages
from outside import execute

BUILD = """
import socket, sys

def refused(*_):
    raise OSError("the documentation is built offline")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
WITH_PYTHON = [page for page in pages() if any(block.kind == "python" for block in blocks(page))]


class Assets(HTMLParser):
    """What a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        names = {"link": "href", "script": "src", "img": "src", "iframe": "src"}
        if (
            tag in names
            and (url := given.get(names[tag]))
            and given.get("rel") not in ("next", "prev", "index", "search")
        ):
            self.found.append(url)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, made / "docs", ignore=shutil.ignore_patterns("_build", "modules", "__pycache__"))
    shutil.copy(ROOT / "CHANGELOG.md", made)
    words = ("-W", "--keep-going", "-q", "-b", "html", "-d", made / "trees", made / "docs", made / "html")
    done = execute(sys.executable, "-c", BUILD, *words, cwd=made)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return made / "html"


def test_it_builds_offline_without_a_warning(site: Path) -> None:
    for page in pages():
        assert (site / page).with_suffix(".html").exists()


def test_every_public_name_is_in_the_reference(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import reference

    for module in reference.MODULES:
        text = (site / "api" / "modules" / f"{module}.html").read_text()
        names = reference.public_names(module)
        assert names
        assert not [name for name in names if f'id="{module}.{name}"' not in text and f">{name}</span>" not in text]


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assets = Assets()
        assets.feed(page.read_text())
        assert not [url for url in assets.found if re.match(r"(\w+:)?//", url)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_runs_and_prints_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One namespace a page. A block whose first line names a file is that file as well."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    printed = ""
    for block in blocks(page):
        where = f"docs/{page}, line {block.line}"
        if block.kind == "python":
            first = block.text.partition("\n")[0]
            code = compile("\n" * (block.line - 1) + block.text, str(DOCS / page), "exec")
            if named := re.fullmatch(r"# (\w+\.py)", first):
                Path(named[1]).write_text(block.text)
            if not first.startswith(NOT_RUN) and not is_test_file(block):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", category=UserWarning)  # Opacus's, which a user sees as well
                    warnings.filterwarnings("ignore", category=FutureWarning)
                    exec(code, names)
                printed += capsys.readouterr().out
        elif block.kind == "output":
            told = [line.strip() for line in printed.splitlines()]
            missing = [
                line for line in block.text.splitlines() if not any(each.startswith(line.strip()) for each in told)
            ]
            assert not missing, f"{where}: not printed by the blocks before\n{printed}"


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    """They need a cluster or a tracking server; what they call has tests of its own."""
    found = [page for page in pages() for block in blocks(page) if block.text.startswith(NOT_RUN)]
    assert sorted(found) == ["howto/distributed.md", *["howto/reports.md"] * 2, *["howto/scale.md"] * 3]


def test_the_spec_of_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its page says, but shorter, in this process and without pictures, which take a second each."""
    from dpaudit.cli import main
    from dpaudit.report import writers

    (spec,) = (block.text for block in blocks("tutorial.md") if block.text.startswith("# audit_spec.py"))
    (typed,) = (line for line in commands() if line.startswith("dpaudit run audit_spec.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    everything = dict(writers)
    for name in [name for name in writers if name.startswith("plots/") or name == "report.html"]:
        del writers[name]
    Path("audit_spec.py").write_text(spec)
    try:
        with pytest.raises(SystemExit) as leaving:
            main([*shlex.split(typed)[1:], "--workers", "0", "--trials", "40"])
    finally:
        writers.clear()  # put back one by one they would come in another order
        writers.update(everything)
    assert leaving.value.code == 0
    assert "NOT_REFUTED" in capsys.readouterr().err
    assert (tmp_path / "runs" / "sums" / "report.json").exists()


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("dpaudit ")])
def test_commands_and_their_options_exist(command: str) -> None:
    from typer.testing import CliRunner

    from dpaudit.commands import app

    words = shlex.split(command)
    asked = CliRunner().invoke(app, [words[1], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert asked.exit_code == 0, asked.output
    known = set(re.findall(r"--[\w-]+", asked.output))
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", [page for page in pages() if any(block.kind == "toml" for block in blocks(page))])
def test_settings_and_policies_are_taken(page: str, tmp_path: Path) -> None:
    from dpaudit._settings import read_settings
    from dpaudit.gate import read_policy

    for block in blocks(page):
        if block.kind == "toml":
            (tmp_path / "pyproject.toml").write_text(block.text)
            if "[tool.dpaudit]" in block.text:
                assert read_settings(tmp_path).values
            else:
                assert read_policy(tmp_path / "pyproject.toml").audits


def test_every_fault_and_control_is_named() -> None:
    from dpaudit.mechanisms.faults import CONTROLS, FAULTS

    told = set(re.findall(r"`(\w+)`", (DOCS / "faults.md").read_text()))
    assert {*FAULTS, *CONTROLS} <= told


def test_workflows_fit_the_action() -> None:
    """Inputs and outputs that a page names are those of action.yml."""
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the workflow")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    texts = [block.text for page in pages() for block in blocks(page) if block.kind == "yaml"]
    steps = [step for text in texts for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if "dpaudit@" in step.get("uses", "")]
    assert ours
    for step in ours:
        required = {name for name, given in action["inputs"].items() if given.get("required")}
        assert required <= set(step["with"]) <= set(action["inputs"])
    for text in texts:
        assert set(re.findall(r"outputs\.([\w-]+)", text)) <= set(action["outputs"])


def test_files_and_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in commands():
        words = shlex.split(line)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        for word in words:
            if word.startswith("examples/"):
                assert (ROOT / word).exists(), line
    for page in pages():
        for name in re.findall(r"`(examples/\w+\.py|tests/[\w/]+\.py)`", (DOCS / page).read_text()):
            assert (ROOT / name).exists(), f"{page}: {name}"
