import numpy as np
import torch
from torch import nn

from dpaudit.modules import is_module, is_tensor, plain_name, unwrap


def test_wrappers_come_off():
    plain = nn.Sequential(nn.Linear(2, 2))
    assert unwrap(plain) is plain
    assert unwrap(nn.DataParallel(plain)) is plain
    assert unwrap(torch.compile(nn.DataParallel(plain))) is plain


def test_a_users_own_module_is_no_wrapper():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

    own = Own()
    assert unwrap(own) is own


def test_names_without_wrappers():
    assert plain_name("_module._orig_mod.module.0.weight") == "0.weight"
    assert plain_name("encoder.module.weight") == "encoder.module.weight"


def test_kinds():
    assert is_module(nn.Linear(1, 1))
    assert is_tensor(torch.zeros(1))
    assert not is_module(torch.zeros(1))
    assert not is_tensor(np.zeros(1))
