"""The small world that the zoo's faults live in: records, model, canary, and DP-SGD on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.ensemble import SGD, Adam, Steps
from dpaudit.mechanisms._records import WithGradient
from dpaudit.mechanisms.dp_sgd import DPSGD
from dpaudit.mechanisms.faults.fault import Case, View
from dpaudit.neighbors import Neighbors

__all__ = ["CLASSES", "FEATURES", "SETTING", "Setting"]

FEATURES, CLASSES, DEAD = 10, 4, 2
HUGE = 100.0  # norm of a gradient canary in units of the clipping bound: right clipping does not mind


@dataclass(frozen=True)
class Setting:
    """DP-SGD of a linear softmax with 44 parameters on a few random records.

    Two features are 0 in all records but the canary, whose value in the first of them is `scale`: its gradient is many
    times the clipping bound, and no other record's meets it there. The clipping bound is not 1, the batch is not 1, and
    the gradients are larger than the bound: all three hide faults (FAULTS section 3).

    Args:
        noise_multiplier: as claimed.
        sample_rate: as claimed.
        steps: as claimed.
        clip: C.
        learning_rate: small: weights stay near their start, where all gradients are known.
        records: of D0; their number is public.
        scale: the canary's feature.
        everywhere: the canary has this value in all features, not in a dead one alone.
        label: of all records but the canary (0); None: all labels in turn.
        norm: of the gradient canary of the transcript in units of C; None: the record is the canary there too.
        replaced: D0 holds the canary's mirror image instead of nothing.
        optimizer: of the update.
        interval: discretisation of the claim's privacy loss; large losses need no fine one.
    """

    noise_multiplier: float = 2.0
    sample_rate: float = 0.5
    steps: int = 8
    clip: float = 0.5
    learning_rate: float = 0.1
    records: int = 20
    scale: float = 20.0
    everywhere: bool = False
    label: int | None = None
    norm: float | None = HUGE
    replaced: bool = False
    optimizer: SGD | Adam = field(default_factory=SGD)
    interval: float = 1e-3

    @property
    def batch(self) -> float:
        """The expected batch size, which is public."""
        return self.sample_rate * self.records

    @property
    def size(self) -> int:
        """P."""
        return CLASSES * (FEATURES + 1)

    def claim(self, adjacency: Adjacency | None = None) -> Claim:
        """What right DP-SGD with these parameters promises: exact at sample rate 1, else an upper bound."""
        related = self.adjacency if adjacency is None else adjacency
        if self.sample_rate == 1.0:
            mu = math.sqrt(self.steps) / self.noise_multiplier * (1 + (related is Adjacency.REPLACE_ONE))
            return Claim.gaussian(mu=mu, adjacency=related)
        return Claim.dp_sgd(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            steps=self.steps,
            adjacency=related,
            interval=self.interval,
        )

    def truth(
        self, *, noise: float = 1.0, shift: float = 1.0, sample_rate: float | None = None, steps: int | None = None
    ) -> Claim:
        """What holds where the noise is so many times the claimed, or the record moves the sum by so many C."""
        true = self.noise_multiplier * noise / shift
        return replace(
            self,
            noise_multiplier=true,
            interval=max(self.interval, min(0.05, 1e-3 / true**2)),
            sample_rate=self.sample_rate if sample_rate is None else sample_rate,
            steps=self.steps if steps is None else steps,
        ).claim()

    @property
    def adjacency(self) -> Adjacency:
        """Of the neighbours."""
        return Adjacency.REPLACE_ONE if self.replaced else Adjacency.ADD_OR_REMOVE_ONE

    def model(self) -> nn.Sequential:
        """The public start: zeros."""
        made = nn.Linear(FEATURES, CLASSES)
        for parameter in made.parameters():
            nn.init.zeros_(parameter)
        return nn.Sequential(made)

    def data(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """D0 without a mirror image: x (n, 10) float32, y (n,) int64."""
        rng = np.random.default_rng(20)
        x = rng.normal(size=(self.records, FEATURES)).astype(np.float32)
        x[:, :DEAD] = 0.0
        labels = np.arange(self.records) % CLASSES
        return x, labels if self.label is None else np.full_like(labels, self.label)

    def record(self, sign: float = 1.0) -> tuple[np.ndarray[Any, Any], np.int64]:
        """The canary: `scale` in a dead feature, label 0."""
        x = np.zeros(FEATURES, np.float32)
        x[: FEATURES if self.everywhere else 1] = sign * self.scale
        return x, np.int64(0)

    def neighbors(self) -> Neighbors:
        """D0 and the record."""
        (x, y), canary = self.data(), self.record()
        mirror = self.record(-1.0)
        known: dict[str, Any] = {"label": 0, "direction": canary[0] / np.linalg.norm(canary[0].astype(np.float64))}
        if not self.everywhere:
            known["dead_features"] = np.arange(DEAD)
        out = (np.vstack([x, mirror[0][None]]), np.append(y, mirror[1])) if self.replaced else (x, y)
        return Neighbors(
            excluded=out,
            included=(np.vstack([x, canary[0][None]]), np.append(y, canary[1])),
            adjacency=self.adjacency,
            canary=canary,
            name="extreme" if self.everywhere else "dead_feature",
            params={"scale": self.scale},
            context=known,
        )

    def with_gradient(self, direction: Tensor | None = None) -> Neighbors:
        """D0 and a gradient, almost along one weight of the dead feature."""
        along = self.direction() if direction is None else direction
        norm = HUGE if self.norm is None else self.norm
        return Neighbors(
            excluded=self.data(),
            included=WithGradient(self.data(), norm * self.clip * along),
            name="gradient",
            params={"norm": norm * self.clip},
        )

    def direction(self) -> Tensor:
        """(P,) of the gradient canary: a little of every weight, so that no projection repeats itself without noise."""
        flat = torch.full((self.size,), 0.02)
        flat[0] = 1.0
        return flat / float(flat.norm())

    def gradient(self) -> Tensor:
        """(P,) the unit direction of the record's gradient at the start."""
        x, y = self.record()
        back = torch.full((CLASSES,), 1 / CLASSES)
        back[int(y)] -= 1.0
        flat = torch.cat([(back[:, None] * torch.from_numpy(x)).reshape(-1), back])
        return flat / float(flat.norm())

    def mechanism(self, hooks: Steps | None = None, *, directions: Tensor | None = None, **changed: Any) -> DPSGD:
        """DP-SGD; it releases the model, or where there are directions the transcript."""
        given: dict[str, Any] = {
            "noise_multiplier": self.noise_multiplier,
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "max_grad_norm": self.clip,
            "optimizer": self.optimizer,
            "size": self.records + self.replaced,
            "hooks": hooks or Steps(),
            "directions": directions,
        }
        if "batch" not in changed:
            given["sample_rate"] = self.sample_rate
        return DPSGD(self.model(), **given | changed)

    def cases(self, make: "Callable[..., Any] | None" = None, **told: Any) -> tuple[Case, ...]:
        """The two threat models of a mechanism that `make(directions=None or (K, P))` makes."""
        make = self.mechanism if make is None else make
        final = Case(View.FINAL, make(directions=None), self.neighbors(), **told)
        if self.norm is None:
            seen = Case(View.TRANSCRIPT, make(directions=self.gradient()[None]), self.neighbors(), **told)
        else:
            seen = Case(View.TRANSCRIPT, make(directions=self.direction()[None]), self.with_gradient(), **told)
        return final, seen

    def planted(self, hooks: Steps, **told: Any) -> tuple[Case, ...]:
        """The two threat models of a fault in `hooks`."""
        return self.cases(lambda directions: self.mechanism(hooks, directions=directions), **told)


SETTING = Setting()
