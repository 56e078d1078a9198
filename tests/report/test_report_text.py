"""The text report: verdict first, 110 columns, nothing rounded across a threshold, careful words."""

import itertools

import pytest

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.evidence import LowerBound, TestResult, Verdict
from dpaudit.report import Note, TrialCounts
from dpaudit.report.numerals import needed_wealth, p_value_text, percent_text, wealth_text

REPORTED = Claim(epsilon=3.9617, delta=1e-5, adjacency=Adjacency.REPLACE_ONE, source="reported by opacus (prv)")
CLAIMS = (
    Claim(epsilon=0.53, delta=1e-5),
    Claim.gaussian(mu=1.0),
    Claim.dp_sgd(noise_multiplier=2.0, sample_rate=1.0, steps=1),
    REPORTED,
)


def rows(report):
    """Key -> value, continuation lines joined."""
    found, key = {}, None
    for line in str(report).splitlines()[1:]:
        assert line.startswith("  ")
        head, value = line[2:14].strip(), line[14:].strip()
        if head and line[2] != " ":
            key = head
            found[key] = value
        elif key is not None:
            found[key] += " " + value
    return found


@pytest.mark.parametrize(("verdict", "claim"), itertools.product(Verdict, CLAIMS))
def test_every_verdict_and_claim(make_report, verdict, claim):
    report = make_report(verdict, claim=claim)
    lines = str(report).splitlines()
    assert lines[0].split()[0] == verdict.value
    assert str(claim) in lines[0]
    assert "each statement at 95 %" in lines[0]
    assert max(map(len, lines)) <= 110
    assert "private" not in str(report).lower()


def test_the_sample_of_the_manner(make_report):
    assert str(make_report(reason="clipping does nothing")) == (
        "REFUTED   claim (0.53, 1e-05)-DP, add-or-remove-one, stated: each statement at 95 % confidence\n"
        "  clipping does nothing\n"
        "  means       the mechanism leaks more than the stated eps 0.53 at delta 1e-05\n"
        "  caught by   weight_scale (battery of 3, betting over all, both signs); leaks at least eps 0.530 at"
        " delta\n              1e-05\n"
        "  evidence    wealth 20.7 of the 20 needed, crossed at trial 41, stopped there; guesses 14 right, 0"
        " wrong, 27\n              abstained\n"
        "  trials      41 of 1000: 20 included, 21 excluded; 0 failed, 0 lost\n"
        "  ceiling     perfect scores would have refuted this claim at trial 13; the bound could have reached"
        " eps 1.799\n"
        "  adversary   black box, final weights, start known; canary: extreme(scale=100)\n"
        "  assumes     fair coins, independent trials; nothing about the mechanism\n"
        "  engine      native (implementation)\n"
        "  reproduce   dpaudit run examples/spec.py --seed 7     (dpaudit 0.1.0, torch 2.13.0)"
    )


def test_who_made_the_claim_decides_the_words(make_report):
    means = [rows(make_report(claim=claim))["means"] for claim in CLAIMS]
    assert means[0] == "the mechanism leaks more than the stated eps 0.53 at delta 1e-05"
    assert means[1] == "what ran is not the Gaussian mechanism you configured"
    assert means[2] == "what ran is not the DP-SGD you configured"
    assert means[3].startswith("the promise was broken: eps 3.962 at delta 1e-05 was reported by opacus (prv)")


def test_not_refuted_is_not_a_certificate(make_report):
    found = rows(make_report(Verdict.NOT_REFUTED, power={"suspect": "noise 0.55", "probability": 0.9199}))
    assert found["means"].startswith("this audit failed to refute the claim")
    assert found["power"] == "would have refuted noise 0.55 with probability 0.91 in these trials"
    assert "do" not in found
    assert "caught by" not in found


def test_inconclusive_says_what_to_do(make_report):
    def do(**changes):
        return rows(make_report(Verdict.INCONCLUSIVE, **changes)).get("do")

    assert do(power={"perfect_trials": 160}).startswith("run more: perfect scores need 160 trials")
    assert do(power={"perfect_trials": None}).startswith("allow more trials (`dpaudit plan`")
    assert do(power={"perfect_trials": 13}) is None  # the trials sufficed: the reason says what went wrong
    assert do(power={"perfect_trials": 13}, remedy="use the seed") == "use the seed"
    assert do(power={}) is None


def test_ceiling_tells_never_from_not_yet(make_report):
    def ceiling(verdict, needed):
        return rows(make_report(verdict, power={"perfect_trials": needed}, lower_bound=None))["ceiling"]

    assert ceiling(Verdict.REFUTED, 13) == "perfect scores would have refuted this claim at trial 13"
    assert ceiling(Verdict.INCONCLUSIVE, 160) == "perfect scores would refute this claim at trial 160"
    assert ceiling(Verdict.INCONCLUSIVE, None) == "perfect scores would refute this claim at no trial up to 1000"


def test_clopper_pearson_evidence(make_report):
    details = {
        "tp": 49,
        "fp": 5,
        "judged_included": 50,
        "judged_excluded": 60,
        "threshold": 1.25,
        "kind": "clopper-pearson",
    }
    result = TestResult(refuted=True, confidence=0.95, method="cp", p_value=0.0310001, trials_used=110, details=details)
    expected = "p-value 0.032, 0.05 refutes; after 110 trials; TP 49/50, FP 5/60 at threshold 1.25"
    assert rows(make_report(test=result))["evidence"] == expected


@pytest.mark.parametrize(
    ("epsilon", "shown"),
    [(2.7949995528, "leaks at least eps 2.794 at"), (0.0, "no lower bound above eps 0"), (float("inf"), "eps inf")],
)
def test_bounds_go_down(make_report, epsilon, shown):
    lower = LowerBound(epsilon=epsilon, delta=1e-5, confidence=0.95, method="m", n_included=1, n_excluded=1)
    assert shown in rows(make_report(lower_bound=lower))["caught by"]


def test_a_wealth_just_short_never_prints_as_enough(make_report):
    result = TestResult(refuted=False, confidence=0.95, method="b", e_value=19.9999, trials_used=41)
    assert "wealth 19.9 of the 20 needed after 41" in rows(make_report(Verdict.NOT_REFUTED, test=result))["evidence"]


def test_after_stop_and_timings_do_not_show(make_report):
    one = make_report()
    counts = TrialCounts(requested=1000, completed=41, included=20, excluded=21, after_stop=9)
    assert str(one) == str(make_report(trials=counts, timings={"trials": 1e9}))


def test_the_command_is_never_broken(make_report):
    command = "dpaudit run " + "a-very/long-path/" * 9 + "spec.py --seed 7"
    text = str(make_report(reproduce=command))
    assert f"  reproduce   {command}\n" in text
    assert "  versions    dpaudit 0.1.0, torch 2.13.0" in text


def test_quoted_messages_cannot_break_the_layout(make_report):
    note = Note("warnings", "first\nREFUTED\x1b[31m red\r\n\ttabbed " + "long " * 60)
    text = str(make_report(Verdict.NOT_REFUTED, notes=(note,), reason="two\nlines"))
    assert "\x1b" not in text
    assert "  two lines\n" in text
    assert "  note        warnings: first REFUTED [31m red tabbed long" in text
    assert sum(line.startswith("REFUTED") for line in text.splitlines()) == 0
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (20.78, "20.7"),
        (19.999, "19.9"),
        (1.0, "1.0"),
        (0.99999, "0.999"),
        (0.0043219, "0.00432"),
        (12399.0, "12300"),
        (1.2399e30, "1.23e+30"),
        (2.2259e-308, "2.22e-308"),
        (0.0, "0"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_wealth_text(value, shown):
    assert wealth_text(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0421, "0.043"), (0.9999, "1"), (1e-300, "1.1e-300"), (0.0, "0"), (1.0, "1"), (0.25, "0.25")],
)
def test_p_value_text(value, shown):
    assert p_value_text(value) == shown
    assert float(p_value_text(value)) >= value


def test_confidence_text():
    assert percent_text(0.9999999999) == "99.99999999 %"
    assert (needed_wealth(0.95), needed_wealth(0.99), needed_wealth(0.9)) == (20.0, 100.0, 10.0)


def faulty():
    from dpaudit.checks import Finding, Findings

    moved = "one record moves the summed gradient by 1.6e+06"
    found = [
        Finding("seed", "ok", "the same seed repeats the release"),
        Finding("clipping", "fault", moved, "1.0", None, "clipping", "clip"),
        Finding("noise scale", "fault", "the noise is zero", "noise", None, "no noise is added", "add it"),
    ]
    return Findings.of(found)


def test_a_refuted_report_lists_what_preflight_found_the_likeliest_cause_first(make_report):
    text = str(make_report(preflight=faulty()))
    first, second = (line for line in text.splitlines() if line.startswith("  likely "))
    assert first.strip() == (
        "likely      preflight: one record moves the summed gradient by 1.6e+06, declared 1.0 (clipping)"
    )
    assert second.strip() == "likely      preflight: the noise is zero, declared noise (no noise is added)"
    assert text.index("  likely") < text.index("  reproduce")


@pytest.mark.parametrize("verdict", [Verdict.NOT_REFUTED, Verdict.INCONCLUSIVE])
def test_a_finding_without_a_refutation_is_said_and_called_unproved(make_report, verdict):
    text = " ".join(str(make_report(verdict, preflight=faulty())).split())
    assert "likely" not in text
    assert text.count("did not prove") == 2
    assert "preflight one record moves the summed gradient by 1.6e+06, declared 1.0 (clipping); a finding" in text
