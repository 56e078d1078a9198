"""What a one-run audit refuses, and the remedy it names."""

import numpy as np
import pytest
import torch
from one_run_worlds import BASE, Presence, gradients, memorise, presence, records, value

import dpaudit as dpa
from dpaudit.attacks.canary_records import RecordLogits, RecordLosses, TranscriptOfCanaries
from dpaudit.methods import Betting, FixedK, OneRunFDP

CLAIM = dpa.Claim(epsilon=1.0, delta=1e-5)


def audit(train=memorise, canary_set=None, claim=CLAIM, **settings):
    return dpa.audit_one_run(train, records(60) if canary_set is None else canary_set, claim, **settings)


def ignores_canaries(data, seed):
    return memorise(BASE, seed)


def ignores_seed(data, seed):
    return memorise(data, 0)


def changes_its_data(data, seed):
    data[0][:5] = 0
    return float(np.random.default_rng(seed).random())


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (ignores_canaries, "takes no notice of the canaries"),
        (ignores_seed, "takes no notice of its seed"),
        (lambda data: 1, "signature"),
        (lambda data, seed: None, "returned nothing"),
    ],
)
def test_trainings_that_cannot_be_audited(train, message):
    with pytest.raises(dpa.UsageError, match=message) as told:
        audit(train)
    assert "try:" in str(told.value) or "allowed:" in str(told.value)


def test_without_pilots_nothing_is_looked_at_and_the_report_says_so():
    report = audit(ignores_canaries, pilot=False)
    assert any(note.name == "unchecked" for note in report.notes)


def test_a_training_that_raises_in_the_first_run_is_the_users_to_see():
    def raises(data, seed):
        raise ZeroDivisionError("mine")

    for pilot in (True, False):
        with pytest.raises(ZeroDivisionError, match="mine"):
            audit(raises, pilot=pilot)


def test_data_changed_in_place():
    x, y = (part.copy() for part in BASE)
    canary_set = dpa.CanarySet((x, y), gradients=np.eye(30))

    class Writes(Presence):
        def run_canaries(self, canaries, mask, seed):
            canaries.base[0][0] += 1
            return super().run_canaries(canaries, mask, seed)

    with pytest.raises(dpa.UsageError, match="in place") as told:
        dpa.audit_one_run(Writes(1.0), canary_set, dpa.Claim(epsilon=0.5), attack=value)
    assert "deepcopy" in str(told.value)


def test_a_data_set_that_reads_differently_each_time_is_no_change_in_place():
    class Augmented(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return torch.rand(2), index

    canary_set = dpa.CanarySet(Augmented(), gradients=np.eye(100))
    report = dpa.audit_one_run(Presence(5.0), canary_set, dpa.Claim(epsilon=0.5), attack=value)
    assert report.verdict is dpa.Verdict.REFUTED


@pytest.mark.parametrize("m", [0, 1])
def test_too_few_canaries(m):
    empty = dpa.CanarySet(BASE, records=(BASE[0][:m], BASE[1][:m]))
    with pytest.raises(dpa.UsageError, match="too few canaries") as told:
        audit(canary_set=empty)
    assert "dirac_set" in str(told.value)


@pytest.mark.parametrize("adjacency", [dpa.Adjacency.REPLACE_ONE, dpa.Adjacency.ZERO_OUT])
def test_claims_of_another_adjacency(adjacency):
    with pytest.raises(dpa.UsageError, match="adjacency") as told:
        audit(claim=dpa.Claim(epsilon=1.0, adjacency=adjacency))
    assert "add-or-remove-one" in str(told.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"claim": 1.0}, "claim"),
        ({"canary_set": BASE}, "canary_set"),
        ({"runs": 0}, "runs"),
        ({"runs": 2.0}, "runs"),
        ({"runs": True}, "runs"),
        ({"seed": -1}, "seed"),
        ({"confidence": 1.0}, "confidence"),
        ({"method": Betting()}, "method of a one-run audit"),
        ({"method": OneRunFDP}, "method of a one-run audit"),
        ({"method": OneRunFDP(FixedK(50, 50))}, "at most the 60 canaries"),
        ({"attack": 3}, "attack on the canaries"),
        ({"attack": RecordLogits}, "an instance"),
    ],
)
def test_values_out_of_their_range(settings, message):
    with pytest.raises(dpa.UsageError, match=message):
        audit(**settings)


def test_gradients_for_a_function_of_records():
    with pytest.raises(dpa.UsageError, match="gradient canaries cannot be put into this") as told:
        dpa.audit_one_run(memorise, gradients(50), CLAIM)
    assert "OpacusTranscript" in str(told.value)


def test_a_mechanism_that_returns_something_else():
    class Bare(Presence):
        def run_canaries(self, canaries, mask, seed):
            return np.zeros(3)

    with pytest.raises(dpa.UsageError, match="no release"):
        dpa.audit_one_run(Bare(1.0), gradients(50), CLAIM, attack=value)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda release, canaries: np.zeros(len(canaries)), "same score, or NaN"),
        (lambda release, canaries: np.full(len(canaries), np.nan), "same score, or NaN"),
        (lambda release, canaries: np.where(np.arange(len(canaries)) < 3, np.nan, 1.0), "same score, or NaN"),
        (lambda release, canaries: np.zeros(len(canaries) - 1), "one for each canary"),
        (lambda release, canaries: 0.5, "one for each canary"),
        (lambda release, canaries: ["a"] * len(canaries), "one for each canary"),
        (lambda release, canaries: {}, "no scores"),
    ],
)
def test_scores_that_are_none(attack, message):
    with pytest.raises(dpa.UsageError, match=message):
        presence(1.0, attack=attack)


def test_an_attack_that_raises_or_changes_its_mind():
    def raises(release, canaries):
        raise KeyError("weights")

    calls = []

    def fickle(release, canaries):
        calls.append(1)
        return {f"score {len(calls)}": release.value}

    with pytest.raises(dpa.AuditError, match="the attack raised KeyError"):
        presence(1.0, attack=raises)
    with pytest.raises(dpa.UsageError, match="other statistics in another run"):
        presence(1.0, attack=fickle, runs=2)


def test_scores_of_records_want_records_and_a_model():
    with pytest.raises(dpa.UsageError, match="gradients have no loss"):
        presence(1.0, attack=RecordLosses())
    with pytest.raises(dpa.UsageError, match="released model"):
        audit(lambda data, seed: float(seed % 7 + len(data[0])))
    with pytest.raises(dpa.UsageError, match="Transcript"):
        presence(1.0, attack=TranscriptOfCanaries())


def test_models_that_do_not_fit_the_canaries():
    canary_set = records(4)
    with pytest.raises(dpa.UsageError, match="no output"):
        RecordLosses().scores(dpa.Release(torch.nn.Linear(64, 3)), canary_set)
    sums = torch.nn.Sequential(torch.nn.Linear(64, 3), torch.nn.Flatten(0))
    with pytest.raises(dpa.UsageError, match="outputs on the canaries"):
        RecordLosses().scores(dpa.Release(sums), canary_set)


def test_a_transcript_on_other_directions():
    short = dpa.Transcript(np.zeros((2, 3)), np.ones(2))
    with pytest.raises(dpa.UsageError, match="other directions"):
        TranscriptOfCanaries().scores(dpa.Release(short), gradients(5))


def test_gradient_canaries_that_the_ensemble_cannot_take():
    from dpaudit.mechanisms.dp_sgd_canaries import DPSGDCanaries

    shuffled = dpa.mechanisms.DPSGD(torch.nn.Linear(64, 10), noise_multiplier=1.0, steps=2, learning_rate=0.1, batch=8)
    poisson = dpa.mechanisms.DPSGD(
        torch.nn.Linear(64, 10), noise_multiplier=1.0, steps=2, learning_rate=0.1, sample_rate=0.5
    )
    canary_set = dpa.CanarySet(BASE, gradients=np.eye(650)[:5])
    with pytest.raises(dpa.UsageError, match="shuffled"):
        DPSGDCanaries(shuffled).run_canaries(canary_set, np.ones(5), 0)
    with pytest.raises(dpa.UsageError, match="of this model"):
        DPSGDCanaries(poisson).run_canaries(dpa.CanarySet(BASE, gradients=np.eye(7)), np.ones(7), 0)
    with pytest.raises(dpa.UsageError, match="records"):
        DPSGDCanaries(poisson).run_canaries(records(5), np.ones(5), 0)
    with pytest.raises(dpa.UsageError, match="coins"):
        DPSGDCanaries(poisson).run_canaries(canary_set, np.ones(4), 0)
