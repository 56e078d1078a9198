"""Claims from files of Opacus's save_checkpoint: what the engine would have said, and no pickle."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.claim import Claim
from dpaudit.errors import UsageError


def trained(folder: Path, accountant: str, noise: Any = 1.1, **more: Any) -> tuple[Path, PrivacyEngine]:
    """One epoch of Opacus on 20 records, saved with its optimizer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = PrivacyEngine(accountant=accountant)
        model: Any = nn.Linear(4, 2)
        optimizer: Any = torch.optim.Adam(model.parameters())
        records = TensorDataset(torch.ones(20, 4), torch.zeros(20, dtype=torch.long))
        model, optimizer, loader = engine.make_private(
            module=model,
            optimizer=optimizer,
            data_loader=DataLoader(records, batch_size=5),
            noise_multiplier=noise,
            max_grad_norm=1.0,
        )
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    path = folder / f"{accountant}.pt"
    engine.save_checkpoint(path=path, module=model, optimizer=optimizer, **more)
    return path, engine


@pytest.mark.parametrize("accountant", ["rdp", "prv", "gdp"])
@pytest.mark.parametrize("noise", [1.1, np.float64(0.9), np.float32(1.5)], ids=type)
@pytest.mark.filterwarnings("ignore")
def test_what_the_engine_would_have_said(accountant: str, noise: Any, tmp_path: Path) -> None:
    path, engine = trained(tmp_path, accountant, noise)
    claim, live = Claim.from_checkpoint(path, delta=1e-4), Claim.from_opacus(engine, delta=1e-4)
    assert claim.profile == live.profile
    assert claim.source == f"{live.source}, checkpoint {accountant}.pt" == claim.to_dict()["source"]
    assert Claim.from_dict(claim.to_dict()) == claim


class Runs:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["DPAUDIT_TEST_TRACE"],)


def test_a_checkpoint_that_would_run_code_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "it ran"
    monkeypatch.setenv("DPAUDIT_TEST_TRACE", str(trace))
    path, _ = trained(tmp_path, "rdp", checkpoint_dict={"extra": Runs()})
    with pytest.raises(
        UsageError,
        match=r"would have to be unpickled.*got: posix\.mkdir; try: save_checkpoint without checkpoint_dict=",
    ):
        Claim.from_checkpoint(path, delta=1e-5)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"module_state_dict": {}}, "no privacy accountant; .*got: a dict with module_state_dict"),
        ([1, 2], "no privacy accountant"),
        ({"privacy_accountant_state_dict": {"history": [], "mechanism": "rdp"}}, "not accounted for any step"),
        ({"privacy_accountant_state_dict": {"history": [(1.0, 0.1, 5)], "mechanism": "own"}}, "one of Opacus's"),
        ({"privacy_accountant_state_dict": {"history": [(1.0, 0.1)], "mechanism": "rdp"}}, "history"),
        ({"privacy_accountant_state_dict": {"history": [(1.0, 0.1, 0)], "mechanism": "rdp"}}, "history"),
        ({"privacy_accountant_state_dict": {"history": [(-1.0, 0.1, 5)], "mechanism": "rdp"}}, "history"),
        ({"privacy_accountant_state_dict": {"history": [(1.0, 2.0, 5)], "mechanism": "rdp"}}, "history"),
        ({"privacy_accountant_state_dict": {"history": [("1", 0.1, 5)], "mechanism": "rdp"}}, "history"),
    ],
)
def test_files_that_are_no_checkpoints_of_a_training(held: Any, why: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "held.pt")
    with pytest.raises(UsageError, match=why):
        Claim.from_checkpoint(tmp_path / "held.pt", delta=1e-5)


def test_files_that_are_nothing_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such checkpoint"):
        Claim.from_checkpoint(tmp_path / "missing.pt", delta=1e-5)
    for content in (b"", b"not a checkpoint", b"\x80\x04K\x01."):
        (tmp_path / "odd.pt").write_bytes(content)
        with pytest.raises(UsageError, match=r"odd\.pt"):
            Claim.from_checkpoint(tmp_path / "odd.pt", delta=1e-5)
