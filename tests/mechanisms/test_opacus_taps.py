"""What the tap reports of real Opacus steps, and that nothing of it stays behind."""

import opacus
import pytest
import torch
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleHooksFastGradientClipping
from opacus.optimizers import DPOptimizer
from opacus_worlds import BATCHES, EXPECTED, MODES, data, same, state, train

from dpaudit.mechanisms.opacus import Observer, tapping
from dpaudit.mechanisms.opacus._classes import family

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Diary(Observer):
    """All moments, with the sums that belong to them."""

    def __init__(self):
        self.moments, self.sums, self.handed, self.bounds = [], [], [], []

    def made(self, optimizer):
        self.moments.append("made")

    def before_clipping(self, optimizer):
        self.moments.append("clip")

    def summed(self, optimizer):
        self.moments.append("summed")
        self.sums.append(torch.cat([p.summed_grad.flatten() for p in optimizer.params]).clone())

    def noised(self, optimizer):
        self.moments.append("noised")
        self.bounds.append(float(optimizer.max_grad_norm))
        self.noise = torch.cat([p.grad.flatten() for p in optimizer.params]) - self.sums[-1]

    def stepping(self, optimizer):
        self.moments.append("step")
        self.handed.append(torch.cat([p.grad.flatten() for p in optimizer.params]).clone())


ONE_STEP = ["clip", "summed", "noised", "step"]
WAYS = [
    *({"mode": mode} for mode in MODES),
    *({"mode": mode, "optimizer": torch.optim.Adam} for mode in MODES),
    *({"mode": mode, "closure": True} for mode in ("hooks", "ghost", "per_layer")),
]


_CLASSES = family(DPOptimizer) | family(GradSampleHooksFastGradientClipping)  # others come and go with other tests


def patched():
    names = ("__init__", "clip_and_accumulate", "accumulate", "add_noise", "get_norm_sample")
    return {(cls, name): vars(cls)[name] for cls in _CLASSES for name in names if name in vars(cls)}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_moment_of_every_step_in_every_mode(way):
    diary = Diary()
    with tapping(diary):
        train(data(), 3, epochs=2, **way)
    steps = diary.moments.count("step")
    assert diary.moments == ["made", *ONE_STEP * steps]
    assert steps == 2 * BATCHES or way["mode"] == "adaptive"
    assert steps >= BATCHES


@pytest.mark.parametrize("mode", ["hooks", "ghost", "per_layer"])
def test_without_noise_the_gradient_handed_over_is_the_clipped_sum_divided(mode):
    diary = Diary()
    with tapping(diary):
        train(data(), 3, mode=mode, noise=0.0)
    for total, handed in zip(diary.sums, diary.handed, strict=True):
        torch.testing.assert_close(total / EXPECTED, handed)
    assert max(float(total.abs().max()) for total in diary.sums) > 0


def test_the_noise_that_is_seen_has_the_size_that_was_asked_for():
    diary, noise = Diary(), []
    with tapping(diary):
        for seed in range(40):
            train(data(), seed, noise=3.0)
            noise.append(diary.noise)
    # 40 trainings x 29 weights of standard deviation 3: the estimate is off by a sixth at 8 standard errors
    assert torch.stack(noise).std() == pytest.approx(3.0, rel=1 / 6)


@pytest.mark.parametrize("mode", ["hooks", "ghost", "per_layer"])
def test_physical_batches_are_clipped_and_logical_ones_stepped(mode):
    diary = Diary()
    with tapping(diary):
        train(data(), 3, mode=mode, epochs=2, physical=2)
    assert diary.moments.count("step") == diary.moments.count("summed") == diary.moments.count("noised") == 2 * BATCHES
    assert diary.moments.count("clip") > 2 * BATCHES


@pytest.mark.parametrize("way", [*({"mode": mode} for mode in MODES), {"optimizer": torch.optim.Adam}], ids=str)
def test_training_ends_bit_for_bit_where_it_ends_without_the_tap(way):
    with tapping(Diary()):
        watched = state(train(data(), 5, **way))
        assert patched() != _BEFORE
    assert same(watched, state(train(data(), 5, **way)))
    assert patched() == _BEFORE


_BEFORE = patched()


def test_everything_is_put_back_after_an_exception_and_no_hook_is_left():
    made = []

    class Broken(Diary):
        def noised(self, optimizer):
            raise ArithmeticError("the observer's own")

    with pytest.raises(ArithmeticError), tapping(Broken()):
        train(data(), 3, made=made)
    assert patched() == _BEFORE
    assert not made[0].original_optimizer._optimizer_step_pre_hooks
    diary = Diary()
    with tapping(diary):
        train(data(), 3)
    assert diary.moments == ["made", *ONE_STEP * BATCHES]


def test_nested_taps_and_two_optimizers_do_not_disturb_each_other():
    outer, inner = Diary(), Diary()
    with tapping(outer):
        train(data(), 3)
        with tapping(inner):
            train(data(), 4)
        train(data(), 5, mode="ghost")
    assert inner.moments == ["made", *ONE_STEP * BATCHES]
    assert outer.moments == 3 * inner.moments
    assert patched() == _BEFORE


def test_an_optimizer_made_before_the_tap_is_seen():
    model = opacus.GradSampleModule(torch.nn.Linear(2, 1))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = DPOptimizer(sgd, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=3)
    diary = Diary()
    with tapping(diary):
        model(torch.ones(3, 2)).mean().backward()
        optimizer.step()
    assert diary.moments == ONE_STEP


def test_a_closure_given_to_the_wrapped_optimizer_is_seen_with_the_gradient_it_leaves():
    """As Opacus 1.0.1 did: the noise is added, and the closure then overwrites it."""
    model = opacus.GradSampleModule(torch.nn.Linear(2, 1))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = DPOptimizer(sgd, noise_multiplier=1e6, max_grad_norm=1.0, expected_batch_size=3)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(3, 2)).mean()
        loss.backward()
        return loss

    for given in ({"closure": closure}, (closure,)):
        diary = Diary()
        with tapping(diary):
            closure()
            optimizer.pre_step()
            sgd.step(**given) if isinstance(given, dict) else sgd.step(*given)
        assert diary.moments == ONE_STEP
        assert float(diary.handed[-1].abs().max()) <= 1


def test_a_class_that_calls_its_parents_is_reported_once():
    class Own(DPOptimizer):
        def clip_and_accumulate(self):
            super().clip_and_accumulate()

        def add_noise(self):
            super().add_noise()

    model = opacus.GradSampleModule(torch.nn.Linear(2, 1))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    diary = Diary()
    with tapping(diary):
        optimizer = Own(sgd, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=3)
        model(torch.ones(3, 2)).mean().backward()
        optimizer.step()
    assert diary.moments == ["made", *ONE_STEP]
