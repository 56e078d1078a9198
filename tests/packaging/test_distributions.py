"""What is in the wheel and in the source distribution, and what they say of themselves."""

import configparser
import re
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dpaudit

ROOT = Path(__file__).parents[2]
PACKAGES = ("canaries", "dpaudit")
EXTRAS = ("dev", "docs", "mlflow", "ray", "wandb")


def package_files(root: Path) -> set[str]:
    """Everything in the two packages that is not compiled by Python."""
    found = (file for name in PACKAGES for file in (root / name).rglob("*") if file.is_file())
    return {str(file.relative_to(root)) for file in found if "__pycache__" not in file.parts}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def requirements(metadata: Message, extra: str) -> dict[str, Requirement]:
    """Of an extra alone, and for "" of the package itself."""
    told = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    if not extra:
        return {canonicalize_name(each.name): each for each in told if each.marker is None}
    marked = [each for each in told if each.marker is not None]
    return {canonicalize_name(each.name): each for each in marked if each.marker.evaluate({"extra": extra})}


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path, checkout: Path) -> None:
    """Every file, byte by byte: modules, py.typed, templates."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert set(held) == package_files(checkout)
    assert {"dpaudit/py.typed", "canaries/py.typed", "dpaudit/cli.py", "canaries/_blank.py"} <= set(held)
    assert all(held[name] == (checkout / name).read_bytes() for name in held)


def test_the_wheel_runs_everywhere_and_brings_its_licence(wheel: Path) -> None:
    assert wheel.name == f"dpaudit-{dpaudit.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = (name for name in archive.namelist() if name.endswith("LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        (top,) = (name for name in archive.namelist() if name.endswith("top_level.txt"))
        assert archive.read(top).decode().split() == list(PACKAGES)


def test_the_source_distribution_holds_what_the_tests_need(distributions: Path, checkout: Path) -> None:
    """All of the repository but what git and the machines need: one can build, test and document from it."""
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    folders = ("canaries", "dpaudit", "tests", "examples", "benchmarks", "docs")
    wanted = {
        str(file.relative_to(checkout))
        for folder in folders
        for file in (checkout / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    documents = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}
    wanted |= documents | {"pyproject.toml", "MANIFEST.in", "Makefile", "constraints.txt", "action.yml"}
    assert wanted - held == set()
    made = {name for name in held - wanted if not name.startswith("dpaudit.egg-info/")}
    assert made <= {"PKG-INFO", "setup.cfg", ".ci/run"}


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "dpaudit"
    assert metadata["Version"] == dpaudit.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert sorted(metadata.get_all("Provides-Extra", [])) == sorted(EXTRAS)
    assert {"numpy", "scipy", "torch", "opacus", "dp-accounting"} <= set(requirements(metadata, ""))
    assert not {"ray", "wandb", "mlflow-skinny", "sphinx", "pytest"} & set(requirements(metadata, ""))


def test_entry_points(wheel: Path) -> None:
    """The command, and the pytest plugin, which loads nothing of the library until it is used."""
    told = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        told.read_string(archive.read(name).decode())
    assert {section: dict(told[section]) for section in told.sections()} == {
        "console_scripts": {"dpaudit": "dpaudit.cli:main"},
        "pytest11": {"dpaudit": "dpaudit.pytest_plugin"},
    }


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_allows_the_version_we_test_with(metadata: Message, extra: str) -> None:
    """Of the package and of each extra. That they resolve together is what `make .venv` shows: it installs them."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if re.match(r"^[\w.-]+==", line))
    pinned = {canonicalize_name(name): version.split("+")[0].strip() for name, version in pins.items()}
    found = requirements(metadata, extra)
    assert found
    for name, each in found.items():
        if name == "dpaudit":
            assert each.extras <= set(EXTRAS)
        else:
            assert each.specifier.contains(pinned[name], prereleases=True), f"{each} against {pinned[name]}"
