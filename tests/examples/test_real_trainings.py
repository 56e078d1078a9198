"""Trainings as people have them: DDP, PyTorch Lightning, a transformer. A planted mistake in each, and its twin.

Seeds were fixed beforehand. Should other versions draw other numbers: an honest training passes a wealth of 1e6, or a
p-value of 1e-6, with probability 1e-6 at most.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.mechanisms import Function

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's and Opacus's own; in an audit they become notices


def example(name):
    """A module of its own; processes are sent what it defines."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def caught_and_not(audit_of, wrong, right, **settings):
    """The wrong one refuted, and the right one not in as many trials with the same coins and seeds."""
    settings = {"workers": 0, "preflight": False, "seed": 1} | settings
    caught = replace(audit_of(wrong), **settings).run()
    assert caught.verdict is dpa.Verdict.REFUTED, str(caught)
    assert caught.trials.failed == caught.trials.lost == 0
    honest = replace(audit_of(right), **settings, max_trials=caught.trials.completed).run()
    assert honest.test.e_value < 1e6, str(honest)
    assert honest.trials.failed == honest.trials.lost == 0
    return caught


def test_ddp_noise_divided_twice():
    ddp = example("opacus_ddp")
    caught = caught_and_not(ddp.audit_of, ddp.train_wrong, ddp.train_right)
    assert "averaged noised gradient" in str(caught)


def test_lightning_with_the_private_loader_dropped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lightning = example("opacus_lightning")
    caught_and_not(lightning.audit_of, lightning.train_wrong, lightning.train_right)
    assert list(tmp_path.iterdir()) == []  # no logs, no checkpoints


def test_the_battery_reads_a_lightning_module():
    """In the module are layers that Opacus hooked; its wrapper, where somebody releases that, is taken off."""
    from opacus import GradSampleModule

    lightning = example("opacus_lightning")
    neighbors = lightning.audit.neighbors
    release = Function(lightning.train_right).run(neighbors.included, 3)
    row = dpa.attacks.Battery().statistics(release, neighbors)
    assert {"canary_loss", "projection", "weight_norm"} & row.keys()
    assert all(np.isfinite(value) for value in row.values())
    assert release.initial.keys() == dict(release.value.named_parameters()).keys()
    assert release.facts["opacus.steps"] == lightning.EPOCHS * lightning.BATCHES
    fresh = lightning.Softmax()
    fresh.load_state_dict(release.value.state_dict())
    wrapped = dpa.Release(GradSampleModule(fresh), initial=release.initial)
    assert dpa.attacks.Battery().statistics(wrapped, neighbors) == row


def test_a_transformer_with_token_canaries_in_one_run():
    transformer = example("opacus_transformer")
    caught = transformer.audit(0.0, epochs=12)
    assert caught.verdict is dpa.Verdict.REFUTED, str(caught)
    assert caught.battery == ("token_loss",)
    honest = transformer.audit(transformer.NOISE, epochs=12)
    assert honest.test.p_value > 1e-6, str(honest)
