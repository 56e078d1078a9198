"""Attacks look inside Opacus's wrappers and leave their hooks as they were."""

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.attacks import Battery
from dpaudit.release import Release

pytestmark = pytest.mark.filterwarnings("ignore:.*[Ss]ecure RNG.*", "ignore:Full backward hook", "ignore:Optimal order")


@pytest.fixture(params=["hooks", "functorch", "ghost"])
def wrapped(request):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    start = {k: v.clone() for k, v in plain.state_dict().items()}
    data = TensorDataset(torch.randn(8, 3), torch.randint(0, 3, (8,)))
    made = PrivacyEngine().make_private(
        module=plain,
        optimizer=torch.optim.SGD(plain.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        data_loader=DataLoader(data, batch_size=4),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        grad_sample_mode=request.param,
        poisson_sampling=False,
    )
    model, optimizer, loader = made[0], made[1], made[-1]
    criterion = made[2] if request.param == "ghost" else functional.cross_entropy

    def step():
        for x, y in loader:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()

    return model, plain, start, step


def test_wrapped_and_plain_give_the_same_and_training_goes_on(wrapped, neighbors):
    model, plain, start, step = wrapped
    step()
    by_wrapper = Battery().statistics(Release(model, initial=start), neighbors)
    by_module = Battery().statistics(Release(plain, initial=start), neighbors)
    assert by_wrapper == pytest.approx(by_module, nan_ok=True)
    assert np.isfinite([by_wrapper[k] for k in ("canary_loss", "scaled_logit", "projection", "gradient")]).all()
    assert all(module.training for module in model.modules())
    step()  # the hooks still take per-sample gradients
    assert Battery().statistics(Release(model, initial=start), neighbors) != by_wrapper
