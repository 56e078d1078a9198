"""The project's own source files, followed along their imports."""

import sys
from hashlib import blake2b
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from dpaudit.imports import imported_names
from dpaudit.trials.by_value import is_installed

__all__ = ["Sources"]


class Sources:
    """Files of code, each with its digest, followed along its imports.

    Attributes:
        files: path -> digest of its content.
        installed: top-level names of what is installed, or built in.
        newest: when the last of the files was written, seconds since the epoch.
    """

    def __init__(self) -> None:
        self.files: dict[Path, str] = {}
        self.installed: set[str] = set()
        self.newest = 0.0
        self._modules: set[int] = set()

    def add_module(self, module: ModuleType) -> None:
        """It, and whatever it holds or imports."""
        if id(module) in self._modules:
            return
        self._modules.add(id(module))
        file = getattr(module, "__file__", None)
        if module.__name__.partition(".")[0] in ("dpaudit", "canaries") or file is None or is_installed(module):
            self.installed.add(module.__name__.partition(".")[0])
            return
        self.add_file(Path(file), module.__package__ or "")
        for value in list(vars(module).values()):
            held = value if isinstance(value, ModuleType) else sys.modules.get(str(getattr(value, "__module__", None)))
            if isinstance(held, ModuleType):
                self.add_module(held)

    def add_file(self, path: Path, package: str) -> None:
        """It, and what it imports, by name, wherever in it; without importing anything."""
        path = path.resolve()
        if path in self.files:
            return
        try:
            content = path.read_bytes()
            self.newest = max(self.newest, path.stat().st_mtime)
        except OSError:
            content = b"gone"
        self.files[path] = blake2b(content, digest_size=16).hexdigest()
        if path.suffix == ".py":
            for name in imported_names(content, package):
                self._add_name(name)

    def add_conftests(self, tests: Path, root: Path) -> None:
        """The conftest.py files that pytest loads for the tests in this file."""
        for folder in tests.resolve().parents:
            if (folder / "conftest.py").is_file():
                self.add_file(folder / "conftest.py", "")
            if folder == root.resolve():
                return

    def add_folder(self, folder: Path) -> None:
        """All Python files in it."""
        for path in sorted(folder.rglob("*.py")):
            self.files[path] = blake2b(path.read_bytes(), digest_size=16).hexdigest()
            self.newest = max(self.newest, path.stat().st_mtime)

    def _add_name(self, name: str) -> None:
        """A dotted name that somebody imports: a module, or something in one."""
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        parts = name.split(".")
        for length in range(1, len(parts) + 1):  # packages run their __init__ first
            module = sys.modules.get(".".join(parts[:length]))
            if isinstance(module, ModuleType):
                self.add_module(module)
        if name not in sys.modules and top not in self.installed:
            self._look_for(parts)

    def _look_for(self, parts: list[str]) -> None:
        """Of a module that is not loaded yet, such as one that a function imports: its file, from package to module."""
        where: list[str] | None = None
        for length in range(1, len(parts) + 1):
            try:
                found = find_spec(parts[0]) if where is None else PathFinder.find_spec(".".join(parts[:length]), where)
            except (ImportError, ValueError):
                return
            if found is None:
                return
            if found.origin is not None and Path(found.origin).is_file():
                if "site-packages" in Path(found.origin).parts:
                    self.installed.add(parts[0])
                    return
                self.add_file(Path(found.origin), ".".join(parts[: length if found.submodule_search_locations else -1]))
            if not found.submodule_search_locations:
                return
            where = list(found.submodule_search_locations)
