"""Whether a report follows from its ledger: every number again, from the trials as they were written."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dpaudit._audit import judge_ledger
from dpaudit._definition import Audit
from dpaudit._facts import Facts, fingerprint_digest, versions
from dpaudit.defaults import method_from_dict
from dpaudit.errors import AuditError, UsageError
from dpaudit.report import Report
from dpaudit.report.files import SUMS
from dpaudit.report.json import dumps
from dpaudit.report.redaction import redacted
from dpaudit.trials import Ledger, Schedule, Session

__all__ = ["Difference", "Verification", "compare", "verify"]

_REPORT = "report.json"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """Something that does not agree.

    Attributes:
        key: where: a key of report.json ("test.p_value"), a file, a part of the ledger or of the spec.
        kept: what is there; None for nothing.
        found: what should be.
    """

    key: str
    kept: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.key}: {_short(self.kept)}, and should be {_short(self.found)}"


@dataclass(frozen=True)
class Verification:
    """What a look at a report and its ledger found.

    Attributes:
        folder: where.
        differences: what does not agree.
        checked: what was looked at, in words.
        notes: what a reader should know that is no difference: other versions, last digits, files that are gone.
        fingerprint: the parts of the experiment's fingerprint, as the ledger has them.
    """

    folder: str
    differences: tuple[Difference, ...]
    checked: tuple[str, ...]
    notes: tuple[str, ...]
    fingerprint: Mapping[str, str]

    @property
    def agrees(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {"schema": 1, "agrees": self.agrees, **asdict(self)}

    def __str__(self) -> str:
        count = len(self.differences)
        head = "AGREES" if self.agrees else f"DIFFERS ({count} difference{'s' * (count > 1)})"
        rows = [("differs", str(one)) for one in self.differences]
        rows += [*(("checked", text) for text in self.checked), *(("note", text) for text in self.notes)]
        return "\n".join([f"{head}   {self.folder}", *(f"  {key:<12}{text}" for key, text in rows)])


def verify(folder: Path, audit: Audit | None = None, code: str = "") -> Verification:
    """Recompute the report in `folder` from the ledger beside it, and compare. Runs no trial and loads no pickle.

    It finds accidents, and edits by anybody who does not know how the seals are made. It cannot find a ledger that was
    invented as a whole: against that keep "evidence" of report.json (or sign the file) where nobody can change it, and
    have the audit repeated from its seed.

    Args:
        folder: of an audit that was run with ``--out``.
        audit: of the spec, to compare code and data as well.
        code: digest of the spec's source.

    Raises:
        UsageError: there is no report or no ledger that can be read, or they are of a kind that cannot be recomputed.
    """
    kept = _report_in(folder)
    look = _Look(kept)
    fingerprint: Mapping[str, str] = {}
    try:
        with Ledger.read_only(folder) as ledger:
            fingerprint = ledger.fingerprint
            made = _made(ledger, redact=kept.get("redacted") is True)
            look.report(made)
            look.ledger(ledger, made)
    except UsageError:
        raise
    except AuditError as error:  # altered, or no audit's any more
        look.differ("ledger", str(error), "the trials that were played")
    else:
        look.files(folder, made)
        if audit is not None:
            look.spec(replace(audit, seed=made.seed, confidence=made.confidence), code, fingerprint)
    look.versions()
    return Verification(str(folder), tuple(look.differences), tuple(look.checked), tuple(look.notes), fingerprint)


def compare(kept: Mapping[str, Any], made: Mapping[str, Any]) -> tuple[int, list[Difference], list[str]]:
    """Number of entries, those of `kept` that are not those of `made`, and floats that differ in their last digits.

    Sums and logarithms may do that on another processor; 1e-9 of the value is let pass, and said.
    """
    one, other, missing = dict(_leaves(kept)), dict(_leaves(made)), object()
    differences, notes = [], []
    for key in {**one, **other}:
        a, b = one.get(key, missing), other.get(key, missing)
        if type(a) is type(b) and a == b:
            continue
        if isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=_ROUNDING):
            notes.append(f"{key} differs in its last digits: {a!r}, and recomputed {b!r}")
        else:
            differences.append(Difference(key, None if a is missing else a, None if b is missing else b))
    return len(other), differences, notes


class _Look:
    """Collects what is found."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._kept = kept
        self.differences: list[Difference] = []
        self.checked: list[str] = []
        self.notes: list[str] = []

    def differ(self, key: str, kept: Any, found: Any) -> None:
        self.differences.append(Difference(key, kept, found))

    def report(self, made: Report) -> None:
        """Every leaf of report.json."""
        entries, differences, notes = compare(self._kept, json.loads(dumps(made.to_dict())))
        self.differences += differences
        self.notes += notes
        self.checked.append(f"{entries} entries of {_REPORT}, recomputed from the ledger")

    def ledger(self, ledger: Ledger, made: Report) -> None:
        """What no number of the report shows: seals, coins and seeds were looked at when it was read."""
        facts, parts = Facts.from_dict(ledger.facts), ledger.fingerprint
        for key, one, other in (
            ("ledger fingerprint", parts, facts.evidence.get("experiment")),
            ("ledger fingerprint digest", fingerprint_digest(parts), facts.fingerprint),
            ("ledger seed", parts.get("seed"), str(facts.seed)),
            ("ledger confidence", parts.get("confidence"), repr(facts.confidence)),
            ("ledger method", parts.get("method"), json.dumps(facts.method, sort_keys=True)),
            ("ledger data", parts.get("neighbours"), facts.evidence.get("data")),
        ):
            if one != other:
                self.differ(key, one, other)
        trials = ledger.columns()
        if ledger.finished:
            late = trials.index >= made.trials.completed
            wrong = (late != trials.late) & (trials.index < facts.max_trials)
            if wrong.any():
                at = int(wrong.argmax())
                self.differ(f"after_stop of trial {trials.index[at]}", bool(trials.late[at]), bool(late[at]))
        self._pilot(ledger, Schedule(facts.seed))
        self.checked.append(f"seals, coins and seeds of {len(trials)} trials, by seed {facts.seed}")

    def _pilot(self, ledger: Ledger, schedule: Schedule) -> None:
        pilot, trials = Session.kept_pilot(ledger), ledger.columns()
        if pilot is None or not len(trials):
            return
        worlds = (False, schedule.pilot(0)), (True, schedule.pilot(0))
        ran = tuple((run.trial.included, run.trial.seed) for run in (pilot.excluded, pilot.included))
        if ran != worlds:
            self.differ("pilot seeds", ran, worlds)
        zero = trials.outcome(0)
        if pilot.first.trial != schedule.trial(0) or pilot.again.trial.seed != zero.trial.seed:
            self.differ("pilot trial", str(pilot.first.trial), str(schedule.trial(0)))
        if trials.index[0] == 0 and (pilot.first.status, pilot.first.digest) != (zero.status, zero.digest):
            self.differ("pilot's run of trial 0", pilot.first.digest, zero.digest)

    def files(self, folder: Path, made: Report) -> None:
        """The other files of the report."""
        text, shown = folder / "report.txt", f"{made}\n"
        if text.exists() and _read(text) != shown.encode():
            self.differ(text.name, "another text", "the text of this report")
        try:
            lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            self.notes.append(f"there is no {SUMS} to be read: of the other files only report.txt was looked at")
            return
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name, digest in sums.items():
            content = _read(folder / name)
            if content is None:
                self.notes.append(f"{name} is gone")
            elif hashlib.sha256(content).hexdigest() != digest:
                self.differ(name, hashlib.sha256(content).hexdigest(), digest)
        if _REPORT not in sums:
            self.differ(SUMS, None, _REPORT)
        self.checked.append(f"the hashes of {len(sums)} files in {SUMS}")

    def spec(self, audit: Audit, code: str, parts: Mapping[str, str]) -> None:
        """Code and data, as they are now."""
        now = audit.fingerprint(code)
        for key in sorted({**parts, **now}):
            if parts.get(key) != now.get(key) and not key.startswith("version of "):  # `versions` speaks of these
                self.differ(f"spec {key}", parts.get(key), now.get(key))
        evidence = self._kept.get("evidence")
        modules = evidence.get("code") if isinstance(evidence, dict) else None
        before, after = modules if isinstance(modules, dict) else {}, audit.code()
        for name in sorted({**before, **after}):
            if before.get(name) != after.get(name):
                self.differ(f"spec module {name}", before.get(name), after.get(name))
        self.checked.append("the spec: its source, its modules, the data set, claim, attack and method")

    def versions(self) -> None:
        """Another version may give other numbers; where it did, that is a difference all the same."""
        then = self._kept.get("versions")
        now = versions(str(self._kept.get("engine")))
        if not isinstance(then, dict):
            return
        for name in sorted({**then, **now}):
            if then.get(name) != now.get(name):
                self.notes.append(
                    f"{name} was {then.get(name, 'absent')} and is {now.get(name, 'absent')}: "
                    "a difference may be one of the versions"
                )


def _report_in(folder: Path) -> dict[str, Any]:
    path = folder / _REPORT
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("no report to verify", got=f"{path}: {error.strerror}", remedy="dpaudit report DIR") from None
    except ValueError:
        raise UsageError("this report is damaged", allowed="JSON", got=str(path), remedy="dpaudit report DIR") from None
    if not isinstance(kept, dict):
        raise UsageError("not the report of an audit", allowed="a JSON object", got=str(path))
    if kept.get("game") == "one run":
        raise UsageError("a report of a one-run audit is not recomputed yet", allowed="audits of many runs")
    return kept


def _made(ledger: Ledger, *, redact: bool) -> Report:
    facts = Facts.from_dict(ledger.facts)
    made = judge_ledger(ledger, facts.the_claim(), method_from_dict(facts.method))
    return redacted(made) if redact else made


def _leaves(thing: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; what is empty counts as a value."""
    if not isinstance(thing, dict | list) or not thing:
        yield path, thing
        return
    for key, value in thing.items() if isinstance(thing, dict) else enumerate(thing):
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _short(value: Any) -> str:
    shown = "nothing" if value is None else value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 100 else shown[:97] + "..."
