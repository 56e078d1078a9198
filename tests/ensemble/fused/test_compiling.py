import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fused_worlds import world

import dpaudit
from dpaudit.ensemble.fused import Options, applies, compiling, train
from dpaudit.errors import UsageError

PROGRAM = """
import numpy as np
from dpaudit.ensemble.fused import compiling, streams
if {changed}:
    compiling_digest = compiling.digest() + 1
    streams.coins, streams.noise = streams._entries(compiling_digest)
print(streams.coins(np.uint64(7), 1, 3).tolist(), sum(streams.coins.stats.cache_hits.values()))
"""


def run(folder: Path, changed: bool = False) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(Path(dpaudit.__file__).parents[1])}
    program = [sys.executable, "-c", PROGRAM.format(changed=changed)]
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_later_process_loads_what_an_earlier_one_compiled_unless_any_source_changed(tmp_path: Path) -> None:
    first, second, third = run(tmp_path), run(tmp_path), run(tmp_path, changed=True)
    assert first.endswith(" 0\n")
    assert second.endswith(" 1\n")
    assert third == first


def test_the_digest_is_of_every_source_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("compiling.py", "elementary.py"):
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "compiling.py"))
    before = compiling.digest()
    assert compiling.digest() == before
    (tmp_path / "elementary.py").write_text("2")
    assert compiling.digest() != before


def test_without_a_folder_to_cache_in_it_still_compiles() -> None:
    space: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x", space)  # numba finds no file, hence no place beside it
    assert compiling.entry(space["double"])(4) == 8  # type: ignore[arg-type]


def test_what_the_kernel_does_not_have_is_refused_with_a_reason() -> None:
    assert applies((64, 10), None) is True
    assert applies((64, 32, 10), "tanh", sampling="full", loss="mse", optimizer="adam", clips=2) is True
    refusals = [
        applies((64,), None),
        applies((64, 0), None),
        applies((64, 10), "gelu"),
        applies((64, 10), None, sampling="shuffle"),
        applies((64, 10), None, loss="hinge"),
        applies((64, 10), None, optimizer="rmsprop"),
        applies((64, 32, 10), None, clips=4),
    ]
    assert all(isinstance(reason, str) and "fused kernel" in reason for reason in refusals)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", np.zeros((60, 11), "f4")),
        ("y", np.full(60, 4)),
        ("y", np.full(60, -1)),
        ("y", np.zeros(60)),
        ("y", np.zeros(59, int)),
        ("present", np.ones((3, 59), bool)),
        ("present", np.ones((2, 60), bool)),
        ("start", np.zeros(75, "f4")),
        ("start", np.zeros((2, 124), "f4")),
        ("masks", np.ones((3, 5, 60), bool)),
        ("noise", np.zeros((3, 6, 123), "f4")),
        ("canary", (np.zeros(3), np.ones(3, bool))),
        ("canary", (np.zeros(124), np.ones(2, bool))),
        ("activation", "gelu"),
        ("clip", (1.0, 1.0, 1.0)),
        ("sample_rate", 1.5),
        ("sample_rate", float("nan")),
        ("divisor", 0.0),
        ("options", Options(optimizer="lamb")),  # type: ignore[arg-type]
    ],
)
def test_input_that_does_not_fit_is_refused_before_the_kernel_runs(name: str, value: object) -> None:
    w = world((12, 8, 4))
    assert w.start.shape[1] == 8 * 13 + 4 * 9 == 140
    with pytest.raises(UsageError):
        train(**{**w.arguments(), name: value})
