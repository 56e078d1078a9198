"""A small real Opacus program in every mode, and a small ensemble."""

import numpy as np
import pytest

import dpaudit as dpa

RECORDS, BATCH, NOISE, CLIP, EPOCHS = 81, 20, 1.5, 0.5, 2  # 81 and 82 records: 5 batches, divisor 16, in both worlds
CLAIM = {"noise_multiplier": NOISE, "sample_rate": 0.2, "steps": 10}


def opacus_program(
    mode="hooks",
    *,
    clipping="flat",
    noise=NOISE,
    optimizer="SGD",
    physical=None,
    closure=False,
    poisson=True,
    module=None,
    before=lambda x: x,
    skip_empty=False,
    reseed=None,
    loss=None,
    adaptive=False,
):
    """``train(data, seed)``: two linear layers, two classes."""

    def train(data, seed):
        import torch
        from opacus import PrivacyEngine
        from opacus.utils.batch_memory_manager import BatchMemoryManager
        from torch.utils.data import DataLoader, TensorDataset

        x, y = (torch.as_tensor(part) for part in data)
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 5), *((module() if module else torch.nn.Tanh(),)))
        model.append(torch.nn.Linear(5, 2))
        torch.manual_seed(seed if reseed is None else reseed)
        made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.05)
        criterion = torch.nn.CrossEntropyLoss() if loss is None else loss()
        bound = [CLIP / 2] * 4 if clipping == "per_layer" else CLIP
        extra = {
            "target_unclipped_quantile": 0.5,
            "clipbound_learning_rate": 0.2,
            "max_clipbound": 10.0,
            "min_clipbound": 1e-3,
            "unclipped_num_std": 5.0,
        }
        private = PrivacyEngine().make_private(
            module=model,
            optimizer=made,
            criterion=criterion,
            data_loader=DataLoader(TensorDataset(before(x), y), batch_size=BATCH, shuffle=True),
            noise_multiplier=noise,
            max_grad_norm=bound,
            grad_sample_mode=mode,
            clipping="adaptive" if adaptive else clipping,
            poisson_sampling=poisson,
            **(extra if adaptive else {}),
        )
        model, made, loader = private[0], private[1], private[-1]
        criterion = private[2] if mode == "ghost" else criterion

        def epoch(batches):
            for batch, labels in batches:
                if skip_empty and len(batch) == 0:
                    continue

                def evaluate(batch=batch, labels=labels):
                    made.zero_grad()
                    value = criterion(model(batch), labels)
                    value.backward()
                    return value

                if closure:
                    made.step(evaluate)
                else:
                    evaluate()
                    made.step()

        for _ in range(EPOCHS):
            if physical is None:
                epoch(loader)
            else:
                with BatchMemoryManager(data_loader=loader, max_physical_batch_size=physical, optimizer=made) as parts:
                    epoch(parts)
        return model

    return train


@pytest.fixture
def program():
    return opacus_program


@pytest.fixture
def claim():
    return dpa.Claim.dp_sgd(**CLAIM)


@pytest.fixture
def worlds():
    """81 random records and a large one; labels 0 and 1."""

    def make(records=RECORDS, scale=30.0):
        rng = np.random.default_rng(5)
        x = rng.normal(size=(records + 1, 6)).astype(np.float32)
        x[-1] *= scale
        y = np.arange(records + 1) % 2
        return dpa.Neighbors(excluded=(x[:-1], y[:-1]), included=(x, y), canary=(x[-1], y[-1]))

    return make
