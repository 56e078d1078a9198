"""A digest of the code that an audit in a test depends on: a kept verdict must not outlive a change of it."""

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import dpaudit
from dpaudit.digest import digest_of
from dpaudit.pytest_plugin.sources import Sources
from dpaudit.pytest_plugin.values import Values

__all__ = ["code_digest"]


def code_digest(things: Iterable[Any], *, tests: ModuleType, root: Path, before: float) -> str:
    """Digest of `things` (functions, objects), and of all the project's code that they and the tests can reach.

    That is: what can be read in the things, captured values and attributes; the whole source of the modules that define
    any of it, of the test's own module and of the conftest.py files above it, and of every module that these import
    anywhere, and so on, unless it is installed; of what is installed the versions.

    More than need be changes it now and then, and an audit is played again. It does not see what training reads from
    files, the environment or the network: --dpaudit-fresh is for that.

    Args:
        things: the training function, the attack, ...
        tests: the test's module.
        root: pytest's root folder; conftest.py files are looked for from the tests up to here.
        before: seconds since the epoch. A file written after that may differ from the code that was loaded from it:
            then the digest is one that never comes again.
    """
    values, sources = Values(), Sources()
    told = [values.of(thing) for thing in things]
    for module in (*values.modules, tests):
        sources.add_module(module)
    sources.add_conftests(Path(tests.__file__ or root), root)
    if "site-packages" not in Path(dpaudit.__file__).parts:
        sources.add_folder(Path(dpaudit.__file__).parent)  # a checkout: its version stays while its code changes
    return digest_of(
        [
            told,
            {str(path): digest for path, digest in sorted(sources.files.items())},
            {name: _version(name) for name in sorted(sources.installed)},
            platform.python_version(),
            os.urandom(16) if sources.newest > before else b"",
        ]
    )


_distributions: dict[str, list[str]] = {}


def _version(top: str) -> str:
    """Of the distribution that a top-level module belongs to; "" if nobody knows."""
    if not _distributions:
        _distributions.update((name, list(of)) for name, of in metadata.packages_distributions().items())
    return ", ".join(metadata.version(name) for name in _distributions.get(top, ()))
