"""Preflight of real Opacus programs: right ones in every mode are accused of nothing, faulty ones of their fault."""

import pytest

import dpaudit as dpa

HONEST = {
    "hooks": {},
    "ghost": {"mode": "ghost"},
    "per layer": {"clipping": "per_layer"},
    "physical batches": {"physical": 7},
    "ghost, physical batches": {"mode": "ghost", "physical": 7},
    "closure": {"closure": True},
    "Adam": {"optimizer": "Adam"},
    "more noise than claimed": {"noise": 5.0},
    "adaptive": {"adaptive": True},
}


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_said_of_a_right_program(program, worlds, claim, name):
    """All tests of noise together are wrong with probability 1e-6 at most; the rest is deterministic."""
    found = dpa.preflight(program(**HONEST[name]), worlds(), claim)
    assert found.faults == (), str(found)
    done = {finding.check for finding in found if finding.severity in ("ok", "warning")}
    assert {"clipping", "noise scale", "noise reuse", "after the noise", "sampler", "accounting", "seed"} <= done


def cross_record_layer():
    import torch

    class Centred(torch.nn.Module):
        """tanh of what is left after the batch's mean is taken away."""

        def forward(self, x):
            return torch.tanh(x - x.mean(0, keepdim=True)) if len(x) else torch.tanh(x)

    return Centred


def row_loss():
    import torch

    class Rows(torch.nn.Module):
        """Cross-entropy of shape (B, 1), as from a criterion of a regression with one output."""

        reduction = "mean"

        def forward(self, output, target):
            loss = torch.nn.functional.cross_entropy(output, target, reduction="none")[:, None]
            return loss.mean() if self.reduction == "mean" else loss

    return Rows


FAULTY = {
    "no noise": ({"noise": 0.0}, {"noise scale", "accounting"}),
    "less noise": ({"noise": 0.5}, {"accounting"}),
    "ghost clipping of a loss (B, 1)": ({"mode": "ghost", "loss": row_loss()}, {"clipping"}),
    "shuffled batches": ({"poisson": False}, {"sampler"}),
    "seed in the code": ({"reseed": 3}, {"noise reuse", "seed"}),
    "batches centred": ({"module": cross_record_layer()}, {"records apart"}),
    "data standardised": ({"before": lambda x: x / x.std()}, {"records apart"}),
    "empty batches skipped": ({"skip_empty": True}, {"empty batches"}),
}


@pytest.mark.parametrize("name", FAULTY)
def test_each_fault_of_a_program_is_named(program, worlds, claim, name):
    settings, checks = FAULTY[name]
    found = dpa.preflight(program(**settings), worlds(), claim)
    named = {finding.check for finding in found.faults}
    assert checks & named, str(found)
    assert found.faults[0].cause


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_a_gradient_canary_is_no_fault(program, claim, worlds, mode):
    """It may join a batch of no records; then the sum is as long as C."""
    import torch

    from dpaudit.mechanisms.opacus import OpacusTranscript
    from dpaudit.neighbors import WithGradient

    data, gradient = worlds().excluded, torch.zeros(6 * 5 + 5 + 5 * 2 + 2)
    gradient[0] = 50.0
    mechanism = OpacusTranscript(program(mode), gradient[None] / 50, sample_rate=0.2, noise_multiplier=1.5)
    found = dpa.preflight(mechanism, dpa.Neighbors(data, WithGradient(data, gradient), name="dirac"), claim)
    assert found.faults == (), str(found)
    done = {finding.check for finding in found if finding.severity in ("ok", "warning")}
    assert {"clipping", "noise scale", "after the noise"} <= done
