"""DP-SGD on the ensemble engine as a mechanism: the same trials however they are chunked, and audits end to end."""

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import canaries
import dpaudit as dpa
from dpaudit.digest import digest_of
from dpaudit.ensemble import SGD, Adam, Injected, Stack, Steps, tuning
from dpaudit.mechanisms import DPSGD, Mechanism
from dpaudit.mechanisms._kernels import fits_fused, train_fused, train_torch
from dpaudit.mechanisms._records import Worlds, read_pool
from dpaudit.testing import check_mechanism
from dpaudit.trials import Ledger, chunks

ROOT = Path(dpa.__path__[0]).parent


def logistic():
    model = nn.Sequential(nn.Linear(64, 10))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


@pytest.fixture(scope="module")
def digits():
    x, y = dpa.datasets.digits()
    return x[:200], y[:200]


@pytest.fixture(scope="module")
def neighbors(digits):
    return canaries.dead_feature(digits)


def honest(model=None, **changed):
    settings = {"noise_multiplier": 1.1, "sample_rate": 0.1, "steps": 20, "learning_rate": 0.5}
    return DPSGD(model or logistic(), **settings | changed)


def weights(releases):
    return torch.stack([torch.cat([p.detach().reshape(-1) for p in r.value.parameters()]) for r in releases])


COINS, SEEDS = [True, False, False, True, False, True, True], [5, 6, 7, 8, 2**32 - 1, 0, 11]


@pytest.mark.parametrize("kernel", ["torch", "fused"])
@pytest.mark.parametrize("start", ["fixed", "per trial"])
@pytest.mark.parametrize("make", [logistic, mlp])
def test_a_trial_does_not_depend_on_its_chunk(neighbors, make, kernel, start):
    mechanism = honest(make(), kernel=kernel, start=start)
    together = mechanism.run_many(neighbors, COINS, SEEDS)
    for i in (0, 3, 6):
        (alone,) = mechanism.run_many(neighbors, COINS[i : i + 1], SEEDS[i : i + 1])
        assert digest_of(alone.value) == digest_of(together[i].value)
        assert digest_of(alone.initial) == digest_of(together[i].initial)
    assert len({digest_of(release.value) for release in together}) == len(SEEDS)
    backwards = mechanism.run_many(neighbors, COINS[::-1], SEEDS[::-1])[::-1]
    assert torch.equal(weights(backwards), weights(together))


@pytest.mark.parametrize("kernel", ["torch", "fused"])
def test_one_world_alone_is_trained_like_two(neighbors, kernel):
    mechanism = honest(kernel=kernel, size=200)
    (many,) = mechanism.run_many(neighbors, [True], [3])
    alone = mechanism.run(neighbors.included, 3)  # the pool of both worlds: the same coins as well
    assert torch.equal(weights([alone]), weights([many]))
    full = honest(kernel=kernel, size=200, sample_rate=1.0)
    (many,) = full.run_many(neighbors, [False], [3])
    torch.testing.assert_close(weights([full.run(neighbors.excluded, 3)]), weights([many]))


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (logistic, {}),
        (mlp, {"max_grad_norm": (0.5, 1.0)}),
        (mlp, {"optimizer": Adam(), "learning_rate": 0.01}),
        (logistic, {"optimizer": SGD(momentum=0.9), "noise_multiplier": 0.0}),
    ],
)
def test_the_two_kernels_agree_on_injected_masks_and_noise(neighbors, make, changed):
    mechanism = honest(make(), **changed)
    training, stack, worlds = mechanism.training(200), Stack.of(mechanism.model), Worlds.of(neighbors)
    assert fits_fused(stack, training, Steps(), "cpu") is True
    assert mechanism.runs_on == "fused"
    rng = np.random.default_rng(0)
    present = worlds.present(torch.tensor(COINS))
    masks = torch.from_numpy(rng.random((7, 20, len(worlds.pool))) < 0.1) & present[:, None]
    noise = torch.from_numpy(rng.standard_normal((7, 20, stack.size), dtype=np.float32))
    given = (stack, worlds.pool, present, training, SEEDS, stack.start)
    injected = Injected(masks, noise)
    one, two = (train(*given, injected=injected).parameters for train in (train_fused, train_torch))
    assert not torch.equal(one, stack.start.expand_as(one))
    assert float((one - two).norm() / two.norm()) < 1e-5


@pytest.mark.parametrize("kernel", ["torch", "fused"])
def test_it_conforms(neighbors, kernel):
    assert check_mechanism(honest(kernel=kernel, size=200), neighbors).require().passed


def test_trials_that_lean_on_their_chunk_do_not_conform(neighbors):
    class Leaning(DPSGD):
        def run_many(self, neighbors, included, seeds):
            return super().run_many(neighbors, included, [seed + len(seeds) for seed in seeds])

    class Short(DPSGD):
        def run_many(self, neighbors, included, seeds):
            return super().run_many(neighbors, included, seeds)[:1]

    given = {"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 2, "learning_rate": 0.5, "size": 200}
    assert "depends on what else" in str(check_mechanism(Leaning(logistic(), **given), neighbors))
    assert "for each of 4 trials" in str(check_mechanism(Short(logistic(), **given), neighbors))


def test_a_few_trials_at_first_do_not_fix_the_size_of_later_chunks(neighbors, monkeypatch):
    """The engine measures once a process, and an audit's first trials come one by one."""
    monkeypatch.setattr(tuning, "_FOUND", {})
    mechanism = honest(kernel="torch", steps=2)
    mechanism.run_many(neighbors, [True], [0])
    assert not tuning._FOUND
    for models in (2, 64):
        mechanism.run_many(neighbors, [True] * models, range(models))
    ((found, tried),) = tuning._FOUND.values()
    assert found > 2
    assert tried == 64
    mechanism.run_many(neighbors, [True] * 3, range(3))
    assert list(tuning._FOUND.values()) == [(found, tried)]


def test_worlds_are_one_pool_and_two_masks(digits):
    x, y = digits
    added = Worlds.of(canaries.blank((x, y), label=9))
    assert len(added.pool) == 201
    assert (int(added.excluded.sum()), int(added.included.sum())) == (200, 201)
    swapped = Worlds.of(canaries.blank((x, y), label=9, adjacency=dpa.Adjacency.REPLACE_ONE, replaced=7))
    assert len(swapped.pool) == 201
    assert torch.where(swapped.excluded != swapped.included)[0].tolist() == [7, 200]
    twice = Worlds.of(dpa.Neighbors((x[[0, 0, 1]], y[[0, 0, 1]]), (x[[1, 0, 0, 0]], y[[1, 0, 0, 0]])))
    assert twice.included.tolist() == [True] * 4
    assert twice.excluded.tolist() == [True, True, True, False]
    bad = x[:3].copy()
    bad[2] = np.nan
    assert len(Worlds.of(dpa.Neighbors((bad[:2], y[:2]), (bad, y[:3]))).pool) == 3
    assert len(Worlds.of(dpa.Neighbors((bad, y[:3]), (bad, y[:3]), "replace-one")).pool) == 3


def test_every_kind_of_data_is_the_same_data(digits):
    x, y = digits
    tensors = torch.as_tensor(x), torch.as_tensor(y)
    kinds = [canaries.blank(data, label=9) for data in ((x, y), tensors, TensorDataset(*tensors))]
    made = [weights(honest().run_many(pair, COINS, SEEDS)) for pair in kinds]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


@pytest.mark.parametrize("data", [3.0, "digits", ([1.0], [2.0], [3.0]), [1.0, 2.0]])
def test_other_data_is_refused(data):
    with pytest.raises(dpa.UsageError):
        read_pool(data)


def test_the_divisor_is_public(neighbors):
    """A record that is hardly ever drawn changes nothing; a divisor of the world's own size would."""
    mechanism = honest(sample_rate=2.0**-31, noise_multiplier=1.0)
    same = weights(mechanism.run_many(neighbors, [True, False], [9, 9]))
    assert torch.equal(same[0], same[1])
    d0 = weights(honest().run_many(neighbors, [False], [9]))
    declared = weights(honest(size=400).run_many(neighbors, [False], [9]))
    assert not torch.allclose(d0, declared)
    torch.testing.assert_close(weights(honest(divisor=20.0).run_many(neighbors, [False], [9])), d0)
    facts = [release.facts for release in honest().run_many(neighbors, [True, False], [1, 2])]
    assert facts[0] == facts[1]
    assert facts[0]["divisor"] == pytest.approx(20.0)
    with pytest.raises(dpa.UsageError, match="private size"):
        honest().run(neighbors.excluded, 0)


def test_releases_share_nothing(neighbors):
    model = logistic()
    mechanism = honest(model)
    before = digest_of(model)
    one, two = mechanism.run_many(neighbors, [True, False], [1, 2])
    kept = digest_of(two.value), digest_of(two.initial)
    with torch.no_grad():
        for tensor in [*one.value.parameters(), *one.initial.values()]:
            tensor.fill_(7.0)
    assert (digest_of(two.value), digest_of(two.initial)) == kept
    assert digest_of(model) == before
    assert digest_of(mechanism.run_many(neighbors, [False], [2])[0].value) == kept[0]


def test_starts_are_public_and_each_trials_own(neighbors):
    fixed = honest(mlp()).run_many(neighbors, [True, True], [1, 2])
    assert all(digest_of(r.initial) == digest_of(dict(mlp().named_parameters())) for r in fixed)
    state = torch.random.get_rng_state()
    fresh = honest(mlp(), start="per trial").run_many(neighbors, [True, False], [1, 2])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert digest_of(fresh[0].initial) != digest_of(fresh[1].initial)


def test_repr_names_everything_that_decides_the_numbers(neighbors):
    base = honest()
    assert isinstance(base, Mechanism)
    assert base.engine == "ensemble (algorithm)"
    assert "kernel='fused'" in repr(base)
    assert "0x" not in repr(base)
    assert repr(base) == repr(honest()) == repr(pickle.loads(pickle.dumps(base)))
    bigger = logistic()
    nn.init.ones_(bigger[0].bias)
    others = [
        honest(bigger),
        honest(kernel="torch"),
        honest(noise_multiplier=1.2),
        honest(sample_rate=None, batch=20),
        honest(start="per trial"),
        honest(size=201),
        honest(hooks=Steps(privatise=forgets_noise)),
        honest(hooks=Steps(divide=lambda moment, noised: noised)),
        honest(optimizer=Adam()),
    ]
    assert len({repr(m) for m in [base, *others]}) == 10
    prints = {dpa.Audit(m, neighbors, claim=base.claim()).fingerprint()["mechanism"] for m in others}
    assert len(prints) == 9


def test_the_kernel_that_applies():
    assert honest().runs_on == honest(mlp()).runs_on == "fused"
    assert honest(sample_rate=None, batch=20).runs_on == "torch"
    assert honest(hooks=Steps(privatise=forgets_noise)).runs_on == "torch"
    assert honest(nn.Sequential(nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 10))).runs_on == "torch"
    assert honest(nn.Sequential(nn.Linear(64, 8), nn.LayerNorm(8), nn.Linear(8, 10))).runs_on == "torch"
    with pytest.raises(dpa.UsageError, match="no hooks"):
        honest(kernel="fused", hooks=Steps(privatise=forgets_noise))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": None},
        {"batch": 20},
        {"sample_rate": 1.5},
        {"steps": 0},
        {"start": "warm"},
        {"kernel": "jax"},
        {"noise_multiplier": -1.0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(dpa.UsageError):
        honest(**wrong)


def test_an_unsupported_model_is_refused():
    with pytest.raises(dpa.UsageError, match="BatchNorm"):
        honest(nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10)))


def test_the_claim_is_that_of_the_parameters():
    expected = dpa.Claim.dp_sgd(noise_multiplier=1.1, sample_rate=0.1, steps=20, delta=1e-6)
    assert honest().claim(delta=1e-6).to_dict() == expected.to_dict()
    with pytest.raises(dpa.UsageError, match="Poisson"):
        honest(sample_rate=None, batch=20).claim()


def forgets_noise(moment, clipped, noise):
    return clipped


def audit(mechanism, neighbors, **how):
    settings = {"claim": honest().claim(), "max_trials": 120, "workers": 0, "seed": 3}
    return dpa.audit(mechanism, neighbors, **settings | how)


def test_an_honest_training_is_not_refuted_and_one_without_noise_is_in_few_trials(neighbors):
    report = audit(honest(), neighbors, max_trials=400)
    assert report.verdict is dpa.Verdict.NOT_REFUTED, str(report)
    assert report.trials.failed == report.trials.lost == 0
    assert "ensemble (algorithm)" in str(report)
    faulty = audit(honest(hooks=Steps(privatise=forgets_noise)), neighbors)
    assert faulty.verdict is dpa.Verdict.REFUTED, str(faulty)
    assert faulty.trials.completed <= 60


@pytest.mark.parametrize("fault", [None, forgets_noise])
def test_the_report_is_the_same_for_any_chunk_and_number_of_workers(neighbors, monkeypatch, fault):
    mechanism = honest(steps=5, hooks=Steps() if fault is None else Steps(privatise=fault))
    reports = []
    for workers, most in ((0, 1), (1, 256), (2, 7)):
        monkeypatch.setattr(chunks, "MOST", most)
        reports.append(audit(mechanism, neighbors, workers=workers).to_dict(volatile=False))
    assert reports[0]["verdict"] == ("NOT_REFUTED" if fault is None else "REFUTED")
    assert all(report == reports[0] for report in reports[1:])


def test_a_ledger_holds_the_same_rows_for_any_chunk(neighbors, tmp_path, monkeypatch):
    rows = []
    for most in (1, 64):
        monkeypatch.setattr(chunks, "MOST", most)
        audit(honest(steps=5), neighbors, max_trials=40, ledger=tmp_path / str(most))
        with Ledger.read_only(tmp_path / str(most)) as ledger:
            rows.append([replace(outcome, seconds=0.0) for outcome in ledger.outcomes()])
    assert rows[0] == rows[1]


def test_a_hook_of_a_spec_file_travels_to_the_workers(tmp_path):
    spec = tmp_path / "faulty_spec.py"
    source = (ROOT / "examples" / "ensemble_digits.py").read_text()
    spec.write_text(
        source
        + """
import dataclasses
from dpaudit.ensemble import Steps

def forgets_noise(moment, clipped, noise):
    return clipped

faulty = dataclasses.replace(mechanism, hooks=Steps(privatise=forgets_noise))
audit = dataclasses.replace(audit, train=faulty, workers=1, max_trials=100)
"""
    )
    from dpaudit._spec import load_spec

    report = load_spec(spec).audit.run()
    assert report.verdict is dpa.Verdict.REFUTED, str(report)


def test_a_model_that_rejects_the_canary_does_not_begin(neighbors):
    small = DPSGD(nn.Sequential(nn.Linear(64, 4)), noise_multiplier=1.0, sample_rate=0.1, steps=2, learning_rate=0.1)
    with pytest.raises(dpa.UsageError, match="raised on D0"):
        audit(small, neighbors, claim=small.claim())


MANY = """
import sys, time
import torch
import canaries, dpaudit as dpa
from dpaudit.digest import digest_of
x, y = dpa.datasets.digits()
neighbors = canaries.dead_feature((x[:500], y[:500]))
mechanism = dpa.mechanisms.DPSGD(
    torch.nn.Sequential(torch.nn.Linear(64, 10)), noise_multiplier=1.1, sample_rate=.1, steps=50, learning_rate=.5)
began, seen = time.monotonic(), []
for first in range(0, 10_000, 250):
    seeds = range(first, first + 250)
    releases = mechanism.run_many(neighbors, [s % 2 for s in seeds], seeds)
    seen += [digest_of(release.value) for release in releases]
    if time.monotonic() - began > 60:
        sys.exit(77)
assert len(set(seen)) == 10_000
# not ru_maxrss: it starts from what the process that forked this one had
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20)
"""


def test_ten_thousand_trials_take_less_than_a_gigabyte():
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("10,000 trainings take more than a minute here")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0


def test_the_model_given_is_not_the_one_trained(neighbors):
    model = mlp()
    before = copy.deepcopy(model)
    honest(model).run_many(neighbors, COINS, SEEDS)
    assert digest_of(model) == digest_of(before)
