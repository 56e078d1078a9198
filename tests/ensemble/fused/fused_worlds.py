"""Small trainings and their reference in float64, one record's gradient at a time."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from dpaudit.ensemble.fused import Options


@dataclass
class World:
    """Arguments of `train`, with masks and noise drawn outside."""

    x: Any
    y: Any
    present: Any
    sizes: tuple[int, ...]
    activation: str | None
    start: Any
    seeds: Any
    noise_multiplier: float
    clip: Any
    sample_rate: float
    steps: int
    learning_rate: float
    divisor: float
    masks: Any
    noise: Any
    canary: Any = None
    canary_coins: Any = None
    options: Options = field(default_factory=Options)

    def arguments(self) -> dict[str, Any]:
        """For `train`."""
        return dict(vars(self))


def world(
    sizes: tuple[int, ...],
    activation: str | None = "relu",
    *,
    models: int = 3,
    n: int = 60,
    steps: int = 6,
    seed: int = 0,
    **changes: Any,
) -> World:
    rng = np.random.default_rng(seed)
    options = Options(**{k: changes.pop(k) for k in ("bias", "loss", "optimizer", "momentum", "betas") if k in changes})
    bias, loss = options.bias, options.loss
    parameters = sum((a + bias) * b for a, b in pairwise(sizes))
    rate = changes.pop("sample_rate", 0.4)
    scales = np.concatenate([np.full((a + bias) * b, a**-0.5) for a, b in pairwise(sizes)])
    y = rng.integers(0, sizes[-1], n) if loss == "cross_entropy" else rng.normal(size=(n, sizes[-1])).astype("f4")
    return World(
        x=rng.normal(size=(n, sizes[0])).astype(np.float32),
        y=y,
        present=rng.random((models, n)) < 0.8,
        sizes=sizes,
        activation=activation,
        start=(rng.normal(size=(models, parameters)) * scales).astype(np.float32),
        seeds=np.arange(models, dtype=np.uint64) + np.uint64(2**40),
        noise_multiplier=changes.pop("noise_multiplier", 0.7),
        clip=changes.pop("clip", 1.3),
        sample_rate=rate,
        steps=steps,
        learning_rate=0.5,
        divisor=rate * n,
        masks=rng.random((models, steps, n)) < rate,
        noise=rng.normal(size=(models, steps, parameters)).astype(np.float32),
        options=options,
        **changes,
    )


def reference(w: World) -> Any:
    """The same training in float64, straight from the definition: per-record gradients, written out."""
    return np.stack([_train_one(w, m) for m in range(len(w.seeds))])


def sums(w: World) -> Any:
    """The noised sums (M, T, P) of that training."""
    out: list[Any] = []
    for m in range(len(w.seeds)):
        _train_one(w, m, out)
    return np.stack(out).reshape(len(w.seeds), w.steps, -1)


def _train_one(w: World, m: int, told: list[Any] | None = None) -> Any:
    theta = w.start[m].astype(np.float64)
    bounds = np.atleast_1d(np.asarray([] if w.clip is None else w.clip, dtype=np.float64))
    std = w.noise_multiplier * np.sqrt((bounds**2).sum())
    first = second = np.zeros_like(theta)
    for t in range(w.steps):
        total = std * w.noise[m, t].astype(np.float64)
        for j in np.flatnonzero(w.present[m] & w.masks[m, t]):
            parts = _gradient(w, theta, w.x[j].astype(np.float64), w.y[j])
            total += _clipped(parts, bounds)
        if w.canary is not None and w.canary[1][m] and w.canary_coins[m, t]:
            flat = np.broadcast_to(w.canary[0], w.start.shape)[m].astype(np.float64)
            cuts = np.cumsum([(a + w.options.bias) * b for a, b in pairwise(w.sizes)])[:-1]
            total += _clipped(np.split(flat, cuts), bounds)
        if told is not None:
            told.append(total)
        gradient = total / w.divisor
        if w.options.optimizer == "sgd":
            first = w.options.momentum * first + gradient
            theta = theta - w.learning_rate * first
        else:
            one, two = w.options.betas
            first = one * first + (1 - one) * gradient
            second = two * second + (1 - two) * gradient**2
            root = np.sqrt(second / (1 - two ** (t + 1))) + w.options.eps
            theta = theta - w.learning_rate / (1 - one ** (t + 1)) * first / root
    return theta


def _clipped(parts: Any, bounds: Any) -> Any:
    if bounds.size == 0:
        return np.concatenate(parts)
    norms = [np.linalg.norm(p) for p in parts]
    if bounds.size == 1:
        norms = [np.linalg.norm(norms)] * len(parts)
    each = np.broadcast_to(bounds, len(parts))
    return np.concatenate([p * min(1.0, c / (norm + 1e-6)) for p, c, norm in zip(parts, each, norms, strict=True)])


def _gradient(w: World, theta: Any, x: Any, y: Any) -> Any:
    """One flat gradient for each layer, weights (out, in) and then the bias."""
    layers, at = [], 0
    for a, b in pairwise(w.sizes):
        weight = theta[at : at + a * b].reshape(b, a)
        at += a * b
        offset = theta[at : at + b] if w.options.bias else np.zeros(b)
        at += b if w.options.bias else 0
        layers.append((weight, offset))
    inputs, z = [x], x
    for i, (weight, offset) in enumerate(layers):
        z = weight @ inputs[-1] + offset
        if i < len(layers) - 1:
            inputs.append(np.maximum(z, 0) if w.activation == "relu" else np.tanh(z) if w.activation == "tanh" else z)
    if w.options.loss == "cross_entropy":
        g = np.exp(z - z.max())
        g /= g.sum()
        g[y] -= 1
    else:
        g = 2 * (z - y) / len(z)
    parts = []
    for i in range(len(layers) - 1, -1, -1):
        flat = np.outer(g, inputs[i]).ravel()
        parts.append(np.concatenate([flat, g]) if w.options.bias else flat)
        if i > 0:
            g = layers[i][0].T @ g
            h = inputs[i]
            g = g * (h > 0) if w.activation == "relu" else g * (1 - h**2) if w.activation == "tanh" else g
    return parts[::-1]
