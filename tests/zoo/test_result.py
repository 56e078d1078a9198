"""Counts, medians and tables of a zoo run, on made-up runs."""

from dataclasses import replace

import pytest

from dpaudit.evidence import Verdict
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, View, fault_named
from dpaudit.zoo import CaseRuns, FaultRuns, Zoo
from dpaudit.zoo.result import ControlRuns, Run
from dpaudit.zoo.running import with_program
from dpaudit.zoo.table import markdown, text


def runs(case, trials, missed=0):
    made = [Run(seed, Verdict.REFUTED, count, "projection") for seed, count in enumerate(trials)]
    made += [Run(99 + seed, Verdict.NOT_REFUTED, 150, None) for seed in range(missed)]
    return CaseRuns(case, tuple(made), 1.0)


@pytest.fixture(scope="module")
def fault():
    return fault_named("no_noise")


def test_a_visible_fault_needs_nine_of_ten_seeds_and_fewer_than_a_hundred_trials(fault):
    final, _ = fault.cases
    assert runs(final, [20] * 10).as_expected
    assert runs(final, [20] * 9, missed=1).as_expected
    assert not runs(final, [20] * 8, missed=2).as_expected
    assert not runs(final, [120] * 10).as_expected
    assert runs(replace(final, visible=False), [], missed=3).as_expected
    assert runs(final, [10, 20, 40]).median_trials == 20
    assert runs(final, [10], missed=2).median_trials is None
    assert runs(final, [10], missed=2).statistic == "projection"
    assert runs(final, [], missed=2).statistic is None


def test_a_control_is_judged_as_a_test_that_errs_once_in_twenty():
    case = fault_named("exact").cases[0]
    assert ControlRuns(case, 0, 200, 60, 1.0).p_value == 1.0
    assert ControlRuns(case, 20, 200, 60, 1.0).as_expected
    assert not ControlRuns(case, 60, 200, 60, 1.0).as_expected


def test_the_table_hides_no_row(fault):
    final, seen = fault.cases
    leaf = fault_named("reused_prng_key_per_step")
    control = fault_named("exact")
    found = Zoo(
        (
            FaultRuns(fault, (runs(final, [20] * 9, missed=1), runs(seen, [14] * 10)), 6.8, ("noise scale",)),
            FaultRuns(leaf, (runs(leaf.cases[0], [], missed=2), runs(leaf.cases[1], [14] * 2)), 6.8, ()),
        ),
        (FaultRuns(control, (ControlRuns(control.cases[0], 1, 200, 60, 1.0),), None, ()),),
        {"seeds": 10},
    )
    lines = markdown(found).splitlines()
    assert lines[0].split("|")[1:-1] == [
        f" {head} "
        for head in (
            "fault",
            "what differs",
            "severity",
            "claimed eps",
            "ideal trials",
            "final weights",
            "transcript",
            "caught by",
            "preflight",
        )
    ]
    assert "| 3.54 | 7 | 20 (9/10) | 14 | `projection` | noise scale |" in lines[2]
    assert "| 3.54 | 7 | invisible | 14 | `projection` | - |" in lines[3]
    assert "| `exact` | final weights | 1 | 200 |" in lines
    assert "all as expected" in text(found)
    bad = Zoo((FaultRuns(fault, (runs(final, [], missed=2),), 6.8),), ())
    assert not bad.as_expected
    assert "not as expected: no_noise" in text(bad)
    assert "preflight only" in markdown(Zoo((replace(bad.faults[0], preflight=("noise scale",)),), (), {}))


def test_an_accusation_by_preflight_is_not_expected_of_a_control():
    control = fault_named("exact")
    fine = ControlRuns(control.cases[0], 0, 200, 60, 1.0)
    assert FaultRuns(control, (fine,), None, ()).as_expected
    assert not FaultRuns(control, (fine,), None, ("clipping",)).as_expected
    assert FaultRuns(control, (fine,), None, (), ()).as_expected
    assert not FaultRuns(control, (fine,), None, (), ("clipping",)).as_expected


def test_a_program_has_a_column_and_a_preflight_of_its_own():
    with_it = with_program(fault_named("no_noise"))
    assert [case.view for case in with_it.cases] == [View.FINAL, View.TRANSCRIPT, View.PROGRAM]
    cases = tuple(runs(case, [count] * 10) for case, count in zip(with_it.cases, (20, 14, 31), strict=True))
    each = FaultRuns(with_it, cases, 6.8, ("noise scale",), ("accounting",))
    head, _, row, *_ = markdown(Zoo((each,), (), {"seeds": 10})).splitlines()
    assert "| transcript | Opacus program |" in head
    assert "| 20 | 14 | 31 | `projection` | noise scale; program: accounting |" in row
    assert "preflight: noise scale; of the program: accounting" in text(Zoo((each,), ()))
    assert each.to_dict()["program_preflight"] == ["accounting"]
    alike = replace(each, program_preflight=("noise scale",))
    assert "program:" not in markdown(Zoo((alike,), ())).splitlines()[2]
    without = fault_named("known_seed")
    assert with_program(without) is without


def test_names_are_told_apart():
    assert not set(FAULTS) & set(CONTROLS)
