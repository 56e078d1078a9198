"""dpa.audit_one_run from end to end: records and gradients, own attacks, several runs, the report."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from one_run_worlds import BASE, Presence, gradients, memorise, presence, records, value
from opacus import PrivacyEngine

import canaries as recipes
import dpaudit as dpa
from dpaudit._one_run_game import Draws
from dpaudit.attacks.canary_records import Calibrated, CanaryFunction, RecordLogits, RecordLosses
from dpaudit.ensemble import Steps
from dpaudit.membership import Lira, LossThreshold, ReferenceR
from dpaudit.methods import FixedK, KGrid, OneRun, OneRunFDP

Verdict = dpa.Verdict


def test_a_model_that_memorises_is_refuted_by_its_record_canaries():
    report = dpa.audit_one_run(memorise, records(120), dpa.Claim(epsilon=1.0, delta=1e-5), seed=3)
    assert report.verdict is Verdict.REFUTED, str(report)
    assert report.lower_bound.epsilon > 1.1
    assert report.statistic == "scaled_logit"
    lines = str(report).splitlines()
    assert lines[0].startswith("REFUTED   claim (1, 1e-05)-DP")
    assert lines[1].strip().startswith("coin-flipped canaries: a DP conclusion (one training run, 120 canaries)")
    assert "noise records(m=120)" in str(report)


def test_the_report_as_json_and_files(tmp_path):
    report = presence(4.0, m=200)
    told = report.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    wanted = "schema verdict claim lower_bound test trials statistic power seed engine versions threat_model reproduce"
    assert set(wanted.split()) <= told.keys()
    assert (told["schema"], told["game"], told["m"], told["runs"]) == (1, "one run", 200, 1)
    assert "DP conclusion" in told["game_means"]
    assert told["guesses"] == report.test.details["guesses"] == 2 * report.test.details["k_in"]
    assert told["correct"] <= told["guesses"]
    assert told["trials"]["included"] + told["trials"]["excluded"] == told["trials"]["completed"] == 200
    files = {path.name for path in report.save(tmp_path)}
    assert {"report.json", "report.txt"} <= files
    assert json.loads((tmp_path / "report.json").read_text())["game"] == "one run"
    report.require("REFUTED")
    with pytest.raises(dpa.AuditError, match="required"):
        report.require(Verdict.NOT_REFUTED)


def test_the_claim_that_holds_with_room_is_not_refuted_and_says_what_it_could_have_seen():
    """mu .2 against a claim of mu 1: it would take 97 or more of 100 guesses right, about 57 are."""
    report = presence(0.2, m=300, method=OneRunFDP(FixedK(50, 50)))
    assert report.verdict is Verdict.NOT_REFUTED
    assert report.test.details["correct"] < 90
    assert report.lower_bound.epsilon < report.claim.epsilon() < 10
    assert report.family_bound.refuted is None or report.family_bound.refuted < 1.0
    assert 0 <= report.power["probability"] <= 1
    assert "would have refuted ideal canaries" in str(report)


def test_a_claim_that_not_even_perfect_scores_refute_is_told_before_any_training():
    def never(data, seed):
        raise AssertionError("trained")

    report = dpa.audit_one_run(never, records(20), dpa.Claim(epsilon=20.0))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.test is None
    assert report.lower_bound is None
    assert "nothing was trained" in str(report)
    assert report.trials.completed == 0


def test_too_many_statistics_may_make_it_inconclusive_afterwards():
    def many(release, canaries):
        return {f"copy {i}": release.value for i in range(1000)}

    given = {"method": OneRun(FixedK(4, 4)), "claim": dpa.Claim(epsilon=0.0)}
    assert presence(20.0, m=40, **given).verdict is Verdict.REFUTED
    assert presence(20.0, m=40, attack=many, **given).verdict is Verdict.INCONCLUSIVE


def test_the_same_seed_gives_the_same_report_another_seed_another():
    one, same, other = (presence(1.0, seed=seed, runs=2) for seed in (5, 5, 6))
    assert one.to_dict(volatile=False) == same.to_dict(volatile=False)
    assert one.p_values != other.p_values or one.correct != other.correct


def test_coins_are_fair_prefix_stable_and_apart_from_the_seeds():
    draws = Draws(11)
    assert np.array_equal(draws.coins(0, 1000)[:7], draws.coins(0, 7))
    assert not np.array_equal(draws.coins(0, 1000), draws.coins(1, 1000))
    assert not np.array_equal(draws.coins(0, 1000), Draws(12).coins(0, 1000))
    heads = int(sum(Draws(seed).coins(run, 1000).sum() for seed in range(20) for run in range(5)))
    assert abs(heads - 50_000) < 5 * 158  # five standard deviations: 6e-7
    seeds = {draws.training(run) for run in range(2000)} | {draws.pilot(number) for number in range(2000)}
    assert len(seeds) == 4000


def test_the_attack_sees_neither_coins_nor_what_the_mechanism_says_of_itself():
    seen = []

    def attack(release, canary_set):
        seen.append((release.facts, canary_set))
        return release.value

    canary_set = gradients(50)
    dpa.audit_one_run(Presence(1.0), canary_set, dpa.Claim.gaussian(mu=1.0), attack=attack, pilot=False)
    assert seen == [({}, canary_set)]


def test_several_runs_say_more_than_one_and_carry_their_p_values():
    claim = dpa.Claim.gaussian(mu=1.0)
    one, four = (presence(1.7, m=300, claim=claim, runs=runs, seed=2) for runs in (1, 4))
    assert len(four.p_values) == 4
    assert four.test.p_value < one.test.p_value
    assert four.trials.completed == 1200
    assert "4 training runs, 300 canaries each" in str(four)
    assert "Fisher" in str(four)
    assert len(four.scores) == 1200


def test_runs_that_raise_are_guessed_blindly_and_never_dropped():
    class Raises(Presence):
        def run_canaries(self, canaries, mask, seed):
            if seed == Draws(0).training(1):
                raise RuntimeError("out of memory")
            return super().run_canaries(canaries, mask, seed)

    given = {"attack": value, "pilot": False, "runs": 3}
    report = dpa.audit_one_run(Raises(4.0), gradients(100), dpa.Claim.gaussian(mu=1.0), **given)
    whole = dpa.audit_one_run(Presence(4.0), gradients(100), dpa.Claim.gaussian(mu=1.0), **given)
    assert report.p_values[0] == whole.p_values[0]
    assert report.p_values[1] > whole.p_values[1]
    assert (report.trials.failed, report.trials.completed) == (100, 300)
    assert any(note.name == "failed-run" and "out of memory" in note.text for note in report.notes)


def test_nan_scores_abstain():
    def half(release, canaries):
        return np.where(np.arange(len(canaries)) % 2, np.nan, release.value)

    report = presence(6.0, m=200, attack=half, method=OneRunFDP(FixedK(30, 30)))
    assert report.verdict is Verdict.REFUTED
    assert any(note.name == "abstained" and "100 of 200" in note.text for note in report.notes)


def test_runs_that_repeat_one_another_prove_nothing():
    class Frozen(Presence):
        def run_canaries(self, canaries, mask, seed):
            return dpa.Release(np.arange(len(canaries)) / 7.0)

    report = dpa.audit_one_run(Frozen(1.0), gradients(100), dpa.Claim(epsilon=0.1), attack=value, pilot=False, runs=2)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "bit-identical" in report.reason
    assert report.lower_bound is None


# Gradient canaries


def net():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


CANARIES = recipes.dirac_set(
    BASE, net(), 300
)  # 13 pixels of these 150 records are 0: 300 weights that meet noise alone
CLAIM = dpa.Claim.dp_sgd(noise_multiplier=2.0, sample_rate=0.5, steps=6)


def ensemble(noise=2.0, **settings):
    return dpa.mechanisms.DPSGD(net(), noise_multiplier=noise, sample_rate=0.5, steps=6, learning_rate=0.2, **settings)


def test_the_ensemble_takes_a_set_of_gradient_canaries():
    quiet = dpa.audit_one_run(ensemble(noise=8.0), CANARIES, CLAIM, seed=1)
    assert quiet.verdict is Verdict.NOT_REFUTED  # a quarter of the claimed leak
    assert quiet.engine == "ensemble (algorithm)"
    assert quiet.family_bound.parameter == "noise_multiplier"
    loud = dpa.audit_one_run(ensemble(noise=0.3), CANARIES, dpa.Claim(epsilon=1.0, delta=1e-5), seed=1)
    assert loud.verdict is Verdict.REFUTED, str(loud)


def test_gradient_canaries_of_the_ensemble_meet_its_own_clipping_and_noise():
    """Without noise each step's projection is the number of its clipped canary: its own coin, and the bound 1."""
    from dpaudit.mechanisms.dp_sgd_canaries import DPSGDCanaries

    mask = np.random.default_rng(0).random(len(CANARIES)) < 0.5
    seen = DPSGDCanaries(ensemble(noise=0.0)).run_canaries(CANARIES, mask, 5).value
    assert seen.projections.shape == (6, 300)
    assert np.allclose(seen.projections[:, ~mask], 0, atol=1e-4)
    own = seen.projections[:, mask]
    assert np.all(np.isclose(own, 0, atol=1e-4) | np.isclose(own, 1, atol=1e-3))
    assert 0.35 < np.mean(own > 0.5) < 0.65  # 900 coins at .5: nine standard deviations
    given = Steps(factors=lambda moment, norms: torch.ones_like(norms))  # a planted fault: no clipping
    loud = DPSGDCanaries(ensemble(noise=0.0, hooks=given)).run_canaries(CANARIES, mask, 5).value
    assert loud.projections[:, mask].max() == pytest.approx(1000, rel=1e-2)


def opacus_train(data, seed, noise=2.0):
    model = net()
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*map(torch.as_tensor, data)), batch_size=len(data[0])
    )
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
        data_loader=loader,
        noise_multiplier=noise,
        max_grad_norm=1.0,
    )
    for x, y in loader:
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def test_a_real_opacus_training_with_gradient_canaries():
    def missing(data, seed):
        return opacus_train(data, seed, noise=0.1)

    given = {"sample_rate": 1.0, "noise_multiplier": 1.0}
    honest = dpa.mechanisms.OpacusTranscript(opacus_train, CANARIES.gradients, **given)
    claim = dpa.Claim.gaussian(mu=1.0)  # half of its noise
    report = dpa.audit_one_run(honest, CANARIES, claim, seed=4, runs=2)
    assert report.verdict is Verdict.NOT_REFUTED
    assert report.engine == "native (implementation)"
    faulty = dpa.mechanisms.OpacusTranscript(missing, CANARIES.gradients, **given)
    assert dpa.audit_one_run(faulty, CANARIES, claim, seed=4).verdict is Verdict.REFUTED


# Scores of records


def test_scores_of_records_agree_with_those_of_one_record_at_a_time():
    canary_set = records(12)
    module, model = net(), memorise(canary_set.included(np.ones(12)), 0)
    for release in (dpa.Release(module), dpa.Release(model)):
        losses = RecordLosses().scores(release, canary_set)["canary_loss"]
        logits = RecordLogits().scores(release, canary_set)["scaled_logit"]
        for at in range(12):
            one = tuple(part[at] for part in canary_set.records)
            world = dpa.Neighbors(None, None, canary=one)
            assert losses[at] == pytest.approx(dpa.attacks.CanaryLoss().statistics(release, world)["canary_loss"])
            assert logits[at] == pytest.approx(dpa.attacks.ScaledLogit().statistics(release, world)["scaled_logit"])


def test_squared_errors_of_float_targets_and_labels_nobody_saw():
    x = np.ones((3, 2), np.float32)
    targets = dpa.CanarySet((x, x[:, :1]), records=(x, np.array([[1.0], [2.0], [4.0]], np.float32)))
    linear = torch.nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.fill_(1.0)
        linear.bias.fill_(0.0)
    assert RecordLosses().scores(dpa.Release(linear), targets)["canary_loss"] == pytest.approx([-1, 0, -4])
    with pytest.raises(dpa.UsageError, match="class labels"):
        RecordLogits().scores(dpa.Release(linear), targets)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(BASE[0][BASE[1] < 5], BASE[1][BASE[1] < 5])
    unseen = dpa.CanarySet(BASE, records=(BASE[0][:2], np.array([9, 1])))
    scores = RecordLosses().scores(dpa.Release(model), unseen)["canary_loss"]
    assert scores[0] == -np.inf
    assert np.isfinite(scores[1])


def test_calibrated_scores_are_differences_to_models_that_have_none_of_the_canaries():
    canary_set, sizes = records(30), []

    def counting(data, seed):
        sizes.append(len(data[0]))
        return memorise(data, seed)

    attack = Calibrated(RecordLogits(), references=2)
    report = dpa.audit_one_run(
        counting, canary_set, dpa.Claim(epsilon=0.1), attack=attack, seed=8, pilot=False, method=OneRun(FixedK(10, 10))
    )
    assert report.battery == ("calibrated_scaled_logit",)
    assert sizes[:2] == [150, 150]
    assert len(sizes) == 3
    draws = Draws(8)
    models = [memorise(BASE, draws.pilot(2 + i)) for i in range(2)]
    target = memorise(canary_set.included(draws.coins(0, 30)), draws.training(0))
    logits = [RecordLogits().scores(dpa.Release(each), canary_set)["scaled_logit"] for each in (target, *models)]
    assert report.scores.values[:, 0] == pytest.approx(logits[0] - (logits[1] + logits[2]) / 2, abs=1e-6)


def test_a_function_can_be_calibrated_but_nothing_twice():
    assert isinstance(Calibrated(value).attack, CanaryFunction)
    with pytest.raises(dpa.UsageError, match="twice"):
        Calibrated(Calibrated(value))
    with pytest.raises(dpa.UsageError, match="at least 1"):
        Calibrated(value, references=0)


@pytest.mark.parametrize("attack", [Lira(), LossThreshold(), ReferenceR()], ids=lambda attack: attack.name)
def test_membership_attacks_are_fitted_on_shadows_and_never_see_the_coins(attack):
    masks = []

    class Watched(type(attack)):
        def fit(self, shadows):
            masks.append(shadows.members)
            return super().fit(shadows)

    canary_set, sizes = records(60), []

    def counting(data, seed):
        sizes.append(len(data[0]) - len(BASE[0]))
        return memorise(data, seed)

    settings = {"attack": Watched(), "shadows": 8, "seed": 2, "pilot": False}
    report = dpa.audit_one_run(counting, canary_set, dpa.Claim(epsilon=0.5), **settings)
    assert report.verdict is Verdict.REFUTED, str(report)
    assert report.battery == (attack.name,)
    assert len(sizes) == 8 + 1
    assert masks[0].shape == (8, 60)
    assert (masks[0].sum(axis=0) == 4).all()
    assert sizes[:8] == masks[0].sum(axis=1).tolist()
    coins = Draws(2).coins(0, 60)
    assert sizes[8] == coins.sum()
    assert not any(np.array_equal(coins, mask) for mask in masks[0])


def test_a_membership_attack_is_handed_blank_coins_of_its_target():
    seen = []

    class Spy:
        name = "spy"

        def fit(self, shadows):
            return self

        def score(self, target, records=None):
            seen.append(target.members)
            return target.margin

    report = dpa.audit_one_run(memorise, records(40), dpa.Claim(epsilon=0.2), attack=Spy(), shadows=2, pilot=False)
    assert report.battery == ("spy",)
    assert len(seen) == 1
    assert not seen[0].any()
    with pytest.raises(dpa.UsageError, match="even number"):
        dpa.audit_one_run(memorise, records(40), dpa.Claim(epsilon=0.2), attack=Spy(), shadows=3)


def test_methods_and_rules_are_those_given():
    report = presence(3.0, method=OneRun(KGrid((0.1, 0.2))), claim=dpa.Claim(epsilon=1.0))
    assert report.test.details["paid_for"] == 2
    assert report.method.startswith("one-run, k-grid")
    assert replace(report, reason="x").reason == "x"
