"""dpa.audit on mechanisms of exactly known epsilon, and on everything that must not look like a leak."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from audit_worlds import Counted, essence, noisy

import dpaudit as dpa
from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms.known import GaussianMechanism, Laplace, RandomizedResponse, SubsampledGaussian, zero_or_one

REFUTED, NOT_REFUTED, INCONCLUSIVE = dpa.Verdict.REFUTED, dpa.Verdict.NOT_REFUTED, dpa.Verdict.INCONCLUSIVE
ONE = dpa.Claim(epsilon=1.0)
METHODS = [dpa.methods.Betting(), dpa.methods.ClopperPearson()]


def audit(train, *, claim=ONE, neighbors=None, **settings):
    return dpa.audit(train, neighbors or zero_or_one(), claim=claim, **{"workers": 0, "max_trials": 120} | settings)


def notes(report):
    return {note.name: note.text for note in report.notes}


# --- what is known exactly


@pytest.mark.parametrize("method", METHODS, ids=["betting", "clopper-pearson"])
@pytest.mark.parametrize(
    "mechanism",
    [Laplace(1.0), GaussianMechanism(1.0), RandomizedResponse(1.0), SubsampledGaussian(1.0, 0.5, 3)],
    ids=lambda mechanism: mechanism.name,
)
def test_an_exact_claim_is_not_refuted(mechanism, method):
    report = audit(mechanism, claim=mechanism.claim(), method=method)
    assert report.verdict is NOT_REFUTED
    assert (report.trials.completed, report.trials.failed, report.trials.lost) == (120, 0, 0)
    assert report.lower_bound.epsilon <= mechanism.claim().epsilon()


@pytest.mark.parametrize("method", METHODS, ids=["betting", "clopper-pearson"])
@pytest.mark.parametrize("mechanism", [Laplace(3.0), GaussianMechanism(3.0), RandomizedResponse(3.0)])
def test_a_leak_is_refuted(mechanism, method):
    report = audit(mechanism, method=method)
    assert report.verdict is REFUTED
    assert str(report).startswith("REFUTED")
    assert report.statistic in ("value", "norm")  # of a bit they are the same
    assert 0.9 < report.lower_bound.epsilon < 3.0 or mechanism.name == "Gaussian"
    assert report.reason == ""
    if method.anytime:
        assert report.trials.completed == report.test.trials_used < 120
    else:
        assert report.trials.completed == 120


def test_neighbours_that_differ_in_several_canaries_are_judged_by_the_group_claim():
    pair = dpa.Neighbors(excluded=[0] * 5, included=[0] * 8, canaries=3, name="three")
    report = audit(Laplace(1.0), neighbors=pair, max_trials=200)
    assert report.claim.epsilon() == 3.0
    assert report.verdict is NOT_REFUTED
    assert report.lower_bound.epsilon <= 1.0  # per record


def test_a_training_function_and_a_score_of_the_users_own():
    report = audit(
        lambda data, seed: {"weights": data + np.random.default_rng(seed).laplace(scale=0.2)},
        attack=lambda release, neighbors: {"mine": release.value["weights"]},
    )
    assert report.verdict is REFUTED
    assert report.statistic == "mine"


# --- repeated releases


@pytest.mark.parametrize("method", METHODS, ids=["betting", "clopper-pearson"])
def test_an_ignored_seed_forbids_refuted(method):
    report = audit(lambda data, seed: float(data), method=method)
    assert report.verdict is INCONCLUSIVE
    assert "bit-identical" in report.reason
    assert "discrete=True" in report.remedy
    assert report.lower_bound is None
    assert report.trials.completed <= 3


def test_seeds_that_are_shared_between_trials_forbid_refuted():
    report = audit(lambda data, seed: 10.0 * data + np.random.default_rng(seed % 64).random())
    assert report.verdict is INCONCLUSIVE
    assert "bit-identical" in report.reason


def test_a_discrete_release_may_repeat_itself():
    report = audit(lambda data, seed: dpa.Release(float(data), discrete=True))
    assert report.verdict is REFUTED


# --- claims that cannot be refuted here


def test_what_perfect_scores_cannot_refute_is_inconclusive_before_any_training(tmp_path):
    train = Counted(str(tmp_path))
    report = audit(train, claim=dpa.Claim(epsilon=20.0), max_trials=50, ledger=tmp_path / "ledger")
    assert report.verdict is INCONCLUSIVE
    assert "not even perfect scores" in report.reason
    assert train.calls() == 0
    assert report.trials.completed == 0
    assert report.test is None
    assert report.lower_bound is None
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize("trials", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("thresholds", [dpa.methods.RankGrid(), dpa.methods.HoldOut(), dpa.methods.Fixed(0.5)])
def test_too_few_trials_for_a_fixed_size_method(trials, thresholds):
    report = audit(noisy, method=dpa.methods.ClopperPearson(thresholds), max_trials=trials)
    assert report.verdict is INCONCLUSIVE
    assert f"in {trials} trials" in report.reason


def test_the_remedy_names_the_trials_it_takes():
    report = audit(noisy, max_trials=10)
    assert report.verdict is INCONCLUSIVE
    assert report.power["perfect_trials"] > 10
    assert f"perfect scores need {report.power['perfect_trials']} trials" in str(report)


def test_a_fixed_size_method_interrupted_is_inconclusive_and_resumes(tmp_path):
    train = Counted(str(tmp_path), at=60, scale=0.2)
    settings = {"method": dpa.methods.ClopperPearson(), "max_trials": 100, "ledger": tmp_path / "run"}
    (tmp_path / "armed").touch()
    report = audit(train, **settings)
    assert report.verdict is INCONCLUSIVE
    assert "56 of 100 declared trials, and clopper-pearson may only be read at the end" in report.reason
    assert "--resume" in report.remedy
    assert "unfinished" in notes(report)
    (tmp_path / "armed").unlink()
    assert essence(audit(train, **settings)) == essence(audit(train, **settings | {"ledger": None}))


@pytest.mark.parametrize("at", [1, 6, 80])
def test_an_interrupted_audit_ends_as_if_it_had_not_been(tmp_path, at):
    train = Counted(str(tmp_path), at=at)
    (tmp_path / "armed").touch()
    part = audit(train, max_trials=90, ledger=tmp_path / "run")
    assert part.trials.completed == max(0, at - 4)
    enough = part.trials.completed >= part.power["perfect_trials"]  # judged by what there is (DECISIONS 12)
    assert part.verdict is (NOT_REFUTED if enough else INCONCLUSIVE)
    assert bool(part.reason) is not enough
    assert "unfinished" in notes(part)
    (tmp_path / "armed").unlink()
    whole = audit(train, max_trials=90, ledger=tmp_path / "run")
    alone = audit(train, max_trials=90)
    assert essence(whole) == essence(alone)
    assert np.array_equal(whole.scores.values, alone.scores.values)
    assert "unfinished" not in notes(whole)


# --- failures


def fails_in(world):
    def train(data, seed):
        if data == world:
            raise ValueError("label 9 is out of range")
        return noisy(data, seed)

    return train


def test_a_canary_that_the_training_function_rejects_is_no_leak():
    with pytest.raises(UsageError, match=r"rejects the canary.*label 9 is out of range.*count_failures=True"):
        audit(fails_in(1.0))


def test_a_training_function_that_does_not_work_at_all():
    with pytest.raises(UsageError, match=r"raised on D0.*label 9 is out of range"):
        audit(fails_in(0.0))


def test_failures_count_if_the_user_says_so_and_the_report_says_that_they_alone_do():
    report = audit(fails_in(1.0), count_failures=True)
    assert report.verdict is REFUTED
    assert report.statistic == "failed"
    assert "rests on failures alone" in str(report).splitlines()[1]
    assert report.trials.failed == report.trials.included > 0
    assert "label 9 is out of range" in notes(report)["failed-trials"]


def test_failures_in_both_worlds_alike_refute_nothing():
    def train(data, seed):
        if seed % 2:
            raise RuntimeError("diverged")
        return noisy(data, seed)

    report = audit(train, count_failures=True, max_trials=120)
    assert report.verdict is NOT_REFUTED
    assert 40 < report.trials.failed < 80


def test_a_training_function_that_always_fails_leaks_nothing():
    def train(data, seed):
        raise RuntimeError("never worked")

    report = audit(train, count_failures=True)
    assert report.verdict is NOT_REFUTED
    assert report.trials.failed == report.trials.completed == 120


def test_failures_on_top_of_a_leak_are_not_called_the_reason():
    def train(data, seed):
        if seed % 8 == 0:
            raise RuntimeError("diverged")
        return 5.0 * noisy(0.2 * data, seed) + 100 * data

    report = audit(train, count_failures=True)
    assert report.verdict is REFUTED
    assert report.reason == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_releases_in_both_worlds_refute_nothing(value):
    report = audit(lambda data, seed: value)
    assert report.verdict is NOT_REFUTED
    assert report.trials.completed == 120


def test_non_finite_releases_in_one_world_are_a_leak():
    report = audit(lambda data, seed: float("nan") if data else noisy(data, seed))
    assert report.verdict is REFUTED
    assert report.statistic == "non_finite"
    assert report.trials.failed == 0


# --- attacks


def test_an_attack_that_cannot_read_the_release():
    def attack(release, neighbors):
        raise KeyError("weights")

    with pytest.raises(UsageError, match=r"gave no statistics.*KeyError.*attack="):
        audit(noisy, attack=attack)


def test_a_release_without_a_known_statistic():
    with pytest.raises(UsageError, match=r"no statistic is known.*object"):
        audit(lambda data, seed: object())


@dataclass
class Moody:
    """Reads the coin off the release; after the pilot it breaks wherever that would show."""

    name: str = "moody"
    calls: list = field(default_factory=list, repr=False)

    def statistics(self, release, neighbors):
        self.calls.append(release)
        if release.value > 50 and len(self.calls) > 4:
            raise OSError("out of memory, say")
        return {"value": release.value}


@pytest.mark.parametrize("method", METHODS, ids=["betting", "clopper-pearson"])
def test_losing_the_trials_of_one_world_accuses_nobody(method):
    report = audit(lambda data, seed: 100 * data + noisy(data, seed), attack=Moody(), method=method)
    assert report.verdict is NOT_REFUTED
    assert report.trials.lost >= report.trials.included - 1 > 40
    assert report.trials.completed == 120
    assert "count against the accusation" in notes(report)["lost-trials"]


def test_a_statistic_that_appears_later_is_left_out_and_said():
    @dataclass
    class Later:
        name: str = "later"
        calls: list = field(default_factory=list, repr=False)

        def statistics(self, release, neighbors):
            self.calls.append(1)
            return {"value": release.value} | ({"new": release.value} if len(self.calls) > 10 else {})

    report = audit(noisy, attack=Later(), max_trials=40)
    assert report.battery == ("value", "failed")
    assert "'new' appeared later" in notes(report)["extra-statistics"]


# --- arguments


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_trials": 0}, r"max_trials; allowed: .*at least 1; got: 0"),
        ({"max_trials": 2.5}, r"max_trials.*got: 2.5"),
        ({"max_trials": True}, r"max_trials.*got: True"),
        ({"confidence": 1.0}, r"confidence is out of range; allowed: .*; got: 1.0; try: confidence=0.95"),
        ({"confidence": float("nan")}, r"confidence is out of range"),
        ({"seed": -1}, r"audit seed; allowed: .*got: -1"),
        ({"claim": 1.0}, r"claim; allowed: a dpa.Claim; got: float"),
        ({"neighbors": ([1], [1, 2])}, r"neighbors; allowed: dpa.Neighbors.*got: tuple"),
        ({"method": "betting"}, r"method; allowed: .*Betting\(\).*got: 'betting'"),
        ({"method": dpa.methods.Betting}, r"method; allowed: .*got: Betting"),
        ({"attack": 3}, r"attack; allowed: .*got: int.*Battery"),
        ({"workers": -1}, r"workers; allowed: .*got: -1"),
        ({"workers": 1, "trial_timeout": 0.0}, r"trial timeout; allowed: seconds > 0; got: 0.0"),
        (
            {"claim": dpa.Claim(epsilon=1.0, adjacency="replace-one")},
            r"different adjacencies; allowed: both replace-one, or both add-or-remove-one; got: claim replace-one",
        ),
    ],
)
def test_arguments_that_cannot_be_used(wrong, message):
    with pytest.raises(UsageError, match=message):
        audit(noisy, **wrong)


def test_threads_are_refused():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads, pytest.raises(UsageError, match="cannot run in threads"):
        audit(noisy, executor=threads, workers=None)


def test_a_gradient_is_no_canary_for_a_function_of_records():
    data = np.zeros((4, 2)), np.zeros(4, dtype=np.int64)
    neighbors = dpa.Neighbors(data, dpa.mechanisms.WithGradient(data, np.ones(3)))
    with pytest.raises(UsageError, match=r"gradient as its canary.*OpacusTranscript"):
        dpa.audit(lambda data, seed: seed, neighbors, claim=dpa.Claim(epsilon=1), workers=0)


@pytest.mark.parametrize(
    "train",
    [lambda data: 0.0, lambda: 0.0, lambda data, epochs=5: 0.0, lambda data, seed, more: 0.0, 3.0],
)
def test_training_functions_of_another_signature(train):
    with pytest.raises(UsageError, match=r"allowed: train\(data, seed\) -> model"):
        audit(train)


def test_a_training_function_that_returns_nothing():
    with pytest.raises(UsageError, match="returned nothing"):
        audit(lambda data, seed: None)


def test_the_report_is_what_the_audit_was():
    report = audit(noisy, seed=5, confidence=0.9, max_trials=30)
    told = essence(report)
    assert (told["seed"], told["confidence"], told["trials"]["requested"]) == (5, 0.9, 30)
    assert told["reproduce"] == "this call again, seed=5"
    assert told["canary"] == "zero_or_one"
    assert told["battery"][-1] == "failed"


def test_every_error_is_an_audit_error():
    assert issubclass(UsageError, AuditError)
