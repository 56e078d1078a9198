"""Two gloo processes that train together with Opacus, seen step by step. One pair of processes serves nearly all."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from opacus import PrivacyEngine
from opacus.distributed import DifferentiallyPrivateDistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa
from dpaudit.mechanisms import Distributed, OpacusTranscript

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RECORDS, FEATURES, BATCHES, RATE = 60, 4, 2, 0.5
MODES = {
    "hooks": {},
    "ghost": {"grad_sample_mode": "ghost"},
    "per_layer": {"clipping": "per_layer", "max_grad_norm": [0.6, 0.8]},
}


def network():
    torch.manual_seed(11)
    return torch.nn.Linear(FEATURES, 2)


def worlds(**way):
    """The data tell the ranks how to train; the last feature is 0 in all records."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(RECORDS, FEATURES)).astype(np.float32)
    x[:, -1] = 0
    plain = canaries.dirac((x, rng.integers(0, 2, RECORDS)), network())
    gradient = plain.context["gradient"]
    data = (*plain.excluded, way)
    return data, dpa.mechanisms.WithGradient(data, gradient), int(np.flatnonzero(gradient)[0])


def train(data, seed):
    x, y, way = data
    rank = dist.get_rank() if dist.is_initialized() else 0
    match way.get("accident"), rank:
        case "raise", 1:
            raise ValueError("on purpose")
        case "end early", 1:
            way = way | {"epochs": 1}
        case "die", 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "change", _:
            x += 1
    mode, model = way.get("mode", "hooks"), network()
    kept = model.weight.detach().clone()
    criterion = torch.nn.CrossEntropyLoss()
    private = PrivacyEngine().make_private(
        module=DifferentiallyPrivateDistributedDataParallel(model) if dist.is_initialized() else model,
        optimizer=torch.optim.SGD(model.parameters(), lr=way.get("lr", 0.0)),
        data_loader=DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), RECORDS // way.get("batches", 2)),
        noise_multiplier=way.get("noise", 0.0),
        **({"max_grad_norm": 1.0} | MODES[mode] | ({"criterion": criterion} if mode == "ghost" else {})),
    )
    net, optimizer, loader = private[0], private[1], private[-1]
    criterion = private[2] if mode == "ghost" else criterion
    for _ in range(way.get("epochs", 4)):
        for batch, labels in loader:
            optimizer.zero_grad()
            criterion(net(batch), labels).backward()
            optimizer.step()
    assert kept.shape == model.weight.shape
    print(f"rank {rank} is done")
    return net


@pytest.fixture(scope="module")
def ranks():
    everything = np.eye(sum(p.numel() for p in network().parameters()))
    mechanism = Distributed(OpacusTranscript(train, everything, sample_rate=RATE), ranks=2)
    yield mechanism
    mechanism._crew._disband()


@pytest.mark.parametrize("mode", list(MODES))
def test_a_canary_is_on_one_rank_at_a_time_and_adds_one_bound(ranks, mode):
    plain, inside, at = worlds(mode=mode, epochs=10)
    one, other = (ranks.run(world, 3).value.units for world in (inside, plain))
    added = (one - other)[:, at]
    whole = 0.6 if mode == "per_layer" else 1.0
    here = added > whole / 2
    np.testing.assert_allclose(added[here], whole, rtol=1e-4)
    np.testing.assert_allclose(np.delete(one - other, at, axis=1), 0, atol=1e-5)
    assert (np.abs(added[~here]) < 1e-6).all()
    # the coins are those of a single process, which both ranks share: it is there in turn
    alone = OpacusTranscript(train, np.eye(10), sample_rate=RATE)
    single = (alone.run(inside, 3).value.units - alone.run(plain, 3).value.units)[:, at] > whole / 2
    assert (here == single).all()
    assert here[::2].any()
    assert here[1::2].any()


def test_all_records_of_all_ranks_are_in_the_sum(ranks):
    """Every record in every batch, no noise: the sum of two ranks is that of one process."""
    plain, _, _ = worlds(batches=1, lr=0.3)
    together = ranks.run(plain, 5).value
    alone = OpacusTranscript(train, np.eye(10)).run(plain, 5).value
    np.testing.assert_allclose(together.projections, alone.projections, rtol=1e-3, atol=1e-4)
    for one, other in zip(together.final.parameters(), alone.final.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_transcript_is_what_moved_the_weights_and_the_noise_is_added_once(ranks):
    plain, _, _ = worlds(noise=1.5, lr=0.5, epochs=40)
    release = ranks.run(plain, 8)
    assert type(release.value.final) is torch.nn.Linear  # no wrapper travels
    moved = [(release.value.final.state_dict()[name] - start).flatten() for name, start in release.initial.items()]
    total = -0.5 / (RECORDS * RATE) * release.value.projections.sum(axis=0)
    np.testing.assert_allclose(torch.cat(moved).numpy(), total, rtol=1e-3, atol=1e-4)
    quiet = release.value.units[:, FEATURES - 1]  # 80 steps of noise alone: its variance within chi-squared's 1e-7 ends
    assert 0.55 < quiet.std() / 1.5 < 1.5
    assert release.facts["opacus.steps"] == release.value.steps == 80


def test_a_training_is_a_function_of_data_and_seed_and_changes_nothing_for_the_next(ranks):
    inside = worlds(noise=1.0, lr=0.1)[1]
    one, other, next_seed = (ranks.run(inside, seed).value.projections for seed in (3, 3, 4))
    assert (one == other).all()
    assert (one != next_seed).any()
    changing = worlds(accident="change", lr=0.1)[0]
    assert (ranks.run(changing, 3).value.projections == ranks.run(changing, 3).value.projections).all()
    assert (changing[0] == worlds()[0][0]).all()


def test_what_a_rank_raises_comes_back_and_the_next_training_goes_on(ranks):
    bad, good = worlds(accident="raise")[0], worlds()[0]
    with pytest.raises(ValueError, match="on purpose") as told:
        ranks.run(bad, 3)
    assert "on rank 1 of 2" in told.value.__notes__
    assert ranks.run(good, 3).value.steps == 4 * BATCHES


def test_ranks_that_take_different_numbers_of_steps_are_told_at_once(ranks):
    with pytest.raises(RuntimeError, match="rank 0 waited for rank 1, which had ended"):
        ranks.run(worlds(accident="end early")[0], 3)


def test_what_ranks_print_is_told_once(ranks, capsys):
    ranks.run(worlds(epochs=1)[0], 3)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("rank 0 is done") == said.err.count("rank 1 is done") == 1


def test_a_rank_that_dies_twice_takes_its_worker_with_it(ranks, monkeypatch):
    ended = []
    monkeypatch.setattr(multiprocessing.current_process(), "_name", "LokyProcess-7")
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(dpa.AuditError, match="died twice"):
        ranks.run(worlds(accident="die")[0], 3)
    assert ended == [1]


def test_no_process_and_no_folder_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "audit.py"
    script.write_text(
        "import time\n"
        "from dpaudit.mechanisms import Distributed\n"
        "def train(data, seed):\n"
        "    import os, pathlib, torch.distributed as dist\n"
        "    (pathlib.Path(data) / f'rank-{dist.get_rank()}').write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        f"    Distributed(train).run({str(tmp_path)!r}, 1)\n"
    )
    folders = tmp_path / "temporary"
    folders.mkdir()
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"TMPDIR": str(folders)})
    pids = [tmp_path / f"rank-{rank}" for rank in range(2)]
    _until(lambda: all(path.exists() and path.read_text() for path in pids))
    started = [int(path.read_text()) for path in pids]
    parent.kill()
    parent.wait()
    _until(lambda: not any(map(_runs, started)))
    _until(lambda: not list(folders.glob("dpaudit-ranks-*")))


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def test_settings_out_of_their_range_are_told():
    for settings, said in (({"ranks": 1}, "ranks"), ({"ranks": True}, "ranks"), ({"timeout": 0}, "timeout")):
        with pytest.raises(dpa.UsageError, match=said):
            Distributed(train, **settings)
    with pytest.raises(dpa.UsageError, match="another signature"):
        Distributed(lambda data: None)


def test_canaries_of_one_run_are_each_on_one_rank(ranks):
    """Of m gradients, in at rate 1 / 2 and one at a time on a rank, each adds its one bound and nobody's twice."""
    plain, _, at = worlds(epochs=10)
    gradients = 1000.0 * np.eye(10)[[at, at]]
    few = dpa.CanarySet(plain, gradients=gradients)
    none, one, both = (ranks.run_canaries(few, mask, 3).value.units[:, at] for mask in ([0, 0], [1, 0], [1, 1]))
    assert set(np.round(one - none, 3)) == {0.0, 1.0}
    assert set(np.round(both - none, 3)) == {0.0, 1.0, 2.0}
    with pytest.raises(dpa.UsageError, match="gradient canaries"):
        Distributed(train).run_canaries(few, [0, 1], 3)


def test_a_rank_alone_does_not_believe_its_divisor(monkeypatch):
    """A train(data, seed) that started the other ranks itself: their sums are not seen."""
    from dpaudit.mechanisms.opacus import _group

    monkeypatch.setattr(_group, "place", lambda: (0, 2))
    with pytest.raises(dpa.UsageError, match="Distributed"):
        _group.averaging(type("Shares", (), {"reduce_gradients": None})())


def test_sums_that_do_not_fit_together_are_told():
    from dpaudit.mechanisms.opacus._group import RankRelease, Share, agreed
    from dpaudit.transcript import Transcript

    seen = RankRelease(Transcript(np.array([[3.0], [3.0]]), np.ones(2)))
    part = (np.array([1.5]), 1e-6)
    assert type(agreed(seen, [Share(2, (part, part))] * 2)) is dpa.Release
    with pytest.raises(dpa.UsageError, match="step 2"):
        agreed(seen, [Share(2, (part, part)), Share(2, (part, (np.array([1.0]), 1e-6)))])
    with pytest.raises(dpa.UsageError, match="2 on rank 0, 1 on rank 1"):
        agreed(seen, [Share(2, (part, part)), Share(1, (part,))])


def test_a_crew_is_forgotten_where_it_is_sent(ranks):
    import pickle

    assert pickle.loads(pickle.dumps(ranks._crew))._pool is None
    assert repr(ranks) == repr(Distributed(ranks.train, ranks=2))
