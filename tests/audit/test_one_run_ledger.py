"""A killed one-run audit goes on where it was: the same report, and no training twice."""

import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from one_run_worlds import Presence, gradients, value

import dpaudit as dpa

CLAIM = dpa.Claim.gaussian(mu=1.0)


class Counting(Presence):
    """Counts its trainings, and is killed in one of them."""

    seen: list = []  # noqa: RUF012  shared on purpose
    killed_at: list = []  # noqa: RUF012

    def run_canaries(self, canaries, mask, seed):
        self.seen.append(seed)
        if len(self.seen) in self.killed_at:
            raise KeyboardInterrupt
        return super().run_canaries(canaries, mask, seed)


@pytest.fixture(autouse=True)
def _clear():
    Counting.seen.clear()
    Counting.killed_at.clear()


def audit(ledger=None, *, mu=1.5, seed=3, runs=4, **settings):
    given = {"attack": value, "seed": seed, "runs": runs, "ledger": ledger, **settings}
    return dpa.audit_one_run(Counting(mu), gradients(80), CLAIM, **given)


def test_an_interrupted_audit_ends_as_one_that_was_not(tmp_path):
    whole = audit().to_dict(volatile=False)
    assert len(Counting.seen) == 3 + 4
    Counting.seen.clear()
    Counting.killed_at.append(3 + 3)
    with pytest.raises(KeyboardInterrupt):
        audit(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("run-*")) == ["run-00000.npz", "run-00001.npz"]
    Counting.seen.clear()
    assert audit(tmp_path).to_dict(volatile=False) == whole
    assert len(Counting.seen) == 2  # runs 2 and 3: no pilots again
    Counting.seen.clear()
    assert audit(tmp_path).to_dict(volatile=False) == whole
    assert not Counting.seen


def test_another_audit_is_refused_and_fresh_begins_again(tmp_path):
    audit(tmp_path)
    method = dpa.methods.OneRunFDP(dpa.methods.FixedK(12, 12))
    for other in ({"seed": 4}, {"runs": 5}, {"mu": 1.4}, {"confidence": 0.9}, {"method": method}):
        with pytest.raises(dpa.UsageError, match="another audit") as told:
            audit(tmp_path, **other)
        assert "fresh=True" in str(told.value)
    Counting.seen.clear()
    audit(tmp_path, seed=4, fresh=True)
    assert len(Counting.seen) == 7


def test_no_pickle_is_ever_loaded_and_what_was_altered_is_told(tmp_path):
    audit(tmp_path)
    run = tmp_path / "run-00001.npz"
    good = dict(np.load(run, allow_pickle=False))

    def refused(message):
        with pytest.raises(dpa.AuditError, match=message):
            audit(tmp_path)

    np.savez(run, **{**good, "mask": ~good["mask"]})
    refused("altered")
    facts = json.loads(str(good["facts"]))
    np.savez(run, **{**good, "facts": np.array(json.dumps({**facts, "seed": 1}))})
    refused("altered")
    np.savez(run, **{**good, "values": np.array([{"a": 1}], object)})
    refused("damaged")
    run.write_bytes(pickle.dumps({"a": 1}))
    refused("damaged")
    run.write_bytes(b"")
    refused("damaged")
    np.savez(run, **good)
    audit(tmp_path)
    (tmp_path / "one-run.json").write_text("{")
    refused("damaged")


def test_two_processes_on_one_ledger(tmp_path):
    audit(tmp_path)
    script = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from dpaudit.trials.lock import FolderLock
        lock = FolderLock(Path({str(tmp_path)!r})); print("held", flush=True); input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(dpa.UsageError, match="another audit is writing"):
            audit(tmp_path)
        holder.communicate("\n")
    audit(tmp_path)


def test_a_failed_run_and_what_was_said_are_kept(tmp_path):
    class Raises(Presence):
        def run_canaries(self, canaries, mask, seed):
            Counting.seen.append(seed)
            print("told")
            if len(Counting.seen) == 2:
                raise RuntimeError("lost")
            return super().run_canaries(canaries, mask, seed)

    given = {"attack": value, "runs": 3, "ledger": tmp_path, "pilot": False}
    one, again = (dpa.audit_one_run(Raises(1.5), gradients(80), CLAIM, **given) for _ in range(2))
    assert len(Counting.seen) == 3
    assert one.to_dict(volatile=False) == again.to_dict(volatile=False)
    assert {"failed-run", "said"} <= {note.name for note in again.notes}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(dpa.UsageError, match="folder"):
        audit(tmp_path / "file" / "ledger")
