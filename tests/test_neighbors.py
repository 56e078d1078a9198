import numpy as np
import pytest

from dpaudit.adjacency import Adjacency
from dpaudit.digest import all_finite, digest_of
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def test_sizes_must_fit_the_adjacency() -> None:
    small, large = (np.zeros((3, 2)), np.zeros(3)), (np.zeros((4, 2)), np.zeros(4))
    assert Neighbors(small, large).sizes == (3, 4)
    assert Neighbors(small, small, Adjacency.REPLACE_ONE).world(included=True) is small
    with pytest.raises(UsageError, match="not add-or-remove-one neighbours"):
        Neighbors(small, small)
    with pytest.raises(UsageError, match="not replace-one neighbours"):
        Neighbors(small, large, Adjacency.REPLACE_ONE)
    with pytest.raises(UsageError, match="unknown adjacency"):
        Neighbors(small, large, "swap")  # type: ignore[arg-type]


def test_any_kind_of_data_will_do() -> None:
    assert Neighbors(0.0, 1.0, Adjacency.REPLACE_ONE).sizes == (None, None)


def test_digest_sees_every_byte() -> None:
    x = np.arange(6.0).reshape(2, 3)
    base = digest_of((x, [1, "a", None]))
    assert digest_of((x.copy(), [1, "a", None])) == base
    changed = x.copy()
    changed[1, 2] = np.nextafter(changed[1, 2], 9)
    for other in ((changed, [1, "a", None]), (x.T, [1, "a", None]), (x, [1, "b", None]), (x.astype("f4"), [1, "a"])):
        assert digest_of(other) != base


def test_digest_of_torch_things() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 1)
    before = digest_of(model)
    assert before == digest_of(model.state_dict())
    with torch.no_grad():
        model.weight[0, 0] += 1
    assert digest_of(model) != before
    data = torch.utils.data.TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
    same = torch.utils.data.TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert digest_of(data) == digest_of(same)
    assert digest_of(torch.zeros(2, dtype=torch.bfloat16)) == digest_of(torch.zeros(2))


def test_all_finite() -> None:
    assert all_finite({"a": np.ones(2), "b": 3})
    assert not all_finite({"a": np.array([1, np.inf])})
    assert not all_finite([1.0, float("nan")])
