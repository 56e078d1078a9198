"""Right programs with something unusual about them, each of which could be mistaken for a fault."""

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit._preflight import view_of
from dpaudit.mechanisms import Function


def train_with(change, *, sampled_by="opacus", noise=1.5):
    """One Opacus training with `change` applied where it is asked: a dictionary of functions."""

    def train(data, seed):
        import torch
        from opacus import PrivacyEngine
        from torch.utils.data import DataLoader, TensorDataset

        x, y = (torch.as_tensor(part) for part in data)
        torch.manual_seed(seed)
        x = change.get("data", lambda x: x)(x)
        model = torch.nn.Sequential(torch.nn.Linear(6, 5), change.get("layer", torch.nn.Tanh)(), torch.nn.Linear(5, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=change.get("rate", 0.05))
        dataset = TensorDataset(x, y)
        if sampled_by == "opacus":
            loader = DataLoader(dataset, batch_size=20, shuffle=True)
        else:
            from opacus.utils.uniform_sampler import UniformWithReplacementSampler

            class Own(torch.utils.data.Sampler):
                """Somebody's own Poisson sampler."""

                def __init__(self):
                    self.inner = UniformWithReplacementSampler(num_samples=len(x), sample_rate=0.2)

                def __len__(self):
                    return 5

                def __iter__(self):
                    return iter(self.inner)

            loader = DataLoader(dataset, batch_sampler=Own())
        model, optimizer, loader = PrivacyEngine().make_private(
            module=model,
            optimizer=optimizer,
            data_loader=loader,
            noise_multiplier=noise,
            max_grad_norm=0.5,
            poisson_sampling=sampled_by == "opacus",
        )
        schedule = change.get("schedule", lambda optimizer: None)(optimizer)
        for _ in range(2):
            for batch, labels in loader:
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled="autocast" in change):
                    loss = torch.nn.functional.cross_entropy(model(batch), labels)
                loss.backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()
        return model

    return train


def dropout():
    import torch

    return torch.nn.Dropout(0.5)


def more_noise_later(optimizer):
    from opacus.schedulers import ExponentialNoise

    return ExponentialNoise(optimizer, gamma=1.2)


def shuffled_first(x):
    """Takes as many random numbers as there are records, before the model is made."""
    import torch

    return x[torch.randperm(len(x)).argsort()]


INNOCENT = {
    "dropout": {"layer": dropout},
    "no learning at first": {"rate": 0.0},
    "noise that grows": {"schedule": more_noise_later},
    "bfloat16 in the forward pass": {"autocast": True},
    "data shuffled before the model is made": {"data": shuffled_first},
    "data with noise of its own": {"data": lambda x: x + 0.1 * x.new_empty(x.shape).normal_()},
}


@pytest.mark.parametrize("name", INNOCENT)
def test_the_unusual_is_no_fault(worlds, claim, name):
    found = dpa.preflight(train_with(INNOCENT[name]), worlds(), claim)
    assert found.faults == (), str(found)
    assert any(finding.check == "noise scale" and finding.severity == "ok" for finding in found)


def test_an_own_poisson_sampler_is_judged_by_its_batches(worlds, claim):
    found = dpa.preflight(train_with({}, sampled_by="own"), worlds(), claim)
    assert found.faults == (), str(found)
    assert any(finding.check == "sampler" and finding.severity == "ok" for finding in found)


def test_two_models_in_one_program(worlds, claim):
    first, second = train_with({}), train_with({})

    def train(data, seed):
        first(data, seed)
        return second(data, seed + 1)

    found = dpa.preflight(train, worlds(), claim)
    assert found.faults == (), str(found)


def test_two_models_trained_in_turn(worlds, claim):
    """The second one is not watched, and what becomes of it is not held against the first."""

    def train(data, seed):
        import torch
        from opacus import PrivacyEngine
        from torch.utils.data import DataLoader, TensorDataset

        x, y = (torch.as_tensor(part) for part in data)
        torch.manual_seed(seed)
        made = []
        for _ in range(2):
            model = torch.nn.Linear(6, 2)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            loader = DataLoader(TensorDataset(x, y), batch_size=20)
            made.append(
                PrivacyEngine().make_private(
                    module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=3.0, max_grad_norm=0.5
                )
            )
        for pairs in zip(*(one[2] for one in made), strict=True):
            for (model, optimizer, _), (batch, labels) in zip(made, pairs, strict=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), labels).backward()
                optimizer.step()
        return [one[0] for one in made]

    found = dpa.preflight(train, worlds(), claim)
    assert found.faults == (), str(found)
    assert any("several" in finding.measured for finding in found if finding.severity == "skipped")


def test_neighbours_of_the_same_size(program, worlds):
    """Under replacement the sum may move by 2 C."""
    (x, y), (_, label) = worlds().excluded, worlds().canary
    other = x.copy()
    other[-1] = -worlds().canary[0]
    labels = y.copy()
    labels[-1] = label
    claim = dpa.Claim.dp_sgd(noise_multiplier=1.5, sample_rate=0.2, steps=10, adjacency=dpa.Adjacency.REPLACE_ONE)
    neighbors = dpa.Neighbors(excluded=(x, y), included=(other, labels), adjacency=dpa.Adjacency.REPLACE_ONE)
    found = dpa.preflight(program(), neighbors, claim)
    assert found.faults == (), str(found)
    (pair,) = (one for one in view_of(Function(program()), neighbors, 0).pairs() if one.what == "the canary")
    moved = np.linalg.norm(pair.included.clipped - pair.without.clipped)
    assert pair.allowed == 1.0
    assert 0.5 < moved <= 1.0 + 1e-5  # further than one record alone could move it
