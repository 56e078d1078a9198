"""The fused kernel from Python: which trainings it takes, and thousands of them at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.ensemble.fused.checks import check_pool, check_shape
from dpaudit.ensemble.fused.layout import ACTIVATIONS, canary_of, data_of, record_of, stack_of
from dpaudit.ensemble.fused.plan import ADAM, CROSS_ENTROPY, MSE, SGD, Canary, Injected, Record, Settings
from dpaudit.ensemble.fused.trial import run
from dpaudit.errors import UsageError, require_probability

__all__ = ["Options", "Told", "applies", "train"]


@dataclass(frozen=True)
class Options:
    """The rarer settings of a training.

    Attributes:
        bias: whether the layers have biases.
        loss: of one record; "mse" is the mean over its outputs.
        optimizer: as in torch.optim.
        momentum: of SGD, without dampening.
        betas: of Adam.
        eps: of Adam.
    """

    bias: bool = True
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


@dataclass(frozen=True, eq=False)
class Told:
    """What `train` is to tell of every step; it fills the arrays.

    Args:
        directions: (K, P) float32 in the order of ``module.parameters()``.

    Attributes:
        projections: (M, T, K) float32, the noised sums, before the divisor, on the directions.
        sizes: (M, T) int64, records in the batch; a gradient canary is not counted.
    """

    directions: NDArray[np.float32]
    projections: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))


def applies(
    sizes: Sequence[int],
    activation: str | None,
    *,
    sampling: str = "poisson",
    loss: str = "cross_entropy",
    optimizer: str = "sgd",
    clips: int = 1,
) -> Literal[True] | str:
    """True if the kernel can do this training, else the reason why not.

    Args:
        sizes: features before, between and after the linear layers, (784, 128, 10) for two layers.
        activation: after every layer but the last: "relu", "tanh", or None.
        sampling: "poisson" or "full".
        loss: "cross_entropy" or "mse".
        optimizer: "sgd" (with momentum or without) or "adam".
        clips: number of clipping bounds: 0 without clipping, 1 for a flat one, or one for each layer.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        return "the fused kernel wants at least one linear layer, of positive sizes"
    if activation not in ACTIVATIONS:
        return f"the fused kernel has ReLU and tanh, not {activation}"
    if sampling not in ("poisson", "full"):
        return f"the fused kernel samples by Poisson or takes the full batch, not {sampling}"
    if loss not in ("cross_entropy", "mse"):
        return f"the fused kernel has cross-entropy and mean square, not {loss}"
    if optimizer not in ("sgd", "adam"):
        return f"the fused kernel has SGD and Adam, not {optimizer}"
    if clips not in (0, 1, len(sizes) - 1):
        return f"the fused kernel clips flat or per layer ({len(sizes) - 1} bounds), not by {clips} bounds"
    return True


def train(
    x: NDArray[np.float32],
    y: NDArray[Any],
    present: NDArray[np.bool_],
    sizes: Sequence[int],
    activation: str | None,
    start: NDArray[np.float32],
    seeds: NDArray[np.uint64],
    noise_multiplier: float,
    clip: float | Sequence[float] | None,
    sample_rate: float | None,
    steps: int,
    learning_rate: float,
    divisor: float,
    *,
    options: Options = Options(),
    masks: NDArray[np.bool_] | None = None,
    noise: NDArray[np.float32] | None = None,
    canary: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None,
    canary_coins: NDArray[np.bool_] | None = None,
    told: Told | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Train M models, each a pure function of its own records, start and seed.

    Args:
        x: (n, sizes[0]) float32. A record that is not finite spoils only the models that have it.
        y: (n,) int64 labels in [0, sizes[-1]); for "mse" (n,) or (n, sizes[-1]) float32.
        present: (M, n) bool: the records of each model.
        sizes: features before, between and after the linear layers.
        activation: after every layer but the last.
        start: (P,) or (M, P) float32 in the order of ``module.parameters()``.
        seeds: (M,) uint64.
        noise_multiplier: standard deviation of the noise in units of the bound (of the root of their summed squares).
        clip: flat bound, one bound per layer, or None: neither clipping nor noise.
        sample_rate: of Poisson sampling, exact to 2^-32; None: the full batch.
        steps: number of steps.
        learning_rate: of the optimizer.
        divisor: public constant by which the noised sum is divided.
        options: bias, loss, optimizer.
        masks: (M, T, n) bool, instead of the stream of masks.
        noise: (M, T, P) float32 standard normals in the order of ``module.parameters()``, instead of the stream.
        canary: a gradient, (P,) or (M, P), that is clipped like a record's and joins the models (M,) that have it.
        canary_coins: (M, T) bool, instead of the stream of the canary's coins.
        told: to be filled with what happened in every step.
        threads: threads of this process, each with a share of the models; no bit of the result depends on it.

    Returns:
        (M, P) float32 in the order of ``module.parameters()``.

    Raises:
        UsageError: shapes that do not fit, or a training that the kernel does not have.
    """
    bounds = [] if clip is None else [float(c) for c in np.atleast_1d(np.asarray(clip, dtype=np.float64))]
    able = applies(sizes, activation, loss=options.loss, optimizer=options.optimizer, clips=len(bounds))
    if able is not True:
        raise UsageError("training", allowed="what the fused kernel has", got=able, remedy="the torch engine")
    stack = stack_of(sizes, activation, options.bias)
    if sample_rate is not None:
        require_probability("sample rate", sample_rate)
    if not 0.0 < divisor < np.inf:
        raise UsageError("divisor", allowed="a positive number", got=divisor)
    loss = CROSS_ENTROPY if options.loss == "cross_entropy" else MSE
    models, records, parameters = len(seeds), len(x), stack.order.size
    check_pool(x, y, stack, loss)
    check_shape("present", present, (models, records))
    check_shape("start", start, (parameters,), (models, parameters))
    check_shape("masks", masks, (models, steps, records))
    check_shape("noise", noise, (models, steps, parameters))
    check_shape("canary coins", canary_coins, (models, steps))
    if canary is not None:
        check_shape("gradient canary", canary[0], (parameters,), (models, parameters))
        check_shape("models with the canary", canary[1], (models,))
    if told is not None:
        check_shape("directions", told.directions, (len(told.directions), parameters))
    settings = Settings(
        steps=int(steps),
        threshold=np.uint64(2**32 if sample_rate is None else round(sample_rate * 2**32)),
        clips=np.array(bounds, dtype=np.float32),
        flat=int(len(bounds) == 1),
        noise=float(noise_multiplier * np.sqrt(np.sum(np.square(bounds)))),
        divisor=float(divisor),
        rate=float(learning_rate),
        optimizer=SGD if options.optimizer == "sgd" else ADAM,
        betas=np.array((options.momentum, 0.0) if options.optimizer == "sgd" else options.betas, np.float64),
        eps=float(options.eps),
        loss=loss,
    )
    data = data_of(x, y, present, stack, loss)
    spare = np.zeros((0, 0), np.float32), np.zeros(0, np.bool_)
    joins = Canary(*spare) if canary is None else canary_of(*canary, bounds, stack)
    given = Injected(_or_none(masks, np.bool_, 3), _or_none(noise, np.float32, 3), _or_none(canary_coins, np.bool_, 2))
    nowhere = np.zeros((0, parameters), np.float32)
    record = record_of(nowhere, 0, 0, stack) if told is None else record_of(told.directions, models, steps, stack)
    starts = np.ascontiguousarray(np.atleast_2d(start), dtype=np.float32)
    keys = np.ascontiguousarray(seeds).astype(np.uint64)
    out = np.empty((models, parameters), np.float32)

    def share(first: int, last: int) -> None:
        mine = slice(first, last)
        shared = joins.gradient if len(joins.gradient) == 1 else joins.gradient[mine]
        run(
            stack,
            data._replace(present=data.present[mine]),
            settings,
            Canary(shared, joins.included[mine]),
            Injected(*(array[mine] for array in given)),
            Record(record.directions, record.projections[mine], record.sizes[mine]),
            starts if len(starts) == 1 else starts[mine],
            keys[mine],
            out[mine],
        )

    cuts = np.linspace(0, models, max(1, min(threads, models)) + 1).astype(int).tolist()
    if len(cuts) == 2:
        share(0, models)
    else:
        with ThreadPoolExecutor(len(cuts) - 1) as pool:
            list(pool.map(share, cuts[:-1], cuts[1:]))
    if told is not None:
        object.__setattr__(told, "projections", record.projections)
        object.__setattr__(told, "sizes", record.sizes)
    return out


def _or_none(array: Any, kind: Any, dimensions: int) -> NDArray[Any]:
    return np.zeros((0,) * dimensions, kind) if array is None else np.ascontiguousarray(array, dtype=kind)
