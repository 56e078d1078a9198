"""The white-box view of real Opacus trainings, and the gradients put into them."""

from functools import partial

import numpy as np
import pytest
import torch
from opacus import GradSampleModule, PrivacyEngine
from opacus.optimizers import DPOptimizer
from opacus_worlds import BATCHES, EXPECTED, FEATURES, MODES, RATE, WEIGHTS, data, network, same, state, train
from scipy import stats
from scipy.stats import binomtest

import canaries
import dpaudit as dpa
from dpaudit.mechanisms import Function, OpacusTranscript

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DIRAC = canaries.dirac(data(), network())  # on a weight of the feature that is always 0


def view(train=train, neighbors=DIRAC, **settings):
    given = {"noise_multiplier": 1.0, "sample_rate": RATE} | settings
    return OpacusTranscript(train, neighbors.context["directions"], **given)


def joined(mechanism, neighbors=DIRAC, seed=3):
    """(steps, K) what the canary added, where training does not move: all else is the same in both worlds."""
    out, inside = (mechanism.run(neighbors.world(coin), seed).value for coin in (False, True))
    return (inside.units - out.units), out


@pytest.mark.parametrize(
    "way", [*({"mode": mode} for mode in MODES), {"physical": 2}, {"mode": "ghost", "physical": 2}], ids=str
)
def test_the_canary_adds_the_whole_bound_at_its_rate(way):
    added, out = joined(view(partial(train, lr=0.0, noise=0.0, epochs=20, **way)))
    whole = 0.5 / 1.0 if way.get("mode") == "per_layer" else 1.0  # of the total of four layers' bounds of .5
    here = added[:, 0] > whole / 2
    if way.get("mode") == "adaptive":  # the bound itself follows the batches: only up to the first coin are they alike
        first = int(np.argmax(here))
        assert added[first, 0] == pytest.approx(1.0, abs=1e-3)
        assert np.abs(added[:first]).max(initial=0.0) == 0
        return
    assert len(added) == 20 * BATCHES
    np.testing.assert_allclose(added[here, 0], whole, rtol=1e-3)
    assert (added[~here] == 0).all()
    assert binomtest(int(here.sum()), len(here), RATE).pvalue > 1e-6
    assert (out.clip_bounds == 1.0).all()


def test_coins_are_the_trials_own_and_no_mode_or_noise_moves_them():
    ways = [
        {},
        {"mode": "ghost"},
        {"mode": "per_layer"},
        {"noise": 0.1},
        {"optimizer": torch.optim.Adam},
        {"physical": 2},
    ]
    coins = [joined(view(partial(train, lr=0.0, epochs=5, **way)))[0][:, 0] > 0.25 for way in ways]
    assert all((one == coins[0]).all() for one in coins)
    other = joined(view(partial(train, lr=0.0, epochs=5)), seed=4)[0][:, 0] > 0.25
    assert (other != coins[0]).any()


@pytest.mark.parametrize("mode", ["hooks", "ghost", "per_layer"])
def test_at_rate_one_it_joins_every_batch_even_an_empty_one(mode):
    few = tuple(part[:2] for part in data())
    worlds = canaries.dirac(few, network())
    still = partial(train, mode=mode, lr=0.0, noise=0.0, epochs=10)
    added, _ = joined(view(still, worlds, sample_rate=1.0), worlds)
    np.testing.assert_allclose(added, 0.5 if mode == "per_layer" else 1.0, rtol=1e-4)


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_a_direction_of_all_weights_and_a_sequence_arrive_whole(mode):
    still = partial(train, mode=mode, lr=0.0, noise=0.0)
    for worlds in (
        canaries.random_direction(data(), network(), seed=5),
        canaries.sequence(data(), network(), steps=BATCHES, seed=5),
    ):
        np.testing.assert_allclose(joined(view(still, worlds, sample_rate=1.0), worlds)[0], 1.0, rtol=1e-4)


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_a_small_gradient_is_not_clipped(mode):
    worlds = canaries.dirac(data(), network(), norm=0.25)
    still = partial(train, mode=mode, lr=0.0, noise=0.0)
    np.testing.assert_allclose(joined(view(still, worlds, sample_rate=1.0), worlds)[0], 0.25, rtol=1e-4)


def test_accumulated_batches_have_a_coin_each():
    def two_batches_a_step(data, seed):
        torch.manual_seed(seed)
        model = GradSampleModule(network())
        sgd = torch.optim.SGD(model.parameters(), lr=0.0)
        optimizer = DPOptimizer(sgd, noise_multiplier=0.0, max_grad_norm=1.0, expected_batch_size=5)
        for _ in range(60):
            for start in (0, 5):
                loss = torch.nn.functional.cross_entropy
                loss(
                    model(torch.as_tensor(data[0][start : start + 5])), torch.as_tensor(data[1][start : start + 5])
                ).backward()
            optimizer.step()
            optimizer.zero_grad()
        return model

    times = np.round(joined(view(two_batches_a_step, sample_rate=0.5))[0][:, 0], 3)
    assert set(times) == {0.0, 1.0, 2.0}
    assert binomtest(int(times.sum()), 120, 0.5).pvalue > 1e-6


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_a_quiet_coordinate_shows_the_law_that_is_claimed(mode):
    """D0: noise alone. D1: with a coin at the rate, one bound more; Kolmogorov-Smirnov, one failure in a million."""
    mechanism = view(partial(train, mode=mode, epochs=50, noise=0.5))
    out, inside = (mechanism.run(DIRAC.world(coin), 3).value.units[:, 0] for coin in (False, True))
    assert stats.kstest(out, stats.norm(0, 0.5).cdf).pvalue > 1e-6

    def mixture(x):
        return (1 - RATE) * stats.norm.cdf(x, 0, 0.5) + RATE * stats.norm.cdf(x, 1, 0.5)

    assert stats.kstest(inside, mixture).pvalue > 1e-6


@pytest.mark.parametrize("mode", list(MODES))
def test_d0_trains_bit_for_bit_as_without_an_audience(mode):
    plain = partial(train, mode=mode)
    seen = view(plain).run(data(), 8)
    alone = Function(plain).run(data(), 8)
    assert same(state(seen.value.final), state(alone.value))
    assert same(seen.initial, alone.initial)
    assert seen.facts == alone.facts
    assert seen.facts["opacus.steps"] == seen.value.steps


def test_the_transcript_is_the_noised_sum_of_every_step():
    """Plain SGD: what was handed over is how the weights moved."""
    everything = OpacusTranscript(partial(train, lr=0.5), np.eye(WEIGHTS))
    release = everything.run(data(), 8)
    moved = [(state(release.value.final)[name] - start).flatten() for name, start in release.initial.items()]
    total = -0.5 / EXPECTED * release.value.projections.sum(axis=0)
    np.testing.assert_allclose(torch.cat(moved).numpy(), total, rtol=1e-3, atol=1e-5)
    assert release.value.projections.shape == (BATCHES, WEIGHTS)
    assert release.value.noise_multiplier is None


def test_a_training_with_a_target_epsilon_is_seen_too():
    def targeted(data, seed):
        torch.manual_seed(seed)
        model = network()
        records = torch.utils.data.TensorDataset(*map(torch.as_tensor, data))
        model, optimizer, loader = PrivacyEngine(accountant="rdp").make_private_with_epsilon(
            module=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=0.0),
            data_loader=torch.utils.data.DataLoader(records, batch_size=EXPECTED),
            target_epsilon=4.0,
            target_delta=1e-5,
            epochs=2,
            max_grad_norm=0.3,
        )
        for _ in range(2):
            for x, y in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        return model

    added, out = joined(view(targeted))
    assert len(added) == 2 * BATCHES
    assert (out.clip_bounds == 0.3).all()
    assert set(np.round(added[:, 0], 3)) <= {0.0, 1.0}


def test_adaptive_clipping_shows_its_bounds():
    release = view(partial(train, mode="adaptive", epochs=3)).run(data(), 8)
    assert len(set(release.value.clip_bounds)) > 1
    row = dpa.attacks.TranscriptScores().statistics(release, DIRAC)
    assert row["clip_bound"] == release.value.clip_bounds[-1]


def test_a_record_shows_in_the_steps_what_a_gradient_cannot():
    """Today's ghost clipping of a loss of shape (B, 1) does not clip: one large record is one huge step."""

    def regression(data, seed, squeezed):
        model = torch.nn.Linear(FEATURES, 1)
        for p in model.parameters():
            torch.nn.init.zeros_(p)
        torch.manual_seed(seed)
        criterion = torch.nn.MSELoss()
        model, optimizer, criterion, loader = PrivacyEngine().make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
            criterion=criterion,
            data_loader=torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*map(torch.as_tensor, data)), 6),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
            grad_sample_mode="ghost",
        )
        for _ in range(10):
            for x, y in loader:
                optimizer.zero_grad()
                output = model(x)
                (criterion(output[:, 0], y[:, 0]) if squeezed else criterion(output, y)).backward()
                optimizer.step()
        return model

    x, labels = data()
    worlds = canaries.extreme((x[:23], labels[:23, None].astype(np.float32) + 1), scale=100.0)
    model = torch.nn.Linear(FEATURES, 1)
    for squeezed in (False, True):
        watched = partial(regression, squeezed=squeezed)
        mechanism = OpacusTranscript(watched, canaries.record_direction(worlds, model), noise_multiplier=1.0)
        largest = np.abs(mechanism.run(worlds.included, 3).value.units).max()
        assert largest < 12 if squeezed else largest > 100


def test_two_mechanisms_in_one_process_are_strangers():
    one, two = view(), view(partial(train, mode="ghost", epochs=2))
    first = one.run(DIRAC.included, 3).value.projections
    assert two.run(DIRAC.included, 3).value.steps == 2 * BATCHES
    assert (one.run(DIRAC.included, 3).value.projections == first).all()


def test_an_audit_of_missing_noise_refutes_and_tells_the_canary():
    mechanism = view(partial(train, noise=0.05, epochs=2))
    claim = dpa.Claim.dp_sgd(noise_multiplier=1.5, sample_rate=RATE, steps=2 * BATCHES)
    told = {"attack": dpa.attacks.TranscriptScores(), "max_trials": 120, "seed": 1, "workers": 0, "preflight": False}
    report = dpa.audit(mechanism, DIRAC, claim=claim, **told)
    assert report.verdict is dpa.Verdict.REFUTED
    assert f"dirac(coordinate={FEATURES - 1}" in str(report)


def test_the_repr_names_what_decides_the_numbers():
    assert repr(view()) == repr(view())
    assert (
        len({repr(view()), repr(view(divisor=3.0)), repr(view(sample_rate=0.5)), repr(view(partial(train, noise=2.0)))})
        == 4
    )


def frozen():
    model = network()
    model[0].weight.requires_grad_(False)
    return model


def tied():
    torch.manual_seed(11)
    model = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, FEATURES), torch.nn.Tanh(), torch.nn.Linear(FEATURES, FEATURES)
    )
    model[2].weight = model[0].weight
    return model


def normalised():
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))


def test_frozen_weights_have_no_place_in_a_gradient():
    with pytest.raises(dpa.UsageError, match=f"{WEIGHTS - 18} numbers.*18 more are frozen"):
        view(partial(train, model=frozen)).run(data(), 3)
    worlds = canaries.dirac(data(), frozen())
    still = partial(train, model=frozen, lr=0.0, noise=0.0)
    np.testing.assert_allclose(joined(view(still, worlds, sample_rate=1.0), worlds)[0], 1.0, rtol=1e-4)


def test_shared_weights_count_once_and_ghost_clipping_refuses_them():
    worlds = canaries.random_direction(data(), tied())
    still = partial(train, model=tied, lr=0.0, noise=0.0)
    np.testing.assert_allclose(joined(view(still, worlds, sample_rate=1.0), worlds)[0], 1.0, rtol=1e-4)
    with pytest.raises(dpa.UsageError, match='grad_sample_mode="hooks"'):
        view(partial(still, mode="ghost"), worlds).run(data(), 3)


def test_a_model_that_opacus_refuses_is_told_with_what_to_change():
    with pytest.raises(dpa.UsageError, match=r"Opacus refuses this model.*ModuleValidator.fix"):
        view(partial(train, model=normalised)).run(data(), 3)


def test_a_training_without_a_private_step_is_told():
    for never in (lambda data, seed: network(), partial(train, epochs=0)):
        with pytest.raises(dpa.UsageError, match="no step of a private optimizer"):
            view(never).run(data(), 3)


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (np.ones(WEIGHTS + 1), "not a gradient of this model"),
        (np.ones(WEIGHTS, int), "floating point"),
        (torch.ones(WEIGHTS, dtype=torch.complex64), "floating point"),
        (torch.ones(WEIGHTS, device="meta"), "meta"),
        (np.ones((1, 1, WEIGHTS)), "dimensions"),
        (np.ones((BATCHES - 1, WEIGHTS)), "more steps than the sequence"),
    ],
)
def test_a_canary_that_is_no_gradient_of_the_model_is_told(gradient, said):
    with pytest.raises(dpa.UsageError, match=said):
        view(sample_rate=1.0).run(dpa.mechanisms.WithGradient(data(), gradient), 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_canary_of_any_floating_dtype_fits(dtype):
    worlds = dpa.mechanisms.WithGradient(data(), torch.as_tensor(DIRAC.context["gradient"]).to(dtype))
    still = view(partial(train, lr=0.0, noise=0.0), sample_rate=1.0)
    assert still.run(worlds, 3).value.units[0, 0] - still.run(data(), 3).value.units[0, 0] == pytest.approx(1, abs=1e-3)


def test_wrong_settings_are_told():
    for settings, said in (
        ({"divisor": 0}, "divisor"),
        ({"noise_multiplier": -1}, "noise_multiplier"),
        ({"sample_rate": 2}, "sample_rate"),
    ):
        with pytest.raises(dpa.UsageError, match=said):
            view(**settings)
    with pytest.raises(dpa.UsageError, match="length above 0"):
        OpacusTranscript(train, np.zeros((1, WEIGHTS)))
    with pytest.raises(dpa.UsageError, match="rate of its coins"):
        view(sample_rate=None).run(DIRAC.included, 3)
    with pytest.raises(dpa.UsageError, match="another signature"):
        view(lambda data: None)


class DividesOtherwise(DPOptimizer):
    """By the number of records that happen to be there: private, and not what it says it divides by."""

    def scale_grad(self):
        for p in self.params:
            p.grad /= len(p.grad_sample)


def test_a_divisor_is_never_believed_that_is_not_the_one_used():
    def odd(data, seed):
        model = GradSampleModule(network())
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer = DividesOtherwise(sgd, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=5)
        torch.nn.functional.cross_entropy(model(torch.as_tensor(data[0])), torch.as_tensor(data[1])).backward()
        optimizer.step()
        return model

    with pytest.raises(dpa.UsageError, match="divisor= the expected batch size"):
        view(odd).run(data(), 3)
    assert view(odd, divisor=5.0).run(data(), 3).value.steps == 1


def wide():
    """34 of 40 features are 0 in all records."""
    torch.manual_seed(11)
    return torch.nn.Sequential(torch.nn.Linear(40, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))


WIDE = np.pad(data()[0], ((0, 0), (0, 34))), data()[1]
CANARIES = canaries.dirac_set(WIDE, wide(), 102)


def one_run(noise, seed):
    """Canaries on 102 weights, each in or out of one training by its own coin, and the scores of all."""
    unchanged = partial(train, model=wide, noise=noise, epochs=4)
    mechanism = OpacusTranscript(unchanged, CANARIES.gradients, sample_rate=RATE, noise_multiplier=1.0)
    mask = np.random.default_rng(seed).random(len(CANARIES)) < 0.5
    seen = mechanism.run_canaries(CANARIES, mask, seed).value
    assert seen.projections.shape == (4 * BATCHES, 102)
    return dpa.Scores.one_run(scores=dpa.attacks.canary_scores(seen), included_mask=mask)


def test_one_training_with_a_hundred_canaries_is_judged_by_one_run_methods():
    claim = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=RATE, steps=4 * BATCHES)
    method = dpa.methods.OneRun()
    honest = sum(method.test(one_run(1.0, seed), claim, 0.95).refuted for seed in range(20))
    assert binomtest(honest, 20, 0.05, alternative="greater").pvalue > 1e-6
    # without noise to speak of, a canary is missed only if no coin of its 16 falls: 1 in 100
    assert method.test(one_run(0.01, 1), dpa.Claim(epsilon=1.0, delta=1e-5), 0.95).refuted


def test_canaries_that_are_records_and_coins_that_do_not_fit_are_told():
    records = dpa.CanarySet(data(), records=tuple(part[:3] for part in data()))
    with pytest.raises(dpa.UsageError, match="gradients="):
        view().run_canaries(records, [True, False, True], 3)
    with pytest.raises(dpa.UsageError, match="coins"):
        view().run_canaries(CANARIES, [True, False], 3)
