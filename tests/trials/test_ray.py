"""A real Ray of two CPUs: the same outcomes as here, and what dies there is tried again with the same seeds."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
from trial_worlds import Once, Value, essence, game, laplace, neighbors

import dpaudit as dpa
from dpaudit._spec import load_spec
from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.membership.spreading import spread
from dpaudit.release import Release
from dpaudit.trials import Game, Payload, RayExecutor, Runner, Schedule, Status
from dpaudit.trials.executors import processes_of
from dpaudit.trials.shipping import Carried

ray = pytest.importorskip("ray")

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIALS = [Schedule(4).trial(i) for i in range(60)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Ray writes a token into HOME."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            num_cpus=2,
            resources={"seat": 2},
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def executor(cluster):
    with RayExecutor() as made:
        yield made


def by_index(outcomes):
    return essence(sorted(outcomes, key=lambda o: o.trial.index))


def play(what, executor, trials=TRIALS):
    with Payload(what) as payload, Runner(payload, executor=executor) as runner:
        return by_index(runner.run(trials))


@pytest.fixture(scope="module")
def undisturbed():
    return play(game(laplace), None)


def test_the_same_outcomes_as_here_in_chunks(executor, undisturbed):
    assert processes_of(executor) == 2
    assert play(game(laplace), executor) == undisturbed


def test_workers_have_one_thread_and_one_hash_seed(executor):
    names = ("OMP_NUM_THREADS", "PYTHONHASHSEED")
    told = executor.submit(lambda: [os.environ.get(name) for name in names]).result()
    assert told == ["1", "0"]


def test_a_worker_that_is_killed_costs_its_trials_a_second_run(executor, undisturbed, tmp_path):
    train = Once(TRIALS[7].seed, str(tmp_path), "die")
    assert play(game(train), executor) == undisturbed
    attempts = train.attempts()
    assert attempts[TRIALS[7].seed] == 2
    assert set(attempts) == {trial.seed for trial in TRIALS}, "never a new seed"
    assert max(attempts.values()) == 2


def test_ray_itself_repeats_nothing_and_a_trial_that_kills_twice_is_lost(executor, undisturbed, tmp_path):
    train = Once(TRIALS[7].seed, str(tmp_path), "die", times=9)
    rows = play(game(train), executor)
    assert (rows[7][0], rows[7][1]) == (TRIALS[7], Status.LOST)
    assert "WorkerCrashedError" in rows[7][3]
    assert rows[:7] + rows[8:] == undisturbed[:7] + undisturbed[8:]
    assert train.attempts()[TRIALS[7].seed] in (2, 3), "twice alone, and before that perhaps with others"


class Many:
    """Trains many at once; their sums depend on nothing else that is asked for."""

    def run_many(self, worlds, included, seeds):
        return [Release(laplace(worlds.world(coin), seed)) for coin, seed in zip(included, seeds, strict=True)]


def test_chunks_of_a_mechanism_that_trains_many(executor):
    together = Game(Many(), neighbors(), Value())
    assert play(together, executor) == play(together, None)


def _audit(train, **settings):
    claim = dpa.Claim(epsilon=1.0)
    return dpa.audit(train, zero_or_one(), claim=claim, seed=5, max_trials=30, **settings).to_dict(volatile=False)


def test_the_report_is_that_of_local_workers_although_a_worker_is_killed(executor, tmp_path):
    at, folder = Schedule(5).trial(11).seed, str(tmp_path)

    def train(data, seed):
        armed = os.path.join(folder, "armed")
        if seed == at and os.path.exists(armed):
            os.remove(armed)
            os.kill(os.getpid(), signal.SIGKILL)
        return float(data + np.random.default_rng(seed).laplace())

    here = _audit(train, workers=0)
    assert _audit(train, executor="ray") == here
    (tmp_path / "armed").touch()
    assert _audit(train, executor=executor) == here
    assert not (tmp_path / "armed").exists()


def test_the_example(executor):
    assert load_spec(EXAMPLES / "scale_ray.py").audit.run().verdict is dpa.Verdict.REFUTED


class Squares:
    def __init__(self, folder=None):
        self.folder = folder

    def run(self, models):
        if self.folder is not None and 5 in models:
            mark = os.path.join(self.folder, "died")
            if not os.path.exists(mark):
                open(mark, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"square": models**2, "process": np.full(len(models), os.getpid())}


def test_shadow_models_on_ray_each_once_although_a_worker_is_killed(executor, tmp_path):
    for job in (Squares(), Squares(str(tmp_path))):
        parts = list(spread(job, np.arange(20), executor=executor, most=3))
        models = np.concatenate([part for part, _ in parts])
        assert sorted(models) == list(range(20))
        assert all((made["square"] == part**2).all() for part, made in parts)
        assert os.getpid() not in np.concatenate([made["process"] for _, made in parts])
    assert (tmp_path / "died").exists()


class Centres:
    """A classifier by the nearer mean."""

    def __init__(self, x, y):
        self.means = np.stack([x[y == label].mean(axis=0) for label in (0, 1)])

    def predict_proba(self, x):
        near = np.exp(-((x[:, None] - self.means) ** 2).sum(axis=-1))
        return near / near.sum(axis=1, keepdims=True)


def test_shadow_models_of_a_function_are_those_of_one_process(executor):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)), np.arange(12) % 2
    members = dpa.membership.half_masks(6, 12, seed=1)
    members[:, :2] = True
    shadows = dpa.membership.FunctionShadows(lambda data, seed: Centres(*data), x, y, members, seeds=3)
    alone, there = shadows.signals(workers=0), shadows.signals(executor=executor)
    assert np.array_equal(alone.losses, there.losses)


def test_ensemble_shadow_models_are_those_of_one_process(executor):
    import torch

    from dpaudit.ensemble import Shuffle, Training

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)).astype(np.float32), np.arange(12) % 2
    training = Training(Shuffle(4), 3, 0.1, clip=None)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    shadows = dpa.membership.Shadows(model, training, x, y, dpa.membership.half_masks(4, 12, seed=1), seeds=3)
    assert np.array_equal(shadows.train(workers=0), shadows.train(executor=executor))


def test_exceptions_come_out_as_they_are(executor):
    def fails():
        raise dpa.UsageError("what", got=3)

    def leaves():
        raise KeyboardInterrupt

    assert isinstance(executor.submit(fails).exception(), UsageError)
    assert isinstance(executor.submit(leaves).exception(), KeyboardInterrupt)


def test_a_future_that_is_cancelled_is_cancelled_there(executor, tmp_path):
    def note(name):
        (tmp_path / name).touch()
        time.sleep(0.2)

    futures = [executor.submit(note, str(i)) for i in range(30)]
    wait(futures[:1])
    assert all(future.cancel() for future in futures[10:])
    wait(futures[:10])
    assert executor.submit(len, "abc").result() == 3
    assert len(list(tmp_path.iterdir())) < 20


def test_resources_that_are_not_there_are_refused_and_those_that_are_count(executor):
    with pytest.raises(UsageError, match=r"no room for one task.*GPU"):
        RayExecutor(num_gpus=1)
    assert RayExecutor(num_cpus=0.25, resources={"seat": 0.5}).workers == 4
    assert executor.submit(len, "abc").result() == 3, "ours was not ended by it"


def test_without_a_cluster_none_is_started(tmp_path):
    script = (
        "import dpaudit.trials as t\ntry:\n    t.RayExecutor()\nexcept Exception as e:\n    print(type(e).__name__, e)"
    )
    environment = os.environ | {"HOME": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1", "RAY_USAGE_STATS_ENABLED": "0"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert told.stdout.startswith("UsageError no Ray cluster to run on; got: 127.0.0.1:1"), told
    assert "ray start --head" in told.stdout


def test_a_lost_cluster_ends_the_run(executor, monkeypatch):
    def gone(*task):
        raise RuntimeError("Ray is not connected")

    monkeypatch.setattr(executor, "submit", gone)
    with pytest.raises(AuditError, match="takes no trials"):
        play(game(laplace), executor)


def test_a_payload_whose_object_is_gone_is_carried(cluster, undisturbed, monkeypatch):
    """One task at a time: of two, one may miss it again while another gets what it asked for."""

    class Gone:
        def read(self):
            raise OSError("ObjectLostError")

    executor = RayExecutor(num_cpus=2)
    sources, submit = [], executor.submit
    monkeypatch.setattr(executor, "keep", lambda content: Gone())
    monkeypatch.setattr(executor, "submit", lambda fn, *task: (sources.append(type(task[0])), submit(fn, *task))[1])
    assert play(game(laplace, facts={"no": "worker has it"}), executor) == undisturbed
    assert 1 <= sources.count(Carried) <= 6
