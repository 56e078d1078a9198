"""What a mechanism hands to the adversary."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Release:
    """One run's output: everything the adversary of the declared threat model may see.

    Args:
        value: a model, an array, a float, an object with ``predict_proba``, ...
        initial: the public starting point of training (a module or a state dict), if there is one.
            DP-SGD's guarantee holds for any initial weights, so the adversary knows them; differences
            final - initial show far more than final weights (DECISIONS 20).
        discrete: declare that equal releases in different trials are expected (randomized response,
            labels, counts); otherwise they mean an ignored seed, and REFUTED is forbidden.
    """

    value: Any
    initial: Any = None
    discrete: bool = False
