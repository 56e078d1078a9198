import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

RECORDS = 12


class Items(Dataset):
    """A data set of (tensor, int) items, such as torchvision's."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return torch.as_tensor(self.x[index]), int(self.y[index])


def digits_like(shape=(4, 4)):
    """Images in [0, 1] whose first and last pixel are 0 everywhere; labels 0, 0, 1, 1, ... with a single 3."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0.1, 1.0, size=(RECORDS, *shape)).astype(np.float32)
    x.reshape(RECORDS, -1)[:, [0, -1]] = 0.0
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3])
    return x, y


@pytest.fixture
def images():
    return digits_like()


def as_kind(kind, x, y):
    match kind:
        case "arrays":
            return x, y
        case "tensors":
            return torch.as_tensor(x), torch.as_tensor(y)
        case "tensor data set":
            return TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
        case "data set":
            return Items(x, y)


def as_arrays(data):
    """Any kind of data as numpy (x, y), by the interface a training function uses."""
    if isinstance(data, tuple):
        return tuple(np.asarray(part) for part in data)
    items = [data[i] for i in range(len(data))]
    return np.stack([np.asarray(item[0]) for item in items]), np.stack([np.asarray(item[1]) for item in items])


@pytest.fixture(params=["arrays", "tensors", "tensor data set", "data set"])
def kind(request):
    return request.param


@pytest.fixture
def make():
    return as_kind


@pytest.fixture
def arrays_of():
    return as_arrays
