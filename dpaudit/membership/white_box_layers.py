"""Membership from inside a deep model: the displacement attack at every layer, combined."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpaudit.ensemble import Pool, Stack, Training, train
from dpaudit.ensemble.models import Models
from dpaudit.errors import UsageError
from dpaudit.trials.seeding import one_torch_thread

__all__ = ["FittedLayers", "Known", "LayerWhiteBox", "displacements", "heads_of", "influence", "split"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Known:
    """A shadow target: a model the adversary trained as the target was, and with what.

    Args:
        module: ``nn.Sequential`` of the target's layers.
        members: (n,) bool, the adversary's records it was trained on.
        held: (n,) bool, records it was not trained on, kept for comparison; its proxies see neither these nor the
            members, as a target's proxies see none of the records in question.
    """

    module: nn.Sequential
    members: NDArray[np.bool_]
    held: NDArray[np.bool_]


def split(module: nn.Sequential, layer: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Halves of f = g o h: the first `layer` parts of the module, and the others; parameters are shared, not copied.

    Raises:
        UsageError: no ``nn.Sequential``, or no part with parameters is left for g.
    """
    if not isinstance(module, nn.Sequential):
        raise UsageError("white box of a deep model", allowed="an nn.Sequential", got=type(module).__name__)
    parts = list(module)
    usable = [i for i in range(len(parts)) if i == 0 or list(parts[i].parameters())]
    if layer not in usable:
        raise UsageError("layer to split at", allowed=f"{usable}: the inputs of a part with parameters", got=layer)
    return nn.Sequential(*parts[:layer]), nn.Sequential(*parts[layer:])


def heads_of(
    head: nn.Sequential, features: Tensor, labels: Tensor, training: Training, masks: NDArray[np.bool_], seed: int
) -> list[nn.Module]:
    """Proxies of a head: fresh starts of its architecture, trained together on the adversary's h(x).

    Args:
        head: g, whose architecture is taken and whose weights are not.
        features: (n, ...) h(x) of the adversary's records.
        labels: (n,).
        training: the settings of the target's training.
        masks: (K, n) bool, the records of each proxy.
        seed: of starts and batches.
    """
    seeds = [(seed + k) % 2**32 for k in range(len(masks))]
    stack = Stack.of(head)
    models = Models(head, stack)
    trained = train(stack, Pool(features, labels), masks, training, seeds, start=models.fresh(seeds))
    return [models.module(flat) for flat in trained.parameters]


def influence(head: nn.Module, z: Tensor, labels: Tensor, baseline: Tensor, points: int) -> Tensor:
    """Gradient of the class-y logit by the inputs of a head, averaged along the straight path from a baseline.

    Args:
        head: g, from (n, ...) to (n, C) logits.
        z: (n, ...) ends of the paths.
        labels: (n,) classes y.
        baseline: a start for all, of the shape of one z.
        points: midpoints of as many equal parts of the path.

    Returns:
        (n, ...): times z - baseline it sums to g_y(z) - g_y(baseline), up to the error of the midpoint rule.
    """
    total = torch.zeros_like(z)
    for i in range(points):
        at = (baseline + (i + 0.5) / points * (z - baseline)).requires_grad_(True)
        chosen = head(at).gather(1, labels[:, None]).sum()
        total += torch.autograd.grad(chosen, at)[0]
    mean: Tensor = total / points
    return mean


def displacements(
    head: nn.Module, proxies: Sequence[nn.Module], z: Tensor, labels: Tensor, *, points: int, baseline: Tensor
) -> Array:
    """(W_hat - W_tilde)_y . (z - z0) + (b_hat - b_tilde)_y of heads linearised around each record, (n,).

    W is `influence`, b the logit at the baseline z0, and the tilde the average of the proxies. A path gradient is
    complete: with many points this is the difference of the class-y logits of head and proxies.

    Reference: Leino, Fredrikson 2020.
    """

    def linear(part: nn.Module) -> Tensor:
        slope = influence(part, z, labels, baseline, points)
        with torch.no_grad():
            offset = part(baseline[None])[0][labels]
        logit: Tensor = (slope * (z - baseline)).flatten(1).sum(dim=1) + offset
        return logit

    with one_torch_thread():
        expected = torch.stack([linear(proxy) for proxy in proxies]).mean(dim=0)
        moved: Array = (linear(head) - expected).double().numpy()
    return moved


@dataclass(frozen=True, eq=False)
class LayerWhiteBox:
    """The displacement attack at several layers of a deep model f = g o h, and a logistic model of them.

    At each layer the target's h is frozen; proxy heads learn from h(x) of the adversary's data; head and proxies are
    linearised at h(x). The weights of the layers' scores come from shadow targets, whose members are known.

    Args:
        training: of the proxy heads: the settings of the target's training, without noise.
        layers: where the target is split, as `split` counts; None: before every part with parameters. 0 attacks the
            whole model, the last one is the linear attack on the last layer's inputs.
        proxies: heads per layer.
        size: records a proxy is trained on, drawn from the adversary's; as many as the target had.
        points: of the path.
        most: members, and as many held records, of a shadow target that are scored at most.
        seed: of draws, starts and batches.

    Reference: Leino, Fredrikson 2020.
    """

    training: Training
    size: int
    layers: tuple[int, ...] | None = None
    proxies: int = 4
    points: int = 8
    most: int = 5000
    seed: int = 0
    name: ClassVar[str] = "white box, layers"

    def __post_init__(self) -> None:
        counts = self.size, self.proxies, self.points, self.most
        if min(counts) < 1:
            raise UsageError("size, proxies, points and most", allowed="at least 1 each", got=counts)

    def fit(self, shadows: Sequence[Known], data: tuple[Any, Any]) -> "FittedLayers":
        """Fits the weights of the layers.

        Args:
            shadows: one shadow target at least.
            data: the adversary's records, (n, ...) and (n,) labels, none of them the target's.

        Raises:
            UsageError: no shadow targets, masks that do not fit, or too few records are left for proxies.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        x, y = torch.as_tensor(np.asarray(data[0], dtype=np.float32)), torch.as_tensor(np.asarray(data[1])).long()
        if not shadows:
            raise UsageError("shadow targets", allowed="at least one", got="none")
        rows, members = [], []
        for i, shadow in enumerate(shadows, 2):  # 0 is the target, 1 a shadow target to calibrate on
            found, inside = self._known(shadow, (x, y), i)
            rows.append(found)
            members.append(inside)
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        model.fit(np.concatenate(rows), np.concatenate(members))
        return FittedLayers(self, (x, y), model)

    def _known(self, shadow: Known, data: tuple[Tensor, Tensor], number: int) -> tuple[Array, NDArray[np.bool_]]:
        """(R, L) displacements of a shadow target's members and held records, and (R,) which are members."""
        x, y = data
        for name, mask in (("members", shadow.members), ("held", shadow.held)):
            if mask.dtype != np.bool_ or mask.shape != (len(x),) or not mask.any():
                raise UsageError(f"{name} of a shadow target", allowed=f"bool ({len(x)},), some", got=mask.shape)
        if (shadow.members & shadow.held).any():
            raise UsageError("members and held of a shadow target", allowed="disjoint records", got="both at once")
        rng = np.random.default_rng((self.seed, number, 1))
        sides = [np.flatnonzero(side) for side in (shadow.members, shadow.held)]
        asked = np.concatenate([rng.permutation(side)[: self.most] for side in sides])
        masks = self._masks(np.flatnonzero(~(shadow.members | shadow.held)), len(x), number)
        return self._scores(shadow.module, data, masks, x[asked], y[asked], number), shadow.members[asked]

    def _masks(self, allowed: NDArray[np.intp], records: int, number: int) -> NDArray[np.bool_]:
        """(K, n): each proxy's records."""
        if len(allowed) < self.size:
            raise UsageError(
                "records left for proxies",
                allowed=f"at least size={self.size}",
                got=len(allowed),
                remedy="more data for the adversary, or fewer members and held records",
            )
        rng = np.random.default_rng((self.seed, number))
        masks = np.zeros((self.proxies, records), dtype=bool)
        for mask in masks:
            mask[rng.choice(allowed, self.size, replace=False)] = True
        return masks

    def _seed(self, number: int, layer: int) -> int:
        return int(np.random.SeedSequence((self.seed, number, layer)).generate_state(1)[0])

    def _scores(
        self,
        module: nn.Sequential,
        data: tuple[Tensor, Tensor],
        masks: NDArray[np.bool_],
        x: Tensor,
        y: Tensor,
        number: int,
    ) -> Array:
        """(R, L) displacements of the shadow target of this number, or of the target, 0."""
        columns = []
        for layer in self.layers or _layers(module):
            h, g = split(module, layer)
            with one_torch_thread(), torch.no_grad():
                features, z = h(data[0]), h(x)
            heads = heads_of(g, features, data[1], self.training, masks, self._seed(number, layer))
            zero = torch.zeros_like(z[0])
            columns.append(displacements(g, heads, z, y, points=self.points, baseline=zero))
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class FittedLayers:
    """The layers' weights, ready for targets.

    Attributes:
        attack: the settings.
        data: the adversary's records and labels.
        model: the logistic model of the layers' scores.
    """

    attack: LayerWhiteBox
    data: tuple[Tensor, Tensor] = field(repr=False)
    model: Any = field(repr=False)

    def layer_scores(self, target: nn.Sequential, x: Any, y: Any) -> Array:
        """(R, L) displacements at each layer; proxies are trained on the target's own features."""
        records = torch.as_tensor(np.asarray(x, dtype=np.float32))
        labels = torch.as_tensor(np.asarray(y)).long()
        masks = self.attack._masks(np.arange(len(self.data[0])), len(self.data[0]), 0)
        return self.attack._scores(target, self.data, masks, records, labels, 0)

    def score_shadow(self, shadow: Known) -> tuple[Array, NDArray[np.bool_]]:
        """Scores of a further shadow target's members and held records, and which are members, for `calibrate`."""
        found, members = self.attack._known(shadow, self.data, 1)
        return np.asarray(self.model.decision_function(found)), members

    def score(self, target: nn.Sequential, x: Any, y: Any) -> Array:
        """Log-odds of membership for somebody who expects as many members as not.

        Args:
            target: the model, of the shadow targets' architecture.
            x: (R, ...) records.
            y: (R,) labels.

        Returns:
            (R,), higher where membership is more likely.
        """
        found: Array = self.model.decision_function(self.layer_scores(target, x, y))
        return found


def _layers(module: nn.Sequential) -> tuple[int, ...]:
    """Before every part with parameters; what comes before the first of them is no layer."""
    with_parameters = [i for i, part in enumerate(module) if list(part.parameters())]
    return (0, *with_parameters[1:])
