"""A small world to make shadow models in: three blobs, forty records of which ten are the population."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from dpaudit.membership import Shadows, half_masks
from dpaudit.trials.executors import local_executor


@dataclass(frozen=True)
class World:
    """Records, labels, masks and settings that go together."""

    x: Any
    y: Any
    members: Any
    population: Any
    training: Any
    model: Any

    def shadows(self, **more: Any) -> Shadows:
        """Shadow models of this world, with some settings changed."""
        given = {"training": self.training, "seeds": 5, "population": self.population, **more}
        names = ("model", "x", "y", "members")
        return Shadows(**{name: getattr(self, name) for name in names} | given)

    def with_training(self, **more: Any) -> Any:
        """Its training with some settings changed."""
        return replace(self.training, **more)


@pytest.fixture
def world() -> World:
    """Blobs in the plane, six models."""
    import torch
    from torch import nn

    from dpaudit.ensemble import Shuffle, Training

    rng = np.random.default_rng(0)
    y = np.arange(40) % 3
    x = (rng.normal(size=(40, 4)) + 2.0 * np.eye(4)[y]).astype(np.float32)
    population = np.arange(40) >= 30
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return World(x, y, half_masks(6, 40, 1, population), population, Training(Shuffle(5), 12, 0.3, clip=None), model)


@pytest.fixture(scope="session")
def pool():
    """Two worker processes for all tests that want some: each takes seconds to load torch."""
    executor = local_executor(2)
    yield executor
    executor.shutdown(kill_workers=True)
