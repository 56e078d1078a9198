"""What a mechanism hands to the adversary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        facts: what the implementation says about itself (its noise multiplier, the steps it counted), for the report.
            No evidence: attacks never get to see it.
        optimizer: the torch optimizer or its ``state_dict()``, where its state is released as well (a checkpoint).
    """

    value: Any
    initial: Any = None
    discrete: bool = False
    facts: Mapping[str, float | str] = field(default_factory=dict)
    optimizer: Any = None
