"""What is recorded of each step of a real Opacus training beside its release."""

from functools import partial

import pytest
import torch
from opacus_worlds import MODES, RATE, data, network, same, state, train

import canaries
from dpaudit.mechanisms import OpacusTranscript

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DIRAC = canaries.dirac(data(), network())


def view(train):
    return OpacusTranscript(train, DIRAC.context["directions"], noise_multiplier=1.0, sample_rate=RATE)


@pytest.mark.parametrize(
    "way",
    [*({"mode": mode} for mode in MODES), {"physical": 2}, {"mode": "ghost", "physical": 2}, {"closure": True}],
    ids=str,
)
def test_batch_sizes_and_states_are_recorded_and_kept_from_the_release(way):
    met = []

    def counting(given, seed):
        class Counted(torch.nn.Sequential):
            def forward(self, x):
                met.append(len(x))
                return super().forward(x)

        return train(given, seed, epochs=3, model=lambda: Counted(*network()), **way)

    mechanism = view(counting)
    one, other = (mechanism.record(DIRAC.world(coin), 3) for coin in (False, True))
    steps = one.release.value.steps
    assert one.batch_sizes.sum() == sum(met) / 2 > 0
    assert len(one.batch_sizes) == len(one.states) == steps
    assert (one.batch_sizes == other.batch_sizes).all()  # the canary is not counted
    assert same(one.states[0], state(network()))
    assert not same(one.states[0], one.states[-1])
    assert not hasattr(one.release.value, "batch_sizes")
    assert same(state(one.release.value.final), state(mechanism.run(DIRAC.excluded, 3).value.final))


def test_buffers_are_part_of_the_recorded_state():
    class Calls(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen += 1
            return x

    model = torch.nn.Sequential(Calls(), *network())
    made = view(partial(train, model=lambda: model)).record(DIRAC.excluded, 3)
    assert [float(one["0.seen"]) for one in made.states] == [1.0, 2.0, 3.0, 4.0]
