"""Model-based synthesis: records the target is sure of, found by asking it, with no data at all."""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError, require_probability
from dpaudit.membership.shadow_data import Data, Predict, chosen_features, independent, probabilities

__all__ = ["Binary", "FeatureSpace", "FromMarginals", "Synthesis", "Synthesised", "Synthetic", "Uniform"]

Records = NDArray[np.float32]


class FeatureSpace(Protocol):
    """How a feature is drawn at random."""

    def draw(self, rows: int, rng: np.random.Generator) -> Records:
        """(rows, d) records of independent random features."""
        ...


@dataclass(frozen=True)
class Binary:
    """Fair coins.

    Args:
        features: d.
    """

    features: int

    def draw(self, rows: int, rng: np.random.Generator) -> Records:
        """Zeros and ones."""
        return rng.integers(2, size=(rows, self.features)).astype(np.float32)


@dataclass(frozen=True)
class Uniform:
    """Uniform numbers.

    Args:
        features: d.
        low: smallest value.
        high: largest value.
    """

    features: int
    low: float = 0.0
    high: float = 1.0

    def draw(self, rows: int, rng: np.random.Generator) -> Records:
        """Numbers between `low` and `high`."""
        return rng.uniform(self.low, self.high, (rows, self.features)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FromMarginals:
    """Features from the columns of some records, for an adversary who knows marginals.

    Args:
        x: (n, d).
    """

    x: Records = field(repr=False)

    def draw(self, rows: int, rng: np.random.Generator) -> Records:
        """Each entry from a random record."""
        return independent(np.asarray(self.x, dtype=np.float32), rows, rng)


@dataclass(frozen=True, eq=False, repr=False)
class Synthesised:
    """Records found for one class.

    Attributes:
        x: (count, d); where `found` is false, the best the search had when it was given up.
        found: (count,) bool, accepted: classified as the class with confidence above `conf_min`.
        confidence: (count,) the target's probability of the class.
        queries: records the target was asked about.
    """

    x: Records
    found: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    queries: int

    def __repr__(self) -> str:
        return f"Synthesised({int(self.found.sum())} of {len(self.found)} records, {self.queries} queries)"


@dataclass(frozen=True)
class Synthesis:
    """Hill climbing in the target's confidence for one class, many records side by side.

    For each record: x random, y* = 0, j = 0, k = k_max. Repeat: y = f(x); if y_c >= y*: accepted if y_c > conf_min and
    argmax y = c and rand() < y_c, otherwise x* = x, y* = y_c, j = 0. If y_c < y*: j += 1, and past rej_max k =
    max(k_min, ceil(k / 2)), j = 0. Then x = x* with k random features redrawn.

    Args:
        space: how features are drawn.
        conf_min: in [0, 1), confidence that an accepted record has more of.
        k_max: features redrawn at first; at most d are.
        k_min: features redrawn at least.
        rej_max: rejections in a row that are put up with.
        iter_max: steps after which a record is given up.

    Reference: Shokri et al. 2017, algorithm 1.
    """

    space: FeatureSpace
    conf_min: float = 0.2
    k_max: int = 128
    k_min: int = 4
    rej_max: int = 10
    iter_max: int = 1000

    def __post_init__(self) -> None:
        require_probability("conf_min", self.conf_min, one=False)
        if not 1 <= self.k_min <= self.k_max or self.rej_max < 0 or self.iter_max < 1:
            raise UsageError(
                "settings of the search",
                allowed="1 <= k_min <= k_max, rej_max >= 0, iter_max >= 1",
                got=f"{self.k_min}, {self.k_max}, {self.rej_max}, {self.iter_max}",
            )

    def synthesise(self, predict: Predict, label: int, count: int, rng: np.random.Generator) -> Synthesised:
        """Searches for `count` records of one class; each step asks the target about all that are still open at once.

        Raises:
            UsageError: the target returns no probabilities, or knows no such class.
        """
        x = self.space.draw(count, rng)
        best, best_confidence = x.copy(), np.zeros(count)
        rejected, redrawn = np.zeros(count, dtype=np.int64), np.full(count, min(self.k_max, x.shape[1]))
        found, open_, queries = np.zeros(count, dtype=bool), np.arange(count), 0
        for _ in range(self.iter_max):
            said = probabilities(predict, x)
            queries += len(x)
            if not 0 <= label < said.shape[1]:
                raise UsageError("label", allowed=f"a class of the target, [0, {said.shape[1]})", got=label)
            confidence = said[:, label]
            better = confidence >= best_confidence[open_]
            sure = (confidence > self.conf_min) & (said.argmax(axis=1) == label)
            taken = better & sure & (rng.random(len(x)) < confidence)
            climbed = open_[better]  # an accepted record is kept in the same place
            best[climbed], best_confidence[climbed], rejected[climbed] = x[better], confidence[better], 0
            fallen = open_[~better]
            rejected[fallen] += 1
            tired = fallen[rejected[fallen] > self.rej_max]
            redrawn[tired] = np.maximum(self.k_min, -(-redrawn[tired] // 2))
            rejected[tired] = 0
            found[open_[taken]] = True
            open_ = open_[~taken]
            if not len(open_):
                break
            fresh = chosen_features(rng, redrawn[open_], x.shape[1])
            x = np.where(fresh, self.space.draw(len(open_), rng), best[open_])
        return Synthesised(best, found, best_confidence, queries)


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Shadow data by synthesis, for an adversary who holds nothing but the right to ask.

    Args:
        predict: the target.
        search: the settings.
        tries: searches for a class before what is lacking is left out.
    """

    predict: Predict = field(repr=False)
    search: Synthesis
    tries: int = 4
    name: ClassVar[str] = "model-synthesised"

    def draw(self, data: Data, rng: np.random.Generator) -> Data:
        """As many records of each class as `data` has, whose features are not looked at, less those not found.

        Raises:
            UsageError: not one record was found for a class; names it.
        """
        xs, ys = [], []
        for c, wanted in zip(*np.unique(data[1], return_counts=True), strict=True):
            kept: list[Records] = []
            for _ in range(self.tries):
                lacking = int(wanted) - sum(len(part) for part in kept)
                if not lacking:
                    break
                got = self.search.synthesise(self.predict, int(c), lacking, rng)
                kept.append(got.x[got.found])
            xs.append(np.concatenate(kept))
            if not len(xs[-1]):
                raise UsageError(
                    f"no record was found that the target takes for class {c}",
                    allowed=f"confidence above {self.search.conf_min}",
                    got=f"{self.tries} searches of {self.search.iter_max} steps",
                    remedy="a smaller conf_min, a larger iter_max, or a feature space nearer to the data",
                )
            ys.append(np.full(len(xs[-1]), c, dtype=np.int64))
        return np.concatenate(xs), np.concatenate(ys)
