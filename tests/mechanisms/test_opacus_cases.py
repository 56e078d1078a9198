"""What real Opacus 1.6.0 does where its users go wrong, and where they do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opacus.utils.batch_memory_manager import BatchMemoryManager
from scipy.stats import binomtest

import dpaudit as dpa
from dpaudit._spec import load_spec
from dpaudit.attacks.low_bits import LowBits
from dpaudit.defaults import as_attack
from dpaudit.mechanisms.faults import fault_named
from dpaudit.mechanisms.faults.programs import program_named
from dpaudit.mechanisms.faults.programs.training import Training, quietly, step
from dpaudit.mechanisms.faults.randomness import LowBits as LowBitsFault
from dpaudit.mechanisms.faults.setting import SETTING
from dpaudit.mechanisms.opacus import Observer, tapping
from dpaudit.methods import Betting
from dpaudit.methods.betting import race
from dpaudit.trials import Game, Schedule, Status

EXAMPLES = Path(__file__).parents[2] / "examples"
PHYSICAL = 3


class Times(Observer):
    """How often one record is in each noised sum: its clipped gradient alone is in a feature that is 0 elsewhere."""

    def __init__(self, clip):
        self.clip, self.found = clip, []

    def summed(self, optimizer):
        weights = optimizer.params[0].summed_grad
        self.found.append(round(float(weights[:, 0].norm()) / self.clip, 1))


def times(seed, leave, rounds=6):
    """The counts of all noised sums of a training that leaves its loader early, `rounds` times; then a whole epoch.

    `leave` says where: ``leave(number of the physical batch, stepped)`` is asked before and after each step.
    """
    x, y = SETTING.data()
    record, label = SETTING.record()
    x, y = np.insert(x, 2, record, axis=0), np.insert(y, 2, label)  # in a first part, or in a later one
    seen = Times(SETTING.clip)
    with quietly(), tapping(seen):
        made = Training(SETTING, noise_multiplier=0.0, descent=still).made_private((x, y), seed)
        for left in range(rounds + 1):
            with BatchMemoryManager(
                data_loader=made.loader, max_physical_batch_size=PHYSICAL, optimizer=made.optimizer
            ) as physical:
                for number, (batch, labels) in enumerate(physical):
                    if left < rounds and leave(number, False, made.optimizer):
                        break
                    step(made, batch, labels)
                    if left < rounds and leave(number, True, made.optimizer):
                        break
    assert made.accounted == len(seen.found)  # what is noised is counted, once
    return seen.found


def still(parameters):
    """Weights stay where they are, and gradients with them."""
    return torch.optim.SGD(parameters, lr=0.0)


def after_two(number, stepped, optimizer):
    return stepped and number == 1


def before_two(number, stepped, optimizer):
    return not stepped and number == 1


def at_the_end(number, stepped, optimizer):
    return stepped and number >= 1 and not optimizer._is_last_step_skipped


def test_a_memory_manager_left_after_a_part_keeps_its_sum():
    """Each round draws its record into one sum that nothing ends: a count of C-bounded records of the same person."""
    found = [count for seed in range(8) for count in times(seed, after_two)]
    assert max(found) > 2.5  # three times in one accounted step; all counts are whole
    assert set(found) <= {float(count) for count in range(8)}


def test_a_memory_manager_left_before_a_step_shifts_what_its_flags_belong_to():
    """A signal that no step has taken is taken by the next batch's: parts of two logical batches are one step."""
    found = [count for seed in range(8) for count in times(seed, before_two)]
    assert max(found) > 1.5


def test_a_memory_manager_left_at_the_end_of_a_logical_batch_adds_each_record_once():
    found = [count for seed in range(8) for count in times(seed, at_the_end)]
    assert set(found) == {0.0, 1.0}


@pytest.fixture
def example(monkeypatch):
    """Loads the audit of an example by its name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return lambda name: load_spec(EXAMPLES / f"{name}.py").audit


@pytest.mark.parametrize("name", ["opacus_broken_memory_manager", "opacus_known_seed"])
def test_an_audit_shows_it(name, example):
    report = replace(example(name), workers=0, preflight=False).run()
    assert report.verdict is dpa.Verdict.REFUTED, str(report)
    assert report.trials.failed == report.trials.lost == 0


def refuted(mechanism, attack, neighbors, claim, audits, trials):
    """Of so many audits, by the bets of `Betting` over all statistics of the attack."""
    played = [Schedule(0).trial(index) for index in range(audits * trials)]
    game = Game(mechanism, neighbors, attack)
    outcomes = game.play_all(played)
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    values = np.array([[*outcome.statistics.values()] for outcome in outcomes])
    coins = np.array([trial.included for trial in played])
    found = race(Betting(), claim, 0.95, values.reshape(audits, trials, -1), coins.reshape(audits, trials))
    return int((found.refuted_at > 0).sum())


def innocent(refuted, audits):
    """A test that refutes 5 % of true claims does worse than this with probability 1e-6."""
    return binomtest(refuted, audits, 0.05, alternative="greater").pvalue > 1e-6


@pytest.mark.parametrize("name", ["opacus_broken_memory_manager_mended", "opacus_known_seed_secret"])
def test_their_twins_are_not_refuted(name, example):
    audit = example(name)
    mechanism = dpa.mechanisms.Function(audit.train)
    attack = as_attack(audit.attack)
    assert innocent(refuted(mechanism, attack, audit.neighbors, audit.claim, 12, 40), 12)


@pytest.mark.parametrize("name", ["exact", "low_bits"])
def test_the_low_bits_of_honest_opacus_accuse_nobody(name):
    """In a world of powers of two, where no rounding covers a bit, as well."""
    fault = fault_named(name)
    case = fault.cases[0]
    setting = SETTING if name == "exact" else LowBitsFault().setting
    many = refuted(dpa.mechanisms.Function(Training(setting)), LowBits(), case.neighbors, fault.claim, 20, 40)
    assert innocent(many, 20)


def test_the_low_bits_of_coarse_noise_do():
    """The same statistic, audits and training, with noise on a grid: so that the test above could fail."""
    program = program_named("low_bits")
    assert refuted(program.mechanism, LowBits(), program.neighbors, program.claim, 3, 60) == 3
