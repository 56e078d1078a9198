"""The README cannot rot: its Python runs, its commands exist, its files are there."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.strip().split("#")[0] for line in README.splitlines() if line.startswith("    dpaudit ")]


def test_python_blocks_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("NOT_REFUTED")
    assert "\nTrue\n" in printed
    assert "epsilon >= 3." in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_the_commands_exist(command: str) -> None:
    from typer.testing import CliRunner

    from dpaudit.commands import app

    words = shlex.split(command)
    text = CliRunner().invoke(app, [words[1], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    missing = [word for word in words if word.startswith("--") and word not in text]
    assert not missing


def test_targets_and_links_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()
