"""The distributions, built once as a release builds them, and an environment with nothing but the wheel."""

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for outside and docs_pages, shared by these tests

from outside import execute

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", "build", "dist", "runs", "_build", "*.egg-info", "__pycache__", ".*_cache", "*.sqlite*")


@pytest.fixture(scope="package")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree, so that nothing is written into it and no earlier build gets in."""
    made = tmp_path_factory.mktemp("source") / "dpaudit"
    shutil.copytree(ROOT, made, ignore=shutil.ignore_patterns(*LEFT_OUT), ignore_dangling_symlinks=True)
    shutil.rmtree(made / "docs" / "api" / "modules", ignore_errors=True)  # made anew by whoever builds them
    for name in ("tests", "docs"):  # packages as setuptools would like them, which must not get in
        (made / name / "__init__.py").touch()
    return made


@pytest.fixture(scope="package")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`python -m build`: the source distribution, and the wheel built from that. Offline: no isolation."""
    made = tmp_path_factory.mktemp("dist")
    done = execute(sys.executable, "-m", "build", "--no-isolation", "--outdir", made, checkout, cwd=made.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(file.suffix for file in made.iterdir()) == [".gz", ".whl"]
    return made


@pytest.fixture(scope="package")
def wheel(distributions: Path) -> Path:
    """The wheel."""
    (found,) = distributions.glob("*.whl")
    return found


@pytest.fixture(scope="package")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel alone: `<bare>/bin/python`."""
    made = tmp_path_factory.mktemp("environment") / "bare"
    for words in (
        ("-m", "venv", "--without-pip", made),
        ("-m", "pip", "--python", made / "bin" / "python", "install", "-q", "--no-deps", "--no-index", wheel),
    ):
        done = execute(sys.executable, *words, cwd=made.parent)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="package")
def installed(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its dependencies: a copy of `bare` that finds this process's packages after its own.

    A line of a .pth file puts a folder on the path without running the .pth files in it, so an editable dpaudit there
    stays out of sight. A whole installation with torch is gigabytes; it is made by hand before a release.
    """
    made = bare.parent / "installed"
    done = execute(sys.executable, "-m", "venv", "--without-pip", made, cwd=bare.parent)
    assert done.returncode == 0, done.stderr
    purelib = Path("lib") / f"python{sysconfig.get_python_version()}" / "site-packages"
    shutil.copytree(bare / purelib, made / purelib, dirs_exist_ok=True)
    (made / purelib / "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) + "\n"
    )
    script = (bare / "bin" / "dpaudit").read_text()
    (made / "bin" / "dpaudit").write_text(script.replace(str(bare), str(made)))
    (made / "bin" / "dpaudit").chmod(0o755)
    return made
