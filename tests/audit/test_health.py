"""What a report warns of."""

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one

SGD = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=0.1, steps=50, interval=1e-2)
USED = {"opacus.noise_multiplier": 1.0, "opacus.sample_rate": 0.1, "opacus.steps": 50, "opacus.accountant": "prv"}


def notes(facts, *, claim=SGD, neighbors=None, **settings):
    """The notes of an audit whose training says `facts(data)` about itself."""

    def train(data, seed):
        return dpa.Release(float(np.random.default_rng(seed).standard_normal()), facts=facts(data))

    pair = neighbors or zero_or_one(claim.adjacency)
    report = dpa.audit(train, pair, claim=claim, workers=0, max_trials=30, **settings)
    return {note.name: note.text for note in report.notes}


def test_nothing_to_say_where_both_worlds_and_the_claim_agree():
    assert notes(lambda data: USED) == {}
    assert notes(lambda data: {}) == {}
    assert notes(lambda data: {"anything": float("nan")}) == {}


def test_parameters_that_opacus_derives_from_the_size_of_the_data():
    told = notes(lambda data: USED | {"opacus.expected_batch_size": 45.0 + data})
    assert set(told) == {"sizes"}
    assert told["sizes"].startswith("opacus derived expected_batch_size 45 on D0 and 46 on D1 from the data")


def test_facts_of_the_users_own_are_compared_too():
    told = notes(lambda data: {"layers": 2 + data, "device": "cpu" if data else "gpu"}, claim=dpa.Claim(epsilon=1.0))
    assert told["sizes"].startswith("the training derived layers 2 on D0 and 3 on D1, device gpu on D0 and cpu on D1")


@pytest.mark.parametrize(
    ("name", "used", "said"),
    [
        ("noise_multiplier", 0.5, "noise_multiplier 1 claimed, 0.5 used by opacus"),
        ("sample_rate", 1 / 11, "sample_rate 0.1 claimed, 0.0909091 used by opacus"),
        ("steps", 55, "steps 50 claimed, 55 used by opacus"),
    ],
)
def test_a_claim_about_other_parameters_than_those_that_ran(name, used, said):
    told = notes(lambda data: USED | {f"opacus.{name}": used})
    assert set(told) == {"parameters"}
    assert said in told["parameters"]
    assert told["parameters"].count("claimed") == 1


def test_rounding_is_no_other_parameter():
    assert notes(lambda data: USED | {"opacus.sample_rate": 0.1 * (1 + 1e-12)}) == {}


def test_other_kinds_of_claims_and_neighbours_have_no_such_parameters():
    used = {"opacus.noise_multiplier": 7.0}
    assert notes(lambda data: used, claim=dpa.Claim(epsilon=1.0)) == {}
    replaced = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=0.1, steps=5, adjacency="replace-one", interval=1e-2)
    assert notes(lambda data: used, claim=replaced) == {}


def test_a_group_is_told_that_the_claim_is_about_one():
    pair = dpa.Neighbors(excluded=[0], included=[0, 1, 1], canaries=2)
    told = notes(lambda data: USED | {"opacus.noise_multiplier": 2.0}, neighbors=pair)
    assert "noise_multiplier 1 claimed, 2 used" in told["parameters"]


def test_an_irreproducible_training_is_said():
    report = dpa.audit(
        lambda data, seed: float(np.random.default_rng().standard_normal()),
        zero_or_one(),
        claim=dpa.Claim(epsilon=1.0),
        workers=0,
        max_trials=30,
    )
    assert [note.name for note in report.notes] == ["not-reproducible"]


def test_what_trials_say_is_said_once_with_a_count():
    import warnings

    def train(data, seed):
        warnings.warn("the RNG is not secure", UserWarning, stacklevel=1)
        for i in range(8):
            print(f"line {i}")
        return float(np.random.default_rng(seed).standard_normal())

    report = dpa.audit(train, zero_or_one(), claim=dpa.Claim(epsilon=1.0), workers=0, max_trials=30)
    said = [note.text for note in report.notes if note.name == "said-by-trials"]
    assert said[0] == "UserWarning: the RNG is not secure (30 times)"
    assert len(said) == 6
    assert said[-1] == "and 4 more, see the ledger"


def test_statistics_that_say_nothing_are_named():
    report = dpa.audit(
        lambda data, seed: float(np.random.default_rng(seed).standard_normal()),
        zero_or_one(),
        claim=dpa.Claim(epsilon=1.0),
        attack=lambda release, neighbors: {"value": release.value, "mute": float("nan")},
        workers=0,
        max_trials=30,
    )
    assert ("silent-statistics", "could not be computed in any trial: mute") in [(n.name, n.text) for n in report.notes]
