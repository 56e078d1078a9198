"""Canaries and trainings of the one-run tests."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

import dpaudit as dpa

X, Y = dpa.datasets.digits()
BASE = X[:150], Y[:150]


def records(m, seed=0):
    """m digits of pure noise with labels drawn at random: nobody knows them who has not seen them."""
    rng = np.random.default_rng(seed)
    x, y = rng.random((m, 64)).astype(np.float32), rng.integers(0, 10, m)
    return dpa.CanarySet(BASE, records=(x, y), name="noise records", params={"m": m})


def memorise(data, seed):
    """No privacy whatever: a regression that has room to learn each record."""
    x, y = data
    rng = np.random.default_rng(seed)
    model = LogisticRegression(C=1e3, max_iter=300).fit(x + 1e-3 * rng.standard_normal(x.shape), y)
    model.coef_ = model.coef_ + 1e-9 * rng.standard_normal(model.coef_.shape)
    return model


@dataclass(frozen=True)
class Presence:
    """Each canary's presence plus noise of its own: exactly mu-GDP with respect to each."""

    mu: float
    engine: str = "known"

    def run_canaries(self, canaries, mask, seed):
        noise = np.random.default_rng(seed).standard_normal(len(canaries))
        return dpa.Release(canaries.coins(mask) * self.mu + noise, facts={"included": str(mask)})


def value(release, canaries):
    """The release itself has a score for each canary."""
    return release.value


def gradients(m):
    return dpa.CanarySet(None, gradients=np.eye(m))


def presence(mu, m=100, claim=None, **settings):
    """A one-run audit of `Presence`, no pilots unless asked for."""
    given = {"attack": value, "pilot": False, **settings}
    return dpa.audit_one_run(Presence(mu), gradients(m), claim or dpa.Claim.gaussian(mu=1.0), **given)
