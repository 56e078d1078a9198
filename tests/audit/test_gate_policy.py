"""Policy files of ``dpaudit gate``: what they may say, and what is refused."""

from dataclasses import replace

import pytest

from dpaudit.adjacency import Adjacency
from dpaudit.gate import Policy, read_policy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "asks for nothing"),
        ("[alarm", "is not TOML"),
        (
            "[alarms]\nalpha = 0.1",
            "unknown table in policy.toml; allowed: claim, evidence, alarm, versions; got: [alarms]",
        ),
        ("alpha = 0.1", "unknown table"),
        ("alarm = 3", "allowed: a table, [alarm]"),
        ("[alarm]\nalfa = 0.1", "unknown key in [alarm] of policy.toml; allowed: alpha, audits, one_audit; got: alfa"),
        (
            "[alarm]\nalpha = 1.0",
            "alpha in [alarm] of policy.toml; allowed: a number in (0, 1); got: 1.0; try: alpha = 0.05",
        ),
        ("[alarm]\naudits = 1.5", "try: audits = 365"),
        ("[alarm]\naudits = true", "got: True"),
        ("[alarm]\none_audit = 1", "allowed: true, false"),
        ("[claim]\nepsilon = 1.0", "half a claim"),
        ("[claim]\nepsilon = nan\ndelta = 0.0", "a number above 0"),
        ('[claim]\nadjacency = "next"', "allowed: add-or-remove-one"),
        ("[evidence]\nminimum_power = 1", "[0, 1)"),
        ('[evidence]\nrequired_statistics = "norm"', "a list of names"),
        ("[evidence]\nmaximum_age_days = 0", "a number above 0"),
        ("[evidence]\nmaximum_epsilon_lower_bound = -1", "a number of at least 0"),
        ('[versions]\ntorch = "new"', "torch in policy.toml; allowed: versions, such as"),
        ("[versions]\ntorch = 2", "versions, such as"),
    ],
)
def test_policies_that_are_refused(tmp_path, refused, text, told):
    (tmp_path / "policy.toml").write_text(text)
    assert told in refused("gate", "nowhere", "--policy", "policy.toml")


def test_no_policy(refused):
    assert "there is no policy" in refused("gate", "nowhere", "--policy", "policy.toml")
    assert "--policy" in refused("gate", "nowhere")


def test_a_policy_file_says_what_the_policy_does(tmp_path):
    (tmp_path / "policy.toml").write_text(
        '[claim]\nepsilon = 3\ndelta = 1e-5\nadjacency = "replace-one"\n[evidence]\nmaximum_epsilon_lower_bound = 3.0\n'
        'minimum_power = 0.8\nrequired_statistics = ["norm"]\nmaximum_age_days = 14\n[versions]\ntorch = ">=2.6"\n'
        "[alarm]\nalpha = 0.01\naudits = 365\none_audit = true\n"
    )
    made = read_policy(tmp_path / "policy.toml")
    assert str(made.versions["torch"]) == ">=2.6"
    assert replace(made, versions={}) == Policy(
        epsilon=3.0,
        delta=1e-5,
        adjacency=Adjacency.REPLACE_ONE,
        maximum_epsilon_lower_bound=3.0,
        minimum_power=0.8,
        required_statistics=("norm",),
        maximum_age_days=14.0,
        alpha=0.01,
        audits=365,
        one_audit=True,
    )
