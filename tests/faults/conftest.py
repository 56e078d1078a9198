import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))  # for audit_worlds: the command line as a process
sys.path.insert(0, str(Path(__file__).parent))  # for fault_worlds


@pytest.fixture(autouse=True)
def all_writers():
    """A spec of these tests that is loaded in this process leaves out the plots; other tests want them."""
    from dpaudit.report import writers

    everything = dict(writers)
    yield
    writers.clear()
    writers.update(everything)
