"""Several releases about the same records, claimed together by a dp_accounting event. Refuted.

    dpaudit run examples/composed_claim.py

A monthly report publishes a count with Laplace noise and twelve sums with Gaussian noise, each exactly as private as it
says. The claim forgets that there are twelve: it accounts for one sum. `MONTHS` instead of 1 in the event mends it.
"""

import numpy as np
from dp_accounting import ComposedDpEvent, GaussianDpEvent, LaplaceDpEvent, SelfComposedDpEvent

import dpaudit as dpa

MONTHS, SUM_NOISE, COUNT_NOISE = 12, 3.0, 4.0


def publish(spending, seed):
    """`spending` (people, months) in [0, 1]: a noisy count of people, and a noisy sum each month."""
    rng = np.random.default_rng(seed)
    count = len(spending) + rng.laplace(scale=COUNT_NOISE)
    return np.array([count, *(spending.sum(axis=0) + rng.normal(scale=SUM_NOISE, size=MONTHS))])


people = np.random.default_rng(0).random((200, MONTHS))
someone = np.ones((1, MONTHS))
audit = dpa.Audit(
    publish,
    dpa.Neighbors(people, np.concatenate([people, someone]), context={"direction": np.ones(MONTHS + 1)}),
    claim=dpa.Claim.from_event(
        ComposedDpEvent([LaplaceDpEvent(COUNT_NOISE), SelfComposedDpEvent(GaussianDpEvent(SUM_NOISE), 1)])
    ),
    max_trials=1000,
)
