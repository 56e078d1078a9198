"""What an adversary trains shadow models on, from the best to the worst knowledge: real, noisy, marginals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError, require_probability

__all__ = ["Marginal", "Noisy", "Predict", "Real", "ShadowSource"]

Data = tuple[NDArray[np.float32], NDArray[np.int64]]
Predict = Callable[[NDArray[np.float32]], NDArray[Any]]
"""A target asked about a batch: (n, d) records to (n, C) probabilities."""


class ShadowSource(Protocol):
    """Where shadow data come from."""

    @property
    def name(self) -> str:
        """For reports."""
        ...

    def draw(self, data: Data, rng: np.random.Generator) -> Data:
        """Shadow records made from what the adversary holds; nothing of `data` is changed."""
        ...


@dataclass(frozen=True)
class Real:
    """Records of the same population as the target's, disjoint from them."""

    name: ClassVar[str] = "real"

    def draw(self, data: Data, rng: np.random.Generator) -> Data:
        """The records themselves."""
        x, y = _checked(data)
        return x.copy(), y.copy()


@dataclass(frozen=True)
class Noisy:
    """Real records with a share of their binary features flipped, chosen anew for each record; labels stay.

    Args:
        share: in [0, 1] of the features, rounded to whole ones. Published: .1 and .2.

    Reference: Shokri et al. 2017 ("noisy real data").
    """

    share: float

    def __post_init__(self) -> None:
        require_probability("share of flipped features", self.share)

    @property
    def name(self) -> str:
        """With its share."""
        return f"noisy {100 * self.share:g} %"

    def draw(self, data: Data, rng: np.random.Generator) -> Data:
        """Flips exactly round(share * d) features of every record.

        Raises:
            UsageError: features other than 0 and 1.
        """
        x, y = _checked(data)
        if not np.isin(x, (0, 1)).all():
            raise UsageError("noisy shadow data", allowed="features of 0 and 1, which can be flipped", got="others")
        flips = chosen_features(rng, np.full(len(x), round(self.share * x.shape[1])), x.shape[1])
        return np.where(flips, 1 - x, x).astype(np.float32), y.copy()


@dataclass(frozen=True)
class Marginal:
    """Records whose features are drawn independently, each from its own column of the data.

    Args:
        predict: the target, whose most likely class becomes the label (the adversary of the paper knows marginals and
            may ask). None: the adversary knows the marginals of every class; features are drawn within the label.
        rows: how many; None: as many as there are.

    Reference: Shokri et al. 2017 ("statistics-based synthesis").
    """

    predict: Predict | None = None
    rows: int | None = None
    name: ClassVar[str] = "marginal"

    def draw(self, data: Data, rng: np.random.Generator) -> Data:
        """Draws each feature from its marginal.

        Raises:
            UsageError: `predict` does not return one row of probabilities for each record.
        """
        x, y = _checked(data)
        rows = len(x) if self.rows is None else self.rows
        if self.predict is None:
            labels = rng.choice(y, rows)
            drawn = np.empty((rows, x.shape[1]), np.float32)
            for c in np.unique(labels).tolist():
                drawn[labels == c] = independent(x[y == c], int((labels == c).sum()), rng)
            return drawn, labels
        drawn = independent(x, rows, rng)
        return drawn, probabilities(self.predict, drawn).argmax(axis=1).astype(np.int64)


def independent(x: NDArray[np.float32], rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(rows, d): each entry is that of a random record, another one for every entry."""
    drawn: NDArray[np.float32] = x[rng.integers(len(x), size=(rows, x.shape[1])), np.arange(x.shape[1])]
    return drawn


def chosen_features(rng: np.random.Generator, counts: NDArray[Any], features: int) -> NDArray[np.bool_]:
    """(n, features) bool, row i with counts[i] of them, every choice equally likely."""
    ranks = rng.random((len(counts), features)).argsort(axis=1).argsort(axis=1)
    chosen: NDArray[np.bool_] = ranks < np.asarray(counts)[:, None]
    return chosen


def probabilities(predict: Predict, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the target says, checked.

    Raises:
        UsageError: not (n, C) finite probabilities.
    """
    said = np.asarray(predict(x), dtype=np.float64)
    fits = said.ndim == 2 and len(said) == len(x) and np.isfinite(said).all()
    if not fits or (said < 0).any() or not np.allclose(said.sum(axis=1), 1, atol=1e-3):
        raise UsageError(
            "predict",
            allowed=f"probabilities of shape ({len(x)}, classes), each row with sum 1",
            got=f"{said.dtype} {said.shape}" + ("" if not fits else ", others"),
            remedy="softmax of the logits",
        )
    return said


def _checked(data: Data) -> Data:
    x, y = np.asarray(data[0], dtype=np.float32), np.asarray(data[1], dtype=np.int64)
    if x.ndim != 2 or y.shape != (len(x),) or not len(x):
        raise UsageError("data", allowed="x of shape (n, d) and y of shape (n,)", got=f"{x.shape} and {y.shape}")
    return x, y
