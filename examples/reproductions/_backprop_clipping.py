"""Backpropagation clipping (Stevens et al. 2022) in plain torch: as it was published, and corrected.

One record is bounded on its way through the network: what enters a layer with weights has length C_in at most, and the
gradient that comes back to what leaves it C_grad at most, so the record moves the gradient of that layer's weights by
C_in C_grad. Noise for that sensitivity is added once a step to each layer.

The flaw: the sensitivity was declared as C_in C_grad / B. But what is clipped is the gradient of the MEAN loss, in
which the 1 / B stands already, so the noise is a batch size too small. The corrected form declares C_in C_grad and
clips to C_grad / B instead.
"""

import functools
import math
import warnings
from dataclasses import dataclass

import torch
from torch import nn

import dpaudit as dpa

TINY = 1e-30  # keeps 0 / 0 out of the factors
FIRST_WEIGHTS = 2022  # seed of the public start


class Input(nn.Module):
    """Each record of length `bound` at most."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, given):
        lengths = given.flatten(1).norm(dim=1)
        return given * along(factors(lengths, self.bound), given)


class Backward(torch.autograd.Function):
    """Nothing on the way forward; on the way back each record's gradient is clipped."""

    @staticmethod
    def forward(context, given, bound):
        context.bound = bound
        return given.view_as(given)

    @staticmethod
    def backward(context, back):
        # A convolution's weights are used at every position: its channels count by the sum of absolute values over
        # the positions, as in the authors' code. Length alone would not bound the gradient of the weights.
        channels = back.abs().sum((2, 3)) if back.ndim == 4 else back
        return back * along(factors(channels.norm(dim=1), context.bound), back), None


class Gradient(nn.Module):
    """Stands behind a layer with weights."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, given):
        return Backward.apply(given, self.bound)


def factors(lengths, bound):
    return (bound / lengths.clamp(min=TINY)).clamp(max=1.0)


def along(factor, tensor):
    """(B,) against (B, ...)."""
    return factor.view(-1, *[1] * (tensor.ndim - 1))


def layers(size):
    """The published network for 28 x 28 images; a smaller one of its kind for 8 x 8."""
    first, second, features = {
        28: (nn.Conv2d(1, 16, 8, 2, padding=3, bias=False), nn.Conv2d(16, 32, 4, 2, bias=False), 512),
        8: (nn.Conv2d(1, 8, 4, 2, padding=1, bias=False), nn.Conv2d(8, 16, 2, bias=False), 16),
    }[size]
    return first, second, nn.Linear(features, 32, bias=False), nn.Linear(32, 10, bias=False)


@dataclass(frozen=True)
class BackpropagationClipping:
    """train(data, seed) -> the trained network, with the public start it was trained from.

    `data` are images (n, 1, side, side) and labels. Batches are fixed, disjoint and in order; the mean is over
    `batch`, a public constant, also where the last one is a record short: the number of records is private.
    """

    corrected: bool
    side: int = 28
    input_bound: float = 10.0
    gradient_bound: float = 1e-3
    batch: int = 512
    epochs: int = 25
    rho: float = 1e-5  # zero-concentrated DP of each layer and epoch
    learning_rate: float = 0.01

    @property
    def clip(self):
        """Of the gradient of the mean loss that flows back."""
        return self.gradient_bound / self.batch if self.corrected else self.gradient_bound

    @property
    def declared(self):
        """Sensitivity of one layer's gradient, as each form has it."""
        return self.input_bound * self.gradient_bound / self.batch

    @property
    def deviation(self):
        """Of the noise."""
        return self.declared / math.sqrt(2 * self.rho)

    def claim(self, delta=1e-5):
        """By the original accounting: a record is in one batch of each epoch."""
        total = len(layers(self.side)) * self.rho * self.epochs
        return dpa.Claim(epsilon=total + 2 * math.sqrt(total * math.log(1 / delta)), delta=delta)

    def network(self):
        """With the public start; weights are taken from no seed of a trial."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_WEIGHTS)
            first, second, third, last = layers(self.side)
        return nn.Sequential(
            *(Input(self.input_bound), first, Gradient(self.clip), nn.ReLU(), nn.MaxPool2d(2, 1)),
            *(Input(self.input_bound), second, Gradient(self.clip), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten()),
            *(Input(self.input_bound), third, Gradient(self.clip), nn.ReLU()),
            *(Input(self.input_bound), last, Gradient(self.clip)),
        )

    def __call__(self, data, seed):
        model = self.network().to(memory_format=torch.channels_last)  # a third faster
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        drawn = torch.Generator().manual_seed(seed)

        def step(loss):
            optimizer.zero_grad()
            loss.backward()
            for weights in model.parameters():
                weights.grad += self.deviation * torch.randn(weights.shape, generator=drawn)
            optimizer.step()

        self._train(model, data, step)
        return dpa.Release(model, initial=self.network())

    @property
    def watched(self):
        """The same train(data, seed) with every record's gradient taken down, so that `dpa.preflight` sees the steps.

        Opacus computes the gradients of single records and adds the noise; its own clipping is put out of action.
        """
        return functools.partial(_watched, self, summing())

    def _train(self, model, data, step):
        x, y = (torch.as_tensor(part) for part in data)
        x = x.nan_to_num(0.0, 0.0, 0.0)  # no clipping mends NaN
        for _ in range(self.epochs):
            for at in range(0, len(x), self.batch):
                z, labels = model(x[at : at + self.batch]), y[at : at + self.batch]
                step(nn.functional.cross_entropy(z, labels, reduction="sum") / self.batch)


@functools.cache
def summing():
    """An Opacus optimizer that adds gradients up as they are. Made before anybody watches: taps look for subclasses."""
    from opacus.optimizers import DPOptimizer

    class Summing(DPOptimizer):
        def clip_and_accumulate(self):
            for weights in self.params:
                weights.summed_grad = weights.grad_sample.sum(0)

    return Summing


def _watched(mechanism, optimizer_class, data, seed):
    """What it declares is the length over all layers: sqrt(layers) times that of each."""
    from opacus import GradSampleModule

    model = GradSampleModule(mechanism.network(), loss_reduction="sum")
    length = mechanism.declared * math.sqrt(len(list(model.parameters())))
    optimizer = optimizer_class(
        torch.optim.Adam(model.parameters(), lr=mechanism.learning_rate),
        noise_multiplier=mechanism.deviation / length,
        max_grad_norm=length,
        expected_batch_size=None,
        loss_reduction="sum",
        generator=torch.Generator().manual_seed(seed),
    )

    def step(loss):
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook")  # images need no gradient
            loss.backward()
        optimizer.step()

    mechanism._train(model, data, step)
    return dpa.Release(model._module, initial=mechanism.network())
