"""The pytest plugin: a fixture ``dpaudit`` that audits, and keeps its trials from run to run.

    def test_training_keeps_its_claim(dpaudit):
        dpaudit(train, blank(data, label=9), claim=claim, max_trials=300).require("NOT_REFUTED")

It costs nothing until a test asks for the fixture: here only pytest is imported.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dpaudit.pytest_plugin.auditor import Auditor

__all__ = ["dpaudit"]

_LINE = "dpaudit"  # the property of a test that holds an audit's line: properties travel from xdist's workers
_MARKER = (
    "dpaudit(max_trials=, confidence=, seed=, workers=, trial_timeout=): defaults of the audits that this test makes "
    "with the fixture `dpaudit`"
)
_started = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options on the command line."""
    group = parser.getgroup("dpaudit", "audits of differential-privacy claims")
    group.addoption(
        "--dpaudit-trials", type=_positive, metavar="N", help="The most trials of every audit, whatever the tests say."
    )
    group.addoption(
        "--dpaudit-fresh", action="store_true", help="Audit again, instead of going on from the trials of earlier runs."
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and what prints the lines."""
    import time

    config.stash[_started] = time.time()
    config.addinivalue_line("markers", _MARKER)
    config.pluginmanager.register(_Summary(), "dpaudit-summary")


@pytest.fixture
def dpaudit(request: pytest.FixtureRequest) -> "Auditor":
    """Audit, with the arguments of `dpa.audit`; returns the report.

    Defaults come from ``@pytest.mark.dpaudit(...)`` and from ``[tool.dpaudit]``; ``--dpaudit-trials`` is above all.
    Trials are kept, in pytest's cache or in ``.dpaudit/``: a finished audit of unchanged code is not played again, an
    interrupted one goes on where it was, and changed code begins anew.
    """
    from dpaudit.pytest_plugin.auditor import Auditor

    config, node = request.config, request.node
    return Auditor(
        node=node.nodeid,
        module=request.module,
        folder=_folder(config),
        root=config.rootpath,
        near=node.path,
        started=config.stash[_started],
        marked=_marked(node),
        trials=config.getoption("--dpaudit-trials"),
        fresh=config.getoption("--dpaudit-fresh"),
        tell=lambda line: node.user_properties.append((_LINE, line)),
    )


class _Summary:
    """One line an audit at the end, in this process or xdist's controller."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the lines of a test that is over."""
        if report.when == "teardown":
            self.lines += [str(value) for name, value in report.user_properties if name == _LINE]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print them."""
        if self.lines:
            terminalreporter.section("privacy audits")
            for line in self.lines:
                terminalreporter.line(line)


def _folder(config: pytest.Config) -> Path:
    """Where ledgers are kept between runs; ``--cache-clear`` empties pytest's cache, and with it these."""
    cache = getattr(config, "cache", None)  # None with -p no:cacheprovider
    if cache is not None:
        return Path(cache.mkdir("dpaudit"))
    folder = config.rootpath / ".dpaudit"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")  # as pytest does with its cache
    return folder


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The arguments of all its marks, the nearest first."""
    given: dict[str, Any] = {}
    for mark in node.iter_markers("dpaudit"):
        if mark.args:
            from dpaudit.errors import UsageError

            raise UsageError("pytest.mark.dpaudit", allowed="named arguments", got=mark.args, remedy="max_trials=300")
        given = {**mark.kwargs, **given}
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
