"""What `dpaudit.membership` offers, and what it costs to import."""

import subprocess
import sys
from importlib import import_module

import pytest

import dpaudit.membership as membership


def test_every_public_name_is_where_it_is_said_to_be():
    assert set(membership.__all__) == set(membership._HOME)
    for name in membership.__all__:
        home = import_module(f"dpaudit.membership.{membership._HOME[name]}")
        assert name in home.__all__
        assert getattr(membership, name) is getattr(home, name)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'Lyra'"):
        _ = membership.Lyra


def test_signals_and_masks_load_neither_torch_nor_sklearn():
    code = (
        "import sys; from dpaudit.membership import Signals, FunctionShadows, half_masks; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'scipy.stats')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
