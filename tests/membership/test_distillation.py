"""Attack D, and the distilling it needs."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from dpaudit.errors import UsageError
from dpaudit.membership.distillation import DistillationD, distill, soft_trainer
from dpaudit.membership.evaluation import evaluate
from dpaudit.membership.quantiles import distribution
from dpaudit.membership.signals import Signals

CLASSES, FEATURES = 3, 5


def fit(x, probabilities, steps=150):
    """A softmax model by gradient descent on soft labels; with few records it remembers them."""
    weights = np.zeros((x.shape[1], probabilities.shape[1]))
    for _ in range(steps):
        weights -= x.T @ (softmax(x @ weights, axis=1) - probabilities) / len(x)
    return weights


def said(x, y, weights, members, population):
    logits = np.stack([x @ w for w in weights])
    losses = -log_softmax(logits, axis=2)[:, np.arange(len(y)), y]
    return Signals(losses, members, labels=y, outputs=logits.astype(np.float32), population=population)


class Toy:
    """Random features and labels, 30 attacked records and 40 of the population; real trainings throughout."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(70, FEATURES))
        self.y = rng.integers(0, CLASSES, 70)
        self.population = np.arange(70) >= 30
        members = (rng.random((6, 70)) < 0.5) & ~self.population
        hard = np.eye(CLASSES)[self.y]
        weights = [fit(self.x[held], hard[held]) for held in members]
        self.signals = said(self.x, self.y, weights, members, self.population)
        self.calls = []

    def train(self, points, soft_labels, chosen, seed):
        self.calls.append((points, soft_labels, chosen, seed))
        weights = [fit(self.x[points[some]], soft_labels[some]) for some in chosen]
        return said(self.x, self.y, weights, np.zeros((len(chosen), 70), bool), self.population)


@pytest.fixture
def toy():
    return Toy()


def test_distilled_models_learn_what_the_target_says_of_the_population(toy):
    references = distill(toy.signals, toy.train, models=4, share=0.5, temperature=2.0, seed=3)
    made = references(1)
    ((points, soft, chosen, _),) = toy.calls
    assert made.models == 4
    assert np.array_equal(points, np.flatnonzero(toy.population))
    assert soft == pytest.approx(softmax(toy.signals.outputs[1, 30:] / 2.0, axis=1), rel=1e-5)
    assert chosen.shape == (4, 40)
    assert (chosen.sum(axis=1) == 20).all()
    assert len(np.unique(chosen, axis=0)) == 4
    references(1), references(2)
    assert np.array_equal(toy.calls[1][2], chosen)  # asked again, drawn again alike
    assert toy.calls[1][3] == toy.calls[0][3] != toy.calls[2][3]


def test_they_are_more_like_the_target_than_other_models_are(toy):
    references = distill(toy.signals, toy.train, models=3, share=1.0)
    for target in range(6):
        distance = np.abs(toy.signals.margin - toy.signals.margin[target]).mean(axis=1)
        distilled = np.abs(references(target).margin - toy.signals.margin[target]).mean()
        assert distilled < np.delete(distance, target).min()


def test_scores_are_positions_among_the_targets_own_distilled_models(toy):
    references = [distill(toy.signals, toy.train, models=5)(t) for t in range(6)]
    for smooth in ("linear", "gaussian"):
        attack = DistillationD(references, smooth)
        evaluation = evaluate(attack, toy.signals, targets=[4, 1])
        naive = [
            [distribution(references[t].margin[:, r], smooth).score(toy.signals.margin[t, [r]])[0] for r in range(30)]
            for t in (4, 1)
        ]
        assert evaluation.of("D") == pytest.approx(np.array(naive))
        assert evaluation.roc("D").auc > 0.5
    lazily = DistillationD(distill(toy.signals, toy.train, models=5))
    assert np.array_equal(
        evaluate(lazily, toy.signals).of("D"), evaluate(DistillationD(references), toy.signals).of("D")
    )


def test_bad_input(toy):
    signals = toy.signals
    with pytest.raises(UsageError, match="signals with outputs"):
        distill(Signals(signals.losses, signals.members, population=signals.population), toy.train, models=2)
    with pytest.raises(UsageError, match="nobody's members"):
        distill(Signals(signals.losses, signals.members, outputs=signals.outputs), toy.train, models=2)
    for wrong in ({"models": 0}, {"models": 1, "share": 0.0}, {"models": 1, "temperature": 0.0}):
        with pytest.raises(UsageError, match="models >= 1, share in"):
            distill(signals, toy.train, **wrong)
    with pytest.raises(UsageError, match="members of no record"):
        distill(signals, lambda *_: signals, models=2)(0)
    with pytest.raises(UsageError, match="smooth"):
        DistillationD([], "none")


def test_shadow_models_trained_on_soft_labels(world, tmp_path):
    """The ensemble's own trainer: distilled models resemble their target, and are kept."""
    shadows = world.shadows()
    signals = shadows.signals(workers=0, outputs=True)
    train = soft_trainer(shadows, store=tmp_path, workers=0)
    references = distill(signals, train, models=3, share=1.0)
    made = references(2)
    assert (made.models, made.records) == (3, 40)
    assert np.array_equal(made.population, world.population)
    assert not made.members.any()
    distance = np.abs(signals.margin - signals.margin[2]).mean(axis=1)
    assert np.abs(made.margin - signals.margin[2]).mean() < distance[distance > 0].max()
    (folder,) = tmp_path.iterdir()
    kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert np.array_equal(references(2).losses, made.losses)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == kept
    evaluation = evaluate(DistillationD(references, "gaussian"), signals, targets=[0, 5])
    assert evaluation.of("D").shape == (2, 30)
    assert len(list(tmp_path.iterdir())) == 3
