import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from trial_worlds import Value, game, laplace

import dpaudit
from dpaudit.trials import Outcome, Schedule, Status, Trial, count_notices

ROOT = str(Path(dpaudit.__path__[0]).parent)
IN, OUT = Trial(0, True, 123), Trial(1, False, 123)


def test_a_trial_gets_its_world_and_its_seed():
    outcome = game(lambda data, seed: float(len(data) * 1000 + seed)).play(IN)
    assert (outcome.status, outcome.statistics, outcome.error) == (Status.OK, {"sum": 4123.0}, "")
    assert type(outcome.statistics["sum"]) is float
    assert game(lambda data, seed: float(len(data) * 1000 + seed)).play(OUT).statistics == {"sum": 3123.0}


def test_global_random_state_is_seeded_with_the_trial():
    def train(data, seed):
        return np.array([random.random(), np.random.random()])  # noqa: NPY002

    first = game(train).play(IN)
    random.random()
    assert game(train).play(IN).digest == first.digest
    assert game(train).play(Trial(0, True, 124)).digest != first.digest


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("label 9\n is out of range"), "ValueError: label 9 is out of range"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("\ud800 lone"), r"RuntimeError: \ud800 lone"),
    ],
)
def test_whatever_the_mechanism_raises_is_its_outcome(error, text):
    def train(data, seed):
        raise error

    outcome = game(train).play(IN)
    assert (outcome.status, outcome.error, outcome.statistics) == (Status.FAILED, text, {})
    assert outcome.digest is None
    assert "in train" in outcome.trace
    outcome.trace.encode()


def test_an_exception_whose_text_raises_is_still_an_outcome():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no")

    def train(data, seed):
        raise Rude

    assert game(train).play(IN).error == "Rude: (its message cannot be shown)"


class Raising:
    def statistics(self, release, neighbors):
        raise KeyError("label")


class Wordy:
    def statistics(self, release, neighbors):
        return {"loss": "low"}


@pytest.mark.parametrize(("attack", "kind"), [(Raising(), "KeyError"), (Wordy(), "ValueError")])
def test_what_the_attack_raises_is_lost_and_no_outcome_of_the_mechanism(attack, kind):
    outcome = game(laplace, attack=attack).play(IN)
    assert outcome.status is Status.LOST
    assert outcome.error.startswith(kind)
    assert outcome.statistics == {}


def test_ctrl_c_is_not_an_outcome():
    def train(data, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        game(train).play(IN)


def test_the_attack_never_sees_the_coin():
    class Nosy(Value):
        def statistics(self, release, neighbors):
            assert len(neighbors.excluded) == 3  # both worlds, and nothing that says which
            assert len(neighbors.included) == 4
            assert set(vars(release)) == {"value", "initial", "discrete", "facts", "optimizer"}
            assert release.facts == {}  # the size of the data set may be among them
            return {}

    outcome = game(laplace, attack=Nosy(), facts={"steps": 12}).play(IN)
    assert (outcome.status, outcome.facts) == (Status.OK, {"steps": 12})


def test_facts_are_plain_and_survive_json():
    import json

    facts = {"steps": np.int64(12), "rate": 0.25, "norms": [1.0, 2.0], "by": "hand\nmade"}
    outcome = game(laplace, facts=facts).play(IN)
    assert outcome.facts == {"steps": 12, "rate": 0.25, "norms": "[1.0, 2.0]", "by": "hand made"}
    assert type(outcome.facts["steps"]) is int
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome
    older = outcome.to_dict()
    del older["facts"]
    assert Outcome.from_dict(older).facts == {}


def test_warnings_and_prints_become_notices(capsys, recwarn):
    def train(data, seed):
        for _ in range(3):
            warnings.warn("Secure RNG turned off.", UserWarning, stacklevel=1)
        print("epoch 1\repoch 2\nepoch 1")
        print("to stderr, no end", file=sys.stderr, end="")
        return 0.0

    outcome = game(train).play(IN)
    assert outcome.notices == (
        ("UserWarning: Secure RNG turned off.", 3),
        ("epoch 1", 2),
        ("epoch 2", 1),
        ("to stderr, no end", 1),
    )
    assert capsys.readouterr() == ("", "")
    assert not recwarn
    total = count_notices([outcome, outcome])
    assert total["UserWarning: Secure RNG turned off."] == 6
    assert next(iter(total)) == "UserWarning: Secure RNG turned off."


def test_notices_are_bounded():
    def train(data, seed):
        for i in range(1_000):
            print(f"{i} " + "x" * 10_000)
        sys.stdout.write("no newline" * 100_000)
        return 0.0

    notices = game(train).play(IN).notices
    assert len(notices) == 21
    assert notices[-1] == ("(further distinct messages)", 981)
    assert max(len(text) for text, _ in notices) <= 300


def test_equal_releases_have_equal_digests_and_only_comparable_ones_have_any():
    def digest(value, **how):
        return game(lambda data, seed: value, **how).play(IN).digest

    assert digest(np.arange(3.0)) == digest(np.arange(3.0)) != digest(np.arange(1.0, 4.0))
    assert digest(np.arange(3.0), discrete=True) is None
    assert digest(np.array([1.0, np.nan])) is None
    assert digest(np.array([1.0, np.inf])) is None


def test_a_mechanism_that_returns_no_release_is_said_so():
    from dpaudit.trials import Game

    class Bare:
        def run(self, data, seed):
            return 3.0

    outcome = Game(Bare(), game(laplace).neighbors, Value()).play(IN)
    assert (outcome.status, outcome.error) == (
        Status.LOST,
        "AuditError: the mechanism returned a float, not a Release",
    )


LATE = """
import sys
sys.path[:0] = {paths!r}
from trial_worlds import game
from dpaudit.trials import Trial
runs = []
def train(data, seed):
    import torch
    runs.append(torch.get_num_threads())
    torch.set_num_threads(2)
    return torch.rand(1).item()
first = game(train).play(Trial(0, True, 123)).statistics["sum"]
assert runs[1:] == [1], runs                     # again, on one thread
assert game(train).play(Trial(1, True, 123)).statistics["sum"] == first
import torch
assert torch.get_num_threads() == 2              # the user's setting is put back
torch.manual_seed(123)
assert torch.rand(1).item() == first
"""


def test_torch_imported_by_the_training_function_itself_is_seeded_all_the_same():
    paths = [ROOT, str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", LATE.format(paths=paths)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_outcomes_survive_json():
    import json

    def train(data, seed):
        print("hello")
        return float("nan")

    class Many:
        def statistics(self, release, neighbors):
            return {"nan": release.value, "inf": float("inf"), "third": 1 / 3}

    outcome = game(train, attack=Many()).play(Schedule(1).trial(4))
    back = Outcome.from_dict(json.loads(json.dumps(outcome.to_dict())))
    assert repr(back) == repr(outcome)  # repr, because NaN is not equal to itself
