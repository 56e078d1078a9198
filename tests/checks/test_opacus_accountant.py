"""What an engine reports by the central limit theorem is less than its own parameters give."""

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(100, 4)).astype(np.float32), np.arange(100) % 2


def one_step(data, seed, engine):
    """Sample rate .01, noise multiplier .5."""
    x, y = (torch.as_tensor(part) for part in data)
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 2)
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=1),
        noise_multiplier=0.5,
        max_grad_norm=1.0,
    )
    for batch, labels in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()
        break
    return model


@pytest.mark.filterwarnings("ignore::UserWarning")  # Opacus says much
@pytest.mark.parametrize(("accountant", "reported"), [("gdp", 0.243), ("prv", 3.04)])
def test_the_claim_of_an_engine(accountant: str, reported: float) -> None:
    """FAULTS section 1: .243 against 3.04."""
    engine = PrivacyEngine(accountant=accountant)
    one_step(DATA, 0, engine)
    claim = dpa.Claim.from_opacus(engine, delta=1e-5)
    assert claim.epsilon() == pytest.approx(reported, rel=0.01)
    neighbors = canaries.noise(DATA, label=0, adjacency=dpa.Adjacency.ADD_OR_REMOVE_ONE)
    found = dpa.preflight(
        lambda data, seed: one_step(data, seed, PrivacyEngine(accountant=accountant)), neighbors, claim
    )
    finding = next(one for one in found if one.check == "accounting")
    assert finding.severity == ("fault" if accountant == "gdp" else "ok"), str(finding)
