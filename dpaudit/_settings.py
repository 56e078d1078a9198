"""``[tool.dpaudit]`` in a project's pyproject.toml: what its audits are run with unless somebody says otherwise."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dpaudit._definition import Audit
from dpaudit.errors import UsageError

__all__ = ["Settings", "read_settings"]

_FILE = "pyproject.toml"
_DATA = "DPAUDIT_DATA"

# key -> (what would do, whether a value does, the argument of `dpa.Audit` it stands for)
_NUMBERS: dict[str, tuple[str, type | tuple[type, ...], str]] = {
    "trials": ("a whole number, such as 1000", int, "max_trials"),
    "confidence": ("a number in (0, 1), such as 0.95", (int, float), "confidence"),
    "workers": ("a whole number >= 0, such as 2", int, "workers"),
    "trial-timeout": ("seconds, such as 60", (int, float), "trial_timeout"),
}
_FOLDERS = ("out", "data")


@dataclass(frozen=True)
class Settings:
    """What a project set.

    Attributes:
        path: the pyproject.toml; None if there is none, or it sets nothing.
        values: argument of `dpa.Audit` -> value, for what is set.
        out: the folder that audits without a folder of their own are kept in, absolute; None: ``runs`` where one is.
        data: the folder of data sets, absolute; None if it is not set.
    """

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    data: Path | None = None

    def use_data(self) -> bool:
        """Point DPAUDIT_DATA to `data`, unless the environment says where the data sets are; whether it did."""
        if self.data is None or os.environ.get(_DATA):
            return False
        os.environ[_DATA] = str(self.data)
        return True

    def apply(self, audit: Audit) -> tuple[Audit, dict[str, Any]]:
        """`audit` with these values where it has the built-in default, and which were taken: argument -> value.

        A default that a spec states word for word cannot be told from one that it leaves out.
        """
        built_in = {spot.name: spot.default for spot in fields(Audit)}
        taken = {
            name: value
            for name, value in self.values.items()
            if getattr(audit, name) == built_in[name] and value != built_in[name]
        }
        return (replace(audit, **taken) if taken else audit), taken


def read_settings(start: Path) -> Settings:
    """The settings in the pyproject.toml nearest to `start`, a file or a folder, in its folder or above.

    The nearest file decides, also by setting nothing: a project does not inherit from the folder it lies in.

    Raises:
        UsageError: the file cannot be read, an unknown key, a value of another kind.
    """
    path = _nearest(start.resolve())
    if path is None:
        return Settings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("dpaudit")
    except (OSError, ValueError, AttributeError) as error:  # ValueError: of TOML, and of its encoding
        raise UsageError(f"{path} cannot be read", got=str(error), remedy="mend it: [tool.dpaudit] is read") from None
    if table is None:
        return Settings()
    if not isinstance(table, dict):
        raise UsageError(f"tool.dpaudit in {path}", allowed="a table, [tool.dpaudit]", got=repr(table))
    known = (*_NUMBERS, *_FOLDERS)
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key in [tool.dpaudit] of {path}", allowed=", ".join(known), got=key)
    values = {argument: _number(path, key, table[key]) for key, (_, _, argument) in _NUMBERS.items() if key in table}
    return Settings(path, values, *(_folder(path, key, table.get(key)) for key in _FOLDERS))


def _nearest(start: Path) -> Path | None:
    folder = start if start.is_dir() else start.parent
    return next((path for path in (above / _FILE for above in (folder, *folder.parents)) if path.is_file()), None)


def _number(path: Path, key: str, value: Any) -> Any:
    allowed, kind, _ = _NUMBERS[key]
    right = isinstance(value, kind) and not isinstance(value, bool)
    match key:
        case "trials":
            right = right and value >= 1
        case "confidence":
            right = right and 0 < value < 1
        case "workers":
            right = right and value >= 0
        case _:
            right = right and 0 < value < float("inf")
    if not right:
        example = allowed.rpartition("such as ")[2]
        raise UsageError(f"{key} in [tool.dpaudit] of {path}", allowed=allowed, got=value, remedy=f"{key} = {example}")
    return value


def _folder(path: Path, key: str, value: Any) -> Path | None:
    """Relative to the file that names it."""
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise UsageError(
            f"{key} in [tool.dpaudit] of {path}", allowed="a folder, as text", got=value, remedy=f'{key} = "{key}"'
        )
    return path.parent / Path(value).expanduser()
