"""The start of an Opacus training is taken down without a change to the user's code."""

import copy
import functools
import subprocess
import sys

import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.mechanisms import Function, recording
from dpaudit.release import Release

pytestmark = pytest.mark.filterwarnings("ignore:.*[Ss]ecure RNG.*", "ignore:Full backward hook", "ignore:Optimal order")

ORIGINALS = {name: vars(PrivacyEngine)[name] for name in ("make_private", "make_private_with_epsilon")}


@pytest.fixture(autouse=True)
def classes_are_restored():
    yield
    for name, original in ORIGINALS.items():
        assert vars(PrivacyEngine)[name] is original


def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 3, generator=generator), torch.arange(16) % 2


def train(data, seed, mode="hooks", epsilon=None, model=None, engine=PrivacyEngine, starts=None):
    """A user's own loop, two steps of it."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 2)) if model is None else model
    if mode == "ghost":
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    if starts is not None:
        starts.append(copy.deepcopy(model.state_dict()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(TensorDataset(*data), batch_size=8)
    common = {"module": model, "optimizer": optimizer, "data_loader": loader, "max_grad_norm": 1.0}
    common |= {"criterion": nn.CrossEntropyLoss(), "grad_sample_mode": mode, "poisson_sampling": False}
    if epsilon is None:
        made = engine().make_private(noise_multiplier=1.0, **common)
    else:
        made = engine().make_private_with_epsilon(target_epsilon=epsilon, target_delta=1e-5, epochs=1, **common)
    wrapped, optimizer, loader = made[0], made[1], made[-1]
    criterion = made[2] if mode == "ghost" else nn.CrossEntropyLoss()
    for x, y in loader:
        optimizer.zero_grad()
        criterion(wrapped(x), y).backward()
        optimizer.step()
    return wrapped


def check(release, start):
    assert release.initial.keys() == start.keys()
    assert all(torch.equal(release.initial[k], start[k]) for k in start)
    assert not all(torch.equal(release.initial[k], v) for k, v in plain_state(release.value).items())


def plain_state(module):
    return getattr(module, "_module", module).state_dict()


@pytest.mark.parametrize("mode", ["hooks", "functorch", "ghost"])
@pytest.mark.parametrize("epsilon", [None, 8.0])
def test_the_start_is_the_state_before_make_private(mode, epsilon):
    starts = []
    engine = functools.partial(PrivacyEngine, accountant="rdp")  # finds its noise in no time
    release = Function(lambda d, seed: train(d, seed, mode, epsilon, engine=engine, starts=starts)).run(data(), 7)
    check(release, starts[0])
    assert not any(k.startswith("_module") for k in release.initial)


def test_the_unwrapped_module_and_copies_of_it_will_do():
    for change in (lambda model: model._module, copy.deepcopy, lambda model: Release(model)):
        starts = []
        release = Function(lambda d, seed, change=change, kept=starts: change(train(d, seed, starts=kept))).run(
            data(), 7
        )
        check(release, starts[0])


def test_of_several_models_the_released_one_counts():
    def two(d, seed):
        first = train(d, seed)
        train(d, seed + 1)
        return first

    def expected():
        starts = []
        train(data(), 7, starts=starts)
        return starts[0]

    check(Function(two).run(data(), 7), expected())


def test_a_model_made_private_twice_started_before_the_first_time():
    starts = []

    def twice(d, seed):
        model = nn.Sequential(nn.Linear(3, 2))
        train(d, seed, model=model, starts=starts)._module.to(torch.float32)
        for p in model.parameters():
            for name in ("grad_sample", "_forward_counter"):
                if hasattr(p, name):
                    delattr(p, name)
        copied = nn.Sequential(nn.Linear(3, 2))
        copied.load_state_dict(model.state_dict())
        with recording() as inner:  # nested recordings do not disturb each other
            train(d, seed, model=copied)
        assert len(inner.made) == 1
        return model

    check(Function(twice).run(data(), 7), starts[0])


def test_subclasses_with_their_own_make_private_are_noted():
    class Engine(PrivacyEngine):
        def make_private(self, **kwargs):
            kwargs["module"].requires_grad_(True)
            return super().make_private(**kwargs)

    own = vars(Engine)["make_private"]
    starts = []
    check(Function(lambda d, s: train(d, s, engine=Engine, starts=starts)).run(data(), 7), starts[0])
    assert vars(Engine)["make_private"] is own


def test_an_exception_leaves_nothing_behind():
    def breaks(d, seed):
        assert vars(PrivacyEngine)["make_private"] is not ORIGINALS["make_private"]
        train(d, seed)
        raise ValueError("out of labels")

    with pytest.raises(ValueError, match="out of labels"):
        Function(breaks).run(data(), 7)
    for name, original in ORIGINALS.items():
        assert vars(PrivacyEngine)[name] is original


def test_what_the_user_says_goes_first_and_other_releases_have_no_start():
    own = {"w": torch.zeros(1)}
    assert Function(lambda d, s: Release(train(d, s), initial=own)).run(data(), 7).initial is own
    assert Function(lambda d, s: float(train(d, s)._module[0].weight.detach().sum())).run(data(), 7).initial is None
    other = nn.Linear(5, 5)
    assert Function(lambda d, s: (train(d, s), other)[1]).run(data(), 7).initial is None


def test_the_recording_does_not_change_training():
    with_recording = plain_state(Function(train).run(data(), 3).value)
    without = plain_state(train(data(), 3))
    assert all(torch.equal(with_recording[k], without[k]) for k in without)


def digits(records):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(records, 3, generator=generator), torch.arange(records) % 2


def private(data, seed, mode="hooks", batch=50, epochs=2, engine=PrivacyEngine, **settings):
    """The loop of the documentation, Poisson sampling and all."""
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(TensorDataset(*data), batch_size=batch)
    made = engine().make_private(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        criterion=nn.CrossEntropyLoss(),
        grad_sample_mode=mode,
        **{"noise_multiplier": 1.25, "max_grad_norm": 2.0} | settings,
    )
    wrapped, optimizer, loader = made[0], made[1], made[-1]
    criterion = made[2] if mode == "ghost" else nn.CrossEntropyLoss()
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            criterion(wrapped(x), y).backward()
            optimizer.step()
    return wrapped


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_what_opacus_says_about_itself(mode):
    facts = Function(functools.partial(private, mode=mode)).run(digits(501), 3).facts
    assert facts == {
        "opacus.noise_multiplier": 1.25,
        "opacus.max_grad_norm": 2.0,
        "opacus.sample_rate": 1 / 11,
        "opacus.expected_batch_size": 45.0,  # int(501 / 11)
        "opacus.loss_reduction": "mean",
        "opacus.steps": 22,
        "opacus.accountant": "prv",
    }


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_facts_differ_between_worlds_where_opacus_goes_by_the_size_of_the_data(mode):
    def facts(records, batch):
        return Function(functools.partial(private, mode=mode, batch=batch, epochs=1)).run(digits(records), 3).facts

    assert facts(501, 50) == facts(502, 50)
    less, more = facts(400, 40), facts(401, 40)
    assert {name for name in less if less[name] != more[name]} == {
        "opacus.sample_rate",
        "opacus.expected_batch_size",
        "opacus.steps",
    }


def test_the_noise_that_opacus_computed_is_a_fact():
    facts = Function(lambda d, s: train(d, s, epsilon=8.0, engine=functools.partial(PrivacyEngine, accountant="rdp")))
    found = facts.run(data(), 7).facts
    assert 0.1 < found["opacus.noise_multiplier"] < 2.0
    assert (found["opacus.accountant"], found["opacus.steps"]) == ("rdp", 2)


def test_several_norms_count_as_their_total_and_a_subclass_has_the_last_word():
    class Quieter(PrivacyEngine):
        def make_private(self, **kwargs):
            made = super().make_private(**kwargs)
            made[1].noise_multiplier /= 5
            return made

    norms = {"clipping": "per_layer", "max_grad_norm": [3.0, 4.0]}
    found = Function(lambda d, s: private(d, s, engine=Quieter, **norms)).run(digits(100), 3).facts
    assert found["opacus.max_grad_norm"] == 5.0
    assert found["opacus.noise_multiplier"] == 0.25


def test_the_users_own_facts_go_first_and_numbers_have_facts_too():
    def release(d, seed):
        model = private(d, seed)
        return Release(float(model._module.bias[0].detach()), facts={"opacus.steps": "22, I think", "temperature": 1.5})

    found = Function(release).run(digits(501), 3).facts
    assert found["opacus.steps"] == "22, I think"
    assert (found["temperature"], found["opacus.noise_multiplier"]) == (1.5, 1.25)


def test_of_several_models_the_released_one_speaks():
    def two(d, seed):
        first = private(d, seed)
        private(d, seed, noise_multiplier=9.0)
        return first

    found = Function(two).run(digits(100), 3).facts
    assert (found["opacus.noise_multiplier"], found["opacus.models"]) == (1.25, 2)
    assert Function(lambda d, s: nn.Linear(1, 1)).run(digits(100), 3).facts == {}


def test_without_opacus_nothing_is_imported():
    program = (
        "import sys; from dpaudit.mechanisms import Function; Function(lambda d, s: 1.0).run(0, 0);"
        "import dpaudit.attacks as a; from dpaudit.release import Release; from dpaudit.neighbors import Neighbors;"
        "a.Battery().statistics(Release(1.0), Neighbors(0.0, 1.0));"
        "print([m for m in ('torch', 'opacus', 'dp_accounting', 'scipy.stats', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
