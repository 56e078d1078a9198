"""RMIA against its definition."""

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.rmia import Rmia
from dpaudit.membership.signals import Signals


def make(models=10, records=18, population=12, seed=0):
    rng = np.random.default_rng(seed)
    pool = np.arange(records + population) >= records
    members = rng.permuted(np.arange(models * len(pool)).reshape(len(pool), models) % 2 == 0, axis=1).T & ~pool
    margins = rng.normal(0, 2, len(pool)) + rng.normal(size=members.shape) + members
    return Signals(np.logaddexp(0, -margins), members, population=pool)


def naive(attack, shadows, target):
    """Pair by pair."""
    p = np.exp(-shadows.loss)

    def ratio(t, r):
        seen = shadows.members[:, r]
        out = p[~seen, r].mean()
        if attack.mode == "offline":
            prior = ((1 + attack.offline_a) * out + 1 - attack.offline_a) / 2
        else:
            prior = p[:, r].mean() if not seen.any() else (p[seen, r].mean() + out) / 2
        return np.exp(-target.loss[t, r]) / prior

    others = np.flatnonzero(shadows.population)
    return np.array(
        [
            [np.mean([ratio(t, r) / ratio(t, z) > attack.gamma for z in others]) for r in range(target.records)]
            for t in range(target.models)
        ]
    )


ATTACKS = [
    Rmia(ties="keep"),
    Rmia("offline", ties="keep"),
    Rmia("offline", 0.7, 1.3, "keep"),
    Rmia(gamma=0.8, ties="keep"),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_by_definition(attack):
    signals = make()
    shadows, target = signals.without(2), signals.models_at([2])
    scores = attack.fit(shadows).score(target)
    assert scores == pytest.approx(naive(attack, shadows, target), abs=1e-12)
    some = np.array([3, 1])
    assert np.array_equal(attack.fit(shadows).score(target, some), scores[:, some])


@pytest.mark.parametrize("attack", [*ATTACKS, Rmia(), Rmia("offline", 1.0)])
def test_each_in_turn_is_leaving_one_out(attack):
    signals, targets = make(), np.array([7, 0, 2])
    one_by_one = [attack.fit(signals.without(t)).score(signals.models_at([t])) for t in targets]
    each = attack.score_each(signals, targets)
    assert each == pytest.approx(np.concatenate(one_by_one), abs=1e-9)
    some = np.array([7, 2])
    assert np.array_equal(attack.score_each(signals, targets, some), each[:, some])


def test_breaking_ties_keeps_the_order_of_the_shares():
    signals = make(seed=3)
    shadows, target = signals.without(0), signals.models_at([0])
    kept = Rmia(ties="keep").fit(shadows).score(target)[0]
    broken = Rmia().fit(shadows).score(target)[0]
    assert len(np.unique(kept)) < len(np.unique(broken)) == signals.records
    assert (np.diff(kept[np.argsort(broken)]) >= 0).all()
    assert 0 < broken.min() < broken.max() < 1
    p = np.exp(-shadows.loss)
    ratio = np.exp(-target.loss[0]) / np.array(
        [
            0.5 * (p[inside, r].mean() + p[~inside, r].mean()) if inside.any() else p[:, r].mean()
            for r, inside in enumerate(shadows.members.T)
        ]
    )
    # less than one population record's weight
    assert broken * 13 == pytest.approx(kept * 12 + ratio / (1 + ratio))


def test_impossible_labels_give_finite_scores():
    signals = make()
    never = Signals(np.full(signals.losses.shape, np.inf), signals.members, population=signals.population)
    for attack in (Rmia(), Rmia("offline"), Rmia("offline", 1.0)):
        for shadows, target in ((signals, never), (never, signals), (never, never)):
            assert np.isfinite(attack.fit(shadows).score(target)).all()


def test_records_without_the_shadows_needed():
    signals = make()
    members = signals.members.copy()
    members[:, 3] = False
    never = Signals(signals.losses, members, population=signals.population)
    with pytest.raises(UsageError, match=r"not trained on it and one that was; got: none for 1 of 18.*missing='pool'"):
        Rmia().fit(never)
    prior = Rmia(missing="pool").fit(never).log_prior
    assert prior[3] == pytest.approx(np.log(0.65 * np.exp(-never.loss[:, 3]).mean() + 0.35))  # the offline formula
    assert np.isfinite(Rmia("offline").fit(never).score(never)).all()
    members[:, 3] = True
    always = Signals(signals.losses, members, population=signals.population)
    for mode in ("online", "offline"):
        with pytest.raises(UsageError, match="none for 1 of 18"):
            Rmia(mode).fit(always)
        prior = Rmia(mode, missing="pool").fit(always).log_prior
        p = np.exp(-always.loss)
        others = np.mean([p[~members[:, r], r].mean() for r in range(30) if r != 3])
        within = p[:, 3].mean() if mode == "online" else 0.3 * others + 0.7
        assert prior[3] == pytest.approx(np.log((within + others) / 2))
    with pytest.raises(UsageError, match="Rmia needs records that are nobody's members"):
        Rmia().fit(Signals(signals.losses, signals.members))


def test_an_own_population():
    signals = make()
    bare = Signals(signals.losses, signals.members)
    found = Rmia(population=signals.population).fit(bare).score(bare)
    assert np.array_equal(found, Rmia().fit(signals).score(signals))


@pytest.mark.parametrize(
    "wrong", [{"mode": "both"}, {"offline_a": 1.5}, {"gamma": 0.0}, {"ties": "random"}, {"missing": "drop"}]
)
def test_bad_settings(wrong):
    with pytest.raises(UsageError, match="allowed"):
        Rmia(**wrong)
