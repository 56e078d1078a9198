"""Small Opacus trainings of every kind."""

import warnings
from functools import partial

import numpy as np
import torch
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch.utils.data import DataLoader, TensorDataset

RECORDS, BATCHES, FEATURES = 24, 4, 6
RATE, EXPECTED = 1 / BATCHES, RECORDS // BATCHES
MODES = {
    "hooks": {},
    "ghost": {"grad_sample_mode": "ghost"},
    "per_layer": {"clipping": "per_layer", "max_grad_norm": [0.5, 0.5, 0.5, 0.5]},
    "adaptive": {
        "clipping": "adaptive",
        "target_unclipped_quantile": 0.5,
        "clipbound_learning_rate": 0.2,
        "max_clipbound": 10.0,
        "min_clipbound": 0.1,
        "unclipped_num_std": 5.0,
    },
}


def data():
    """The last feature is 0 in all records, so that no record moves its weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(RECORDS, FEATURES)).astype(np.float32)
    x[:, -1] = 0
    return x, rng.integers(0, 2, RECORDS)


def network():
    torch.manual_seed(11)
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))


WEIGHTS = sum(p.numel() for p in network().parameters())


def train(
    data,
    seed,
    mode="hooks",
    noise=1.0,
    epochs=1,
    optimizer=torch.optim.SGD,
    lr=0.05,
    physical=None,
    closure=False,
    poisson=True,
    model=network,
    made=None,
):
    """An ordinary loop. `physical`: the largest physical batch; `made`: where the optimizer is left for the test."""
    x, y = (torch.as_tensor(part) for part in data)
    model = model()
    torch.manual_seed(seed)
    criterion = torch.nn.CrossEntropyLoss()
    private = PrivacyEngine().make_private(
        module=model,
        optimizer=optimizer(model.parameters(), lr=lr),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=EXPECTED, shuffle=not poisson),
        noise_multiplier=noise,
        poisson_sampling=poisson,
        **({"max_grad_norm": 1.0} | MODES[mode] | ({"criterion": criterion} if mode == "ghost" else {})),
    )
    model, optimizer, loader = private[0], private[1], private[-1]
    criterion = private[2] if mode == "ghost" else criterion
    if made is not None:
        made.append(optimizer)

    def backward(batch, labels):
        optimizer.zero_grad()
        loss = criterion(model(batch), labels)
        loss.backward()
        return loss

    def loop(batches):
        for batch, labels in batches:
            if mode == "adaptive" and len(batch) == 0:
                continue  # Opacus itself fails on an empty batch here
            if closure:
                optimizer.step(partial(backward, batch, labels))
            else:
                backward(batch, labels)
                optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(epochs):
            if physical is None:
                loop(loader)
            else:
                with BatchMemoryManager(
                    data_loader=loader, max_physical_batch_size=physical, optimizer=optimizer
                ) as physical_batches:
                    loop(physical_batches)
    return model


def state(model):
    return {name.removeprefix("_module."): value for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()
