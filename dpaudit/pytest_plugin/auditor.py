"""What the fixture hands to a test."""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from dpaudit._definition import Audit
from dpaudit._facts import fingerprint_digest
from dpaudit._settings import read_settings
from dpaudit.claim import Claim
from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import round_down
from dpaudit.neighbors import Neighbors
from dpaudit.pytest_plugin.code import code_digest
from dpaudit.report import Report
from dpaudit.trials import Ledger

__all__ = ["Auditor"]

_MARKED = ("max_trials", "confidence", "seed", "workers", "trial_timeout")
_SHARED = "PYTEST_XDIST_WORKER_COUNT"


@dataclass(frozen=True, kw_only=True, repr=False)
class Auditor:
    """`dpa.audit` with a test's defaults and a ledger of its own for every audit.

    A ledger belongs to one test and one fingerprint, which has the code in it: no verdict outlives a change of what
    was audited (see `code_digest`), and two tests never write to one file.

    Attributes:
        node: the test's id.
        module: of the test.
        folder: where ledgers are kept.
        root: pytest's root folder.
        near: where the pyproject.toml is looked for.
        started: when pytest was, seconds since the epoch.
        marked: arguments of the test's marks.
        trials: `--dpaudit-trials`.
        fresh: `--dpaudit-fresh`.
        tell: takes the line on an audit.
        reports: of the audits of this test so far.
    """

    node: str
    module: ModuleType
    folder: Path
    root: Path
    near: Path
    started: float
    marked: Mapping[str, Any]
    trials: int | None
    fresh: bool
    tell: Callable[[str], None]
    reports: list[Report] = field(default_factory=list)

    def __call__(self, train: Any, neighbors: Neighbors, *, claim: Claim, **settings: Any) -> Report:
        """Audit; the arguments are those of `dpa.audit`.

        What is said nearer wins: --dpaudit-trials, then the arguments here, the marks, [tool.dpaudit], the defaults.

        Raises:
            UsageError: anything the caller can mend, an unknown argument of a mark among it.
            AuditError: anything else that kept the audit from its end.
            KeyboardInterrupt: Ctrl-C; the trials are kept, and the next run of this test goes on.
        """
        __tracebackhide__ = True  # pytest shows the test that asked, and what was wrong
        audit, taken = self._defined(train, neighbors, claim, settings)
        code = code_digest(
            (audit.train, audit.attack, audit.method), tests=self.module, root=self.root, before=self.started
        )
        if audit.ledger is None:
            object.__setattr__(audit, "ledger", self._ledger(audit, code))
        before = _trials_in(audit.ledger)
        report = audit.run(fresh=self.fresh, reproduce=self._reproduce(taken), code=code)
        self.reports.append(report)
        self.tell(self._line(report, 0 if self.fresh else before))
        if any(note.name == "unfinished" for note in report.notes):  # not "time-limit", which is no interruption
            raise KeyboardInterrupt(f"the audit was interrupted; the trials are kept in {audit.ledger}")
        return report

    def __repr__(self) -> str:
        return f"<dpaudit of {self.node}>"

    def _defined(
        self, train: Any, neighbors: Neighbors, claim: Claim, settings: Mapping[str, Any]
    ) -> tuple[Audit, dict[str, Any]]:
        __tracebackhide__ = True
        for name in self.marked:
            if name not in _MARKED:
                raise UsageError(
                    "unknown argument of pytest.mark.dpaudit",
                    allowed=", ".join(_MARKED),
                    got=name,
                    remedy="dpaudit(...)",
                )
        known = [spot.name for spot in fields(Audit) if spot.init]
        for name in settings:
            if name not in known:
                raise UsageError("unknown argument of an audit", allowed=", ".join(known[3:]), got=name)
        ours = read_settings(self.near)
        ours.use_data()
        given = {**ours.values, **self.marked, **settings}
        if self.trials is not None:
            given["max_trials"] = self.trials
        shared = int(os.environ.get(_SHARED, "1"))
        if given.get("workers") is None and given.get("executor") is None and shared > 1:
            given["workers"] = max(1, (os.cpu_count() or 1) // shared)  # or every worker of xdist starts one a core
        taken = {name: value for name, value in ours.values.items() if given.get(name) == value}
        return Audit(train, neighbors, claim=claim, **given), taken

    def _ledger(self, audit: Audit, code: str) -> Path:
        named = re.sub(r"[^A-Za-z0-9]+", "-", self.node.rpartition("/")[2])[:60].strip("-")
        node = blake2b(self.node.encode(), digest_size=4).hexdigest()
        return self.folder / f"{named}-{node}" / fingerprint_digest(audit.fingerprint(code))[:16]

    def _reproduce(self, taken: Mapping[str, Any]) -> str:
        trials = [] if self.trials is None else ["--dpaudit-trials", str(self.trials)]
        told = "".join(f"  # pyproject.toml: {name}={value}" for name, value in taken.items())
        return shlex.join(["pytest", self.node, *trials, "--dpaudit-fresh"]) + told

    def _line(self, report: Report, before: int) -> str:
        """Verdict, test, claim, trials, bound, time, and what was there before."""
        done, bound = report.trials.completed, report.lower_bound
        if not before:
            origin = "played" if done else "not played"
        elif before >= done + report.trials.after_stop:
            origin = "cached"
        else:
            origin = f"resumed at {before}"
        shown = "none" if bound is None else f"eps {round_down(bound.epsilon)}"
        return (
            f"{report.verdict.value}  {self.node}  ({report.claim.epsilon():.4g}, {report.claim.quoted_delta:.3g})-DP  "
            f"{done} trials  lower bound {shown}  {report.timings.get('wall_seconds', 0.0):.1f} s  {origin}"
        )


def _trials_in(folder: Any) -> int:
    try:
        with Ledger.read_only(folder) as ledger:
            return ledger.count()
    except AuditError:
        return 0
