from itertools import pairwise

import numpy as np
import pytest
import torch
from fused_worlds import world
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from dpaudit.ensemble.fused import train


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("sizes", "activation"), [((64, 10), None), ((30, 40, 7), "relu"), ((30, 40, 20, 7), "tanh")])
def test_one_step_moves_the_parameters_as_opacus_does(sizes: tuple[int, ...], activation: str | None) -> None:
    w = world(sizes, activation, models=1, steps=1, noise_multiplier=0.0)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU() if activation == "relu" else torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    torch.nn.utils.vector_to_parameters(torch.from_numpy(w.start[0].copy()), model.parameters())
    private = GradSampleModule(model)
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=w.learning_rate),
        noise_multiplier=0.0,
        max_grad_norm=w.clip,
        expected_batch_size=w.divisor,
    )
    batch = np.flatnonzero(w.masks[0, 0] & w.present[0])
    loss = torch.nn.functional.cross_entropy(private(torch.from_numpy(w.x[batch])), torch.from_numpy(w.y[batch]))
    loss.backward()
    optimizer.step()
    expected = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    moved = train(**w.arguments())[0] - w.start[0]
    assert np.linalg.norm(moved - (expected - w.start[0])) < 1e-5 * np.linalg.norm(moved)
