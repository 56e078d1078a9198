"""A bug that was released and mended: Opacus 1.0.1 trains without noise where a step has a closure, 1.0.2 does not."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[2] / "examples" / "opacus_closure.py"


def download(version: str, folder: Path) -> Path:
    """The unpacked wheel, without its dependencies; skips with the reason where there is none to be had."""
    asked = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--timeout", "10", "--retries", "0"]
    done = subprocess.run([*asked, "-d", str(folder), f"opacus=={version}"], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.skip(f"opacus {version} cannot be downloaded: {reason}")
    wheel = next(folder.glob("opacus-*.whl"))
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.parametrize(("version", "verdict", "code"), [("1.0.1", "REFUTED", 1), ("1.0.2", "NOT_REFUTED", 0)])
def test_a_step_with_a_closure(version: str, verdict: str, code: int, tmp_path: Path) -> None:
    old = download(version, tmp_path / version)
    done = subprocess.run(
        [sys.executable, "-m", "dpaudit.cli", "run", str(SPEC), "--trials", "40", "--out", str(tmp_path), "--json"],
        env={**os.environ, "PYTHONPATH": str(old)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout)
    assert report["versions"]["opacus"] == version
    assert report["verdict"] == verdict
