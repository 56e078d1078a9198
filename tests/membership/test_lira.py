"""LiRA against a naive one, at its edges, and against the exact likelihood ratio."""

import numpy as np
import pytest
from scipy import stats

from dpaudit.errors import UsageError
from dpaudit.membership.lira import Lira
from dpaudit.membership.roc import Roc
from dpaudit.membership.signals import Signals


def make(models=12, records=20, augmentations=None, seed=0):
    """Each record is in half of the models."""
    rng = np.random.default_rng(seed)
    shape = (models, records) if augmentations is None else (models, records, augmentations)
    members = rng.permuted(np.arange(models * records).reshape(records, models) % 2 == 0, axis=1).T
    hard = rng.normal(0, 3, records if augmentations is None else (records, 1))
    margins = hard + rng.normal(size=shape) + (members if augmentations is None else members[:, :, None])
    return Signals(np.logaddexp(0, -margins), np.ascontiguousarray(members), margins=margins)


def naive(shadows, target, mode, variance):
    """Record by record, augmentation by augmentation, with scipy's densities."""
    if variance == "auto":
        variance = "pooled" if shadows.models < 64 else "record"
    margins = shadows.margins.reshape(shadows.models, shadows.records, -1)
    asked = target.margins.reshape(target.models, target.records, -1)
    sums = np.zeros(asked.shape[:2])
    for a in range(margins.shape[2]):
        sides = {}
        for side, mask in (("in", shadows.members), ("out", ~shadows.members)):
            columns = [margins[mask[:, r], r, a] for r in range(shadows.records)]
            means = np.array([c.mean() for c in columns])
            if variance == "record":
                deviations = np.array([c.std() for c in columns])
            else:
                squares = sum(((c - c.mean()) ** 2).sum() for c in columns)
                deviations = np.full(shadows.records, np.sqrt(squares / sum(len(c) - 1 for c in columns)))
            sides[side] = stats.norm(means, deviations)
        if mode == "online":
            sums += sides["in"].logpdf(asked[:, :, a]) - sides["out"].logpdf(asked[:, :, a])
        else:
            below, above = sides["out"].cdf(asked[:, :, a]), sides["out"].sf(asked[:, :, a])
            sums += np.where(below < above, stats.norm.ppf(below), -stats.norm.ppf(above))  # not 1 for all large ones
    return sums / margins.shape[2]


@pytest.mark.parametrize("augmentations", [None, 3])
@pytest.mark.parametrize("variance", ["auto", "record", "pooled"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_against_the_naive_one(mode, variance, augmentations):
    signals = make(augmentations=augmentations)
    attack = Lira(mode, variance)
    shadows, target = signals.without(3), signals.models_at([3])
    scores = attack.fit(shadows).score(target)
    assert scores == pytest.approx(naive(shadows, target, mode, variance), abs=1e-10)
    some = np.array([4, 0])
    assert np.array_equal(attack.fit(shadows).score(target, some), scores[:, some])


@pytest.mark.parametrize("augmentations", [None, 2])
@pytest.mark.parametrize("variance", ["record", "pooled"])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("missing", ["refuse", "pool"])
def test_each_in_turn_is_leaving_one_out(mode, variance, augmentations, missing):
    signals = make(augmentations=augmentations)
    if missing == "pool":
        members = signals.members.copy()
        members[:, 0], members[:, 1], members[:, 2] = True, False, np.arange(12) == 5
        signals = Signals(signals.losses, members, margins=signals.margins)
    attack, targets = Lira(mode, variance, missing), np.array([5, 0, 11])
    one_by_one = [attack.fit(signals.without(t)).score(signals.models_at([t])) for t in targets]
    each = attack.score_each(signals, targets)
    assert np.isfinite(each).all()
    assert each == pytest.approx(np.concatenate(one_by_one), abs=1e-9, rel=1e-7)
    some = np.array([7, 2])
    assert np.array_equal(attack.score_each(signals, targets, some), each[:, some])


def test_the_variance_is_pooled_below_64_shadow_models():
    for models in (63, 64):
        signals = make(models)
        auto = Lira().fit(signals).score(signals)
        chosen, other = ("pooled", "record") if models < 64 else ("record", "pooled")
        assert np.array_equal(auto, Lira(variance=chosen).fit(signals).score(signals))
        assert not np.allclose(auto, Lira(variance=other).fit(signals).score(signals))
    signals = make(64)  # 63 shadows for each target
    assert np.array_equal(
        Lira().score_each(signals, np.arange(3)), Lira(variance="pooled").score_each(signals, np.arange(3))
    )


def test_shadows_that_all_agree_give_finite_scores():
    members = np.arange(8)[:, None] % 2 == np.zeros(5, int)
    agreed = Signals(np.ones((8, 5)), members)
    for mode in ("online", "offline"):
        for variance in ("record", "pooled"):
            scores = Lira(mode, variance).fit(agreed).score(Signals(np.full((1, 5), np.inf), members[:1]))
            assert np.isfinite(scores).all()
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(8, 5))
    losses[:, 2] = 1.0  # one record of five: its variance is bounded from below by the pooled one's millionth
    scores = Lira("offline", "record").fit(Signals(losses, members)).score(Signals(np.full((1, 5), 0.9), members[:1]))
    assert 1.0 < scores[0, 2] < 1e4


def test_offline_never_looks_at_models_trained_on_the_record():
    signals = make()
    losses = np.where(signals.members, 50.0, signals.losses)
    other = Signals(losses, signals.members, margins=np.where(signals.members, -50.0, signals.margins))
    target = make(seed=1)
    for variance in ("record", "pooled"):
        attack = Lira("offline", variance)
        assert np.array_equal(attack.fit(signals).score(target), attack.fit(other).score(target))


def test_too_few_shadows():
    signals = make()
    for column, mode, what in ((True, "online", " not"), (False, "online", ""), (True, "offline", " not")):
        members = signals.members.copy()
        members[:, 4] = column
        with pytest.raises(
            UsageError, match=f"shadow models{what} trained on a record.*as few as 0, too few for 1 of 20"
        ):
            Lira(mode).fit(Signals(signals.losses, members))
    members = signals.members.copy()
    members[:, 4] = False
    alone = Signals(signals.losses, members)
    assert np.isfinite(Lira("offline").fit(alone).score(alone)).all()
    members[0, 4] = True
    one = Signals(signals.losses, members)
    assert np.isfinite(Lira(variance="pooled").fit(one).score(one)).all()
    with pytest.raises(UsageError, match=r"at least 2 for each.*as few as 1.*missing='pool'\), or variance='pooled'"):
        Lira(variance="record").fit(one)
    with pytest.raises(UsageError, match="as few as 0, too few for 1"):  # in the turn of its only member
        Lira(variance="pooled").score_each(one, np.arange(12))
    assert np.isfinite(Lira(variance="record", missing="pool").fit(one).score(one)).all()
    two = Signals(np.ones((2, 3)), np.array([[True] * 3, [False] * 3]))
    with pytest.raises(UsageError, match=r"shadow models for a variance.*got: fewer"):
        Lira().fit(two)


def test_population_records_need_no_members():
    signals = make()
    population = np.arange(20) >= 15
    held = Signals(signals.losses, signals.members & ~population, margins=signals.margins, population=population)
    alone = held.records_at(slice(0, 15))
    for mode in ("online", "offline"):
        scores = Lira(mode).fit(held).score(held)
        assert np.isfinite(scores).all()
        # the pooled variance is that of attacked records
        assert scores[:, :15] == pytest.approx(Lira(mode).fit(alone).score(alone))


def test_other_augmentations_than_the_shadows():
    with pytest.raises(UsageError, match="augmentations of the target; allowed: 3; got: 1"):
        Lira().fit(make(augmentations=3)).score(make())


@pytest.mark.parametrize("wrong", [{"mode": "both"}, {"variance": "fixed"}, {"missing": "drop"}])
def test_bad_settings(wrong):
    with pytest.raises(UsageError, match=r"Lira\(.*allowed: '"):
        Lira(**wrong)


def test_names_tell_settings_apart():
    made = [Lira(m, v).name for m in ("online", "offline") for v in ("auto", "record", "pooled")]
    assert len(set(made)) == 6
    assert made[0] == "LiRA online"


def test_on_gaussian_margins_it_attains_the_exact_likelihood_ratio():
    """Means, gaps and spreads differ from record to record; 400 shadow models know them almost."""
    rng = np.random.default_rng(0)
    models, records, targets = 400, 300, 40
    mean, gap = rng.normal(0, 3, records), rng.exponential(1.0, records)
    spread_in, spread_out = rng.uniform(0.5, 1.5, (2, records))
    members = rng.random((models + targets, records)) < 0.5
    noise = rng.normal(size=members.shape)
    margins = np.where(members, mean + gap + spread_in * noise, mean + spread_out * noise)
    signals = Signals(np.logaddexp(0, -margins), members, margins=margins)
    shadows, target = signals.models_at(slice(0, models)), signals.models_at(slice(models, None))
    exact = stats.norm.logpdf(target.margin, mean + gap, spread_in) - stats.norm.logpdf(target.margin, mean, spread_out)
    best = Roc.of(exact, target.members).auc
    online = Roc.of(Lira().fit(shadows).score(target), target.members).auc
    assert best > 0.7
    # seeds 0 to 199: best - online is .0018 on average, standard deviation .0006; the bounds are 10 of them away
    assert -0.005 < best - online < 0.01
