"""Scores without an order, put into one that betting may use."""

import numpy as np

from dpaudit.digest import digest_of
from dpaudit.scores import Scores

__all__ = ["fair_order"]


def fair_order(scores: Scores, seed: int) -> Scores:
    """Scores without an order, ordered by fresh fair coins until one world runs out.

    Each class is shuffled, then every coin takes the next unused score of its class. A random permutation of a fixed
    number of each would not be a fair coin sequence: its end can be foretold from its beginning (DECISIONS 14).

    The coins come from `seed` alone. The shuffle is drawn from a digest of the scores as well: scores per world may
    come sorted, and one permutation for all audits would put the same ranks into the same places in every one.
    """
    rng = np.random.default_rng(seed)
    shuffle = np.random.default_rng([seed, int(digest_of((scores.values, scores.included_mask)), 16)])
    queues = {
        True: shuffle.permutation(np.flatnonzero(scores.included_mask)),
        False: shuffle.permutation(np.flatnonzero(~scores.included_mask)),
    }
    taken = {True: 0, False: 0}
    order = []
    while True:
        coin = bool(rng.random() < 0.5)
        if taken[coin] == len(queues[coin]):
            break
        order.append(queues[coin][taken[coin]])
        taken[coin] += 1
    taken_up = scores.rows(np.asarray(order, dtype=np.intp))
    return Scores.from_table(taken_up.values, taken_up.included_mask, taken_up.names, lost=taken_up.lost)  # ordered now
