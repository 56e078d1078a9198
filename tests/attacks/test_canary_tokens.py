"""Scores of token sequences against torch's own loss."""

import numpy as np
import pytest
import torch

import dpaudit as dpa
from dpaudit.attacks import RecordLogits, RecordLosses, TokenLosses
from dpaudit.attacks.canary_records import as_canary_attack

SEQUENCES, LENGTH, TOKENS = 6, 5, 9


class Language(torch.nn.Module):
    def __init__(self, outputs=TOKENS):
        super().__init__()
        torch.manual_seed(3)
        self.token, self.out = torch.nn.Embedding(TOKENS, 4), torch.nn.Linear(4, outputs)

    def forward(self, x):
        return self.out(self.token(x).cumsum(1))


def tokens(kind=torch.as_tensor):
    rng = np.random.default_rng(0)
    return tuple(kind(rng.integers(0, TOKENS, (SEQUENCES, LENGTH))) for _ in range(2))


def canaries_of(x, y):
    return dpa.CanarySet((x[:0], y[:0]), records=(x, y))


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_a_score_is_the_likelihood_of_all_tokens(kind):
    x, y = tokens(kind)
    told = TokenLosses().scores(dpa.Release(Language()), canaries_of(x, y))
    with torch.no_grad():
        logits = Language()(torch.as_tensor(x))
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), torch.as_tensor(y), reduction="none")
    np.testing.assert_allclose(told["token_loss"], -losses.sum(1).numpy(), rtol=1e-5)


def test_padding_does_not_count():
    x, y = tokens()
    padded = y.clone()
    padded[:, 3:] = -100
    whole, part = (
        TokenLosses().scores(dpa.Release(Language()), canaries_of(x, one))["token_loss"] for one in (y, padded)
    )
    losses = torch.nn.functional.cross_entropy(Language()(x).transpose(1, 2), padded, reduction="none")
    np.testing.assert_allclose(part, -losses.sum(1).detach().numpy(), rtol=1e-5)
    assert (part > whole).all()


def test_sequences_of_integers_are_scored_so_by_default():
    x, y = tokens()
    assert as_canary_attack(None, canaries_of(x, y)) == TokenLosses()
    assert as_canary_attack(None, canaries_of(x, y[:, 0])) == RecordLogits()
    assert as_canary_attack(None, canaries_of(x, y[:, :1])) == RecordLogits()
    assert as_canary_attack(None, canaries_of(x.float(), y.float())) == RecordLosses()


def test_a_model_that_diverged_is_no_error():
    model = Language()
    torch.nn.init.constant_(model.out.weight, torch.inf)
    assert np.isnan(TokenLosses().scores(dpa.Release(model), canaries_of(*tokens()))["token_loss"]).all()


def test_what_does_not_fit_is_told():
    x, y = tokens()
    for model, records, said in (
        (torch.nn.Flatten(), (x, y), "logits for every token"),
        (Language(outputs=2), (x, y), "no output"),
        (Language(), (x, y.float()), "integers"),
        (Language(), (x, y - 1), "no output"),
        (3.0, (x, y), "torch module"),
    ):
        with pytest.raises(dpa.UsageError, match=said):
            TokenLosses().scores(dpa.Release(model), canaries_of(*records))
