import functools
import importlib.util
import sys
import threading

import numpy as np
import pytest
import trial_worlds
from trial_worlds import Function, game, laplace

from dpaudit.errors import UsageError
from dpaudit.trials import Payload, PayloadError, Schedule
from dpaudit.trials.by_value import is_installed, modules_by_value
from dpaudit.trials.payload import read_payload

TRIAL = Schedule(1).trial(0)

SPEC = """
from helper_of_the_spec import SCALE
import numpy as np
def train(data, seed):
    return noisy(data, seed)
def noisy(data, seed):
    return float(data.sum() + SCALE * np.random.default_rng(seed).laplace())
"""


def test_the_file_is_written_when_asked_for_and_deleted_at_the_end():
    with Payload(game(laplace)) as payload:
        path, digest = payload.file()
        assert payload.file() == (path, digest)
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
        assert read_payload(str(path), digest).play(TRIAL).digest == game(laplace).play(TRIAL).digest
    assert not path.parent.exists()


def test_a_changed_or_missing_file_is_never_unpickled():
    with Payload(game(laplace)) as payload:
        path, digest = payload.file()
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(PayloadError, match="not the one that was written"):
            read_payload(str(path), digest)
    with pytest.raises(PayloadError, match="cannot read the audit's payload"):
        read_payload(str(path), digest)


def test_a_game_that_cannot_travel_says_what_to_do():
    lock = threading.Lock()

    def train(data, seed):
        with lock:
            return 0.0

    with pytest.raises(UsageError, match=r"cannot be sent to a worker.*lock.*workers=0"), Payload(game(train)) as p:
        p.file()


def test_a_spec_file_travels_by_value(tmp_path, monkeypatch):
    """Nobody can import it, and what it was at the start is what runs."""
    (tmp_path / "helper_of_the_spec.py").write_text("SCALE = 2.0")
    (tmp_path / "spec_under_test.py").write_text(SPEC)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.spec_from_file_location("spec_under_test", tmp_path / "spec_under_test.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "spec_under_test", module)
    spec.loader.exec_module(module)
    expected = game(module.train).play(TRIAL).statistics
    with Payload(game(module.train)) as payload:
        path, digest = payload.file()
        monkeypatch.delitem(sys.modules, "spec_under_test")
        (tmp_path / "spec_under_test.py").write_text("raise RuntimeError('read again')")
        assert read_payload(str(path), digest).play(TRIAL).statistics == expected


def test_which_modules_travel():
    mechanism = Function(functools.partial(laplace))
    assert modules_by_value(mechanism, np.zeros(3)) == [trial_worlds]
    assert modules_by_value(Function(np.sum).train) == []
    assert [is_installed(m) for m in (np, functools, sys, trial_worlds)] == [True, True, True, False]
    assert is_installed(sys.modules["dpaudit.trials.game"])


def test_modules_can_be_added_by_hand_and_are_not_left_registered():
    import cloudpickle

    with Payload(game(laplace), by_value=[threading]) as payload:
        payload.file()
    assert "threading" not in cloudpickle.list_registry_pickle_by_value()
    assert "trial_worlds" not in cloudpickle.list_registry_pickle_by_value()
