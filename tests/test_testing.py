"""The public test kit: it lets the methods here pass, and condemns rules and parts that are known to be wrong."""

import runpy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import binomtest

from dpaudit.attacks import Battery
from dpaudit.claim import Claim
from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.intervals import lower_limit, upper_limit
from dpaudit.mechanisms import known
from dpaudit.methods import Betting, ClopperPearson, Family, Fixed, FixedK, HoldOut, OneRun, OneRunFDP
from dpaudit.methods.clopper_pearson import CountingMonitor
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.scores import Game, Scores
from dpaudit.testing import (
    WORLDS,
    Noise,
    ValidityRow,
    check_attack,
    check_mechanism,
    check_method,
    excess_p_value,
    play,
    refutations_of,
    validity_rows,
)

EPSILONS = np.linspace(0, 8, 41)


@dataclass(frozen=True)
class BestThreshold:
    """Wrong: takes the best threshold on the very scores it judges, each as if it were the only one."""

    anytime: bool = False
    name: ClassVar[str] = "best threshold"

    def _limits(self, scores: Scores, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        scores.require_game(Game.MANY_RUNS, self.name)
        if not (scores.n_included and scores.n_excluded):
            raise UsageError("one world is empty")
        in_order = scores.included_mask[np.argsort(-scores.values[:, 0], kind="stable")]
        tp, fp = np.cumsum(in_order), np.cumsum(~in_order)
        return lower_limit(tp, tp[-1], alpha / 2), upper_limit(fp, fp[-1], alpha / 2)

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        if not 0 < confidence < 1:
            raise UsageError("confidence", got=confidence)
        low, high = self._limits(scores, 1 - confidence)
        odds, d_in, d_out = np.exp(EPSILONS), claim.profile.in_over_out(EPSILONS), claim.profile.out_over_in(EPSILONS)
        beyond = (low[:, None] > odds * high[:, None] + d_in) | (1 - high[:, None] > odds * (1 - low[:, None]) + d_out)
        return TestResult(refuted=bool(beyond.any()), confidence=confidence, method=self.name, trials_used=len(scores))

    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> LowerBound:
        refuted = [e for e in EPSILONS if self.test(scores, Claim(epsilon=e, delta=delta), confidence).refuted]
        return LowerBound(
            epsilon=max(refuted, default=0.0), delta=delta, confidence=confidence, method=self.name,
            n_included=scores.n_included, n_excluded=scores.n_excluded,
        )  # fmt: skip

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> CountingMonitor:
        return CountingMonitor()

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True)
class Accuser(BestThreshold):
    """Wrong, and everywhere."""

    name: ClassVar[str] = "Accuser"

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        return replace(super().test(scores, claim, confidence), refuted=True)


@pytest.mark.parametrize("rule", [None, HoldOut(0.5), Fixed(0.75)])
def test_clopper_pearson_passes(rule) -> None:
    report = check_method(ClopperPearson(rule) if rule else ClopperPearson(), audits=100)
    assert report.passed, str(report)
    assert report.require() is report
    assert len(report.rows) == len({row.name for row in report.rows}) == 51
    assert "passed" in str(report)


@pytest.mark.parametrize("method", [OneRun(), OneRunFDP(k=FixedK(8, 8))])
def test_one_run_passes(method) -> None:
    report = check_method(method, audits=100, trials=(50, 100), game=Game.ONE_RUN)
    assert report.passed, str(report)
    assert {"all coins told at once", "all of them together", *WORLDS} == {row.world for row in report.rows}


def test_betting_passes() -> None:
    report = check_method(Betting(), audits=40, trials=(50,))
    assert report.passed, str(report)


def test_a_wrong_method_fails_and_the_row_is_reproducible() -> None:
    """Too often by a little only: 7 %, which the mechanisms show together."""
    assert check_method(BestThreshold(), audits=20, trials=(30,)).passed
    report = check_method(BestThreshold(), trials=(1000,), only="as they are, 1000 trials")
    assert not report.passed
    assert "FAILED" in str(report)
    with pytest.raises(AuditError, match="best threshold is not valid") as raised:
        report.require()
    worst, told = report.worst, str(raised.value)
    assert worst is not None
    assert worst.name == "all of them together, as they are, 1000 trials"
    assert worst.name in told
    assert "reproduce: check_method(BestThreshold(anytime=False), audits=1000, trials=(1000,)" in told


def test_a_failing_row_is_reproduced_by_the_call_it_prints() -> None:
    report = check_method(Accuser(), audits=30, trials=(20, 40))
    with pytest.raises(AuditError, match="Accuser is not valid: refuted 180 of 180") as raised:
        report.require()
    again = eval(str(raised.value).split("reproduce: ")[1], {**globals()})
    assert again.worst == report.worst
    assert set(again.rows) < set(report.rows)
    row = next(row for row in report.rows if row.dressing == "nine statistics")
    assert check_method(Accuser(), audits=30, trials=(20, 40), only=row.again).rows == (row,)


def test_a_fixed_size_test_that_calls_itself_anytime_fails() -> None:
    """The rates are exact at any one number of trials, and too many at twenty looks."""

    @dataclass(frozen=True)
    class OneSided(BestThreshold):
        def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
            right = int(((scores.values[:, 0] > 0) == scores.included_mask).sum())
            p = float(excess_p_value(right, len(scores), 0.5))
            return TestResult(
                refuted=p <= 1 - confidence, confidence=confidence, method="", p_value=p, trials_used=len(scores)
            )

    values, coins = play(Noise(), 1000, 300, seed=1)
    claim, nominal = Claim(epsilon=0.0), {}
    for anytime in (False, True):
        count = int(refutations_of(OneSided(anytime=anytime))(claim, 0.95, values, coins).sum())
        nominal[anytime] = binomtest(count, 300, 0.05, alternative="greater").pvalue
    assert nominal[False] > 1e-6 > nominal[True]


def test_a_row_does_not_depend_on_the_others() -> None:
    play_rows = refutations_of(ClopperPearson(Fixed(0.0)))
    every = validity_rows(play_rows, audits=50, trials=(20, 60), confidence=0.6)
    assert sum(row.refuted for row in every) > 0
    (alone,) = validity_rows(play_rows, audits=50, trials=(60,), confidence=0.6, only="laplace, as they are, 60")
    assert alone in every


def test_the_short_cuts_are_the_test() -> None:
    rng = np.random.default_rng(4)
    coins = rng.random((12, 60)) < 0.5
    values = rng.standard_normal(coins.shape) + np.linspace(0, 6, 12)[:, None] * coins
    claim = Claim.gaussian(mu=0.3)
    for method, game in ((Betting(), Game.MANY_RUNS), (ClopperPearson(), Game.MANY_RUNS), (OneRun(), Game.ONE_RUN)):
        plain = [
            method.test(Scores(scores=row, included_mask=mask, game=game), claim, 0.95).refuted
            for row, mask in zip(values, coins, strict=True)
        ]
        assert refutations_of(method, game)(claim, 0.95, values, coins).tolist() == plain
        assert len(set(plain)) == 2


def test_the_judge() -> None:
    for refuted, audits in ((0, 10), (1, 10), (27, 200), (60, 500), (10, 10)):
        expected = binomtest(refuted, audits, 0.05, alternative="greater").pvalue
        assert float(excess_p_value(refuted, audits, 0.05)) == pytest.approx(expected, rel=1e-9)
    row = ValidityRow("noise", "rounded", 200, 500, 70, 0.05)
    assert (row.rate, row.passed, row.name) == (0.14, False, "noise, rounded, 200 trials")
    assert replace(row, refuted=40).passed


@dataclass(frozen=True)
class Crashes(ClopperPearson):
    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        return super().test(replace_game(scores), claim, confidence)


@dataclass(frozen=True)
class AnyGame(ClopperPearson):
    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        return super().test(Scores.from_table(scores.values, scores.included_mask, scores.names), claim, confidence)


@dataclass(frozen=True)
class Boastful(ClopperPearson):
    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> LowerBound:
        found = super().lower_bound(scores, delta=delta, confidence=confidence)
        return replace(found, epsilon=found.epsilon + 1)


@dataclass(frozen=True)
class Hasty(ClopperPearson):
    def monitor(self, claim: Claim, confidence: float, statistics: int) -> Any:
        return StopsAtOnce()


@dataclass
class StopsAtOnce(CountingMonitor):
    stopped: ClassVar[bool] = True


@dataclass(frozen=True)
class Forgetful(ClopperPearson):
    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "rule": str(object())}


def replace_game(scores: Scores) -> Scores:
    raise ZeroDivisionError("no variance")


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (object(), "it has no method test"),
        (Crashes(), "raised ZeroDivisionError: no variance"),
        (AnyGame(), "test takes one-run scores"),
        (Boastful(), "is not refuted"),
        (Hasty(), "stops early"),
        (Forgetful(), "fingerprint"),
    ],
)
def test_bad_manners_are_named(method, problem: str) -> None:
    report = check_method(method)
    assert not report.passed
    assert not report.rows
    assert any(problem in found for found in report.problems), report.problems
    with pytest.raises(AuditError, match="is not a Method"):
        report.require()


def test_a_bound_with_an_assumption_is_no_bound_for_every_mechanism() -> None:
    """The Gaussian family claims more than the test refutes, and it says so in its name."""
    report = check_method(OneRunFDP(family=Family.GAUSSIAN), game=Game.ONE_RUN)
    assert any("lower bound" in problem for problem in report.problems)


def test_arguments() -> None:
    with pytest.raises(UsageError, match="audits of a validity suite"):
        check_method(ClopperPearson(), audits=5)
    with pytest.raises(UsageError, match="trials of a validity suite"):
        check_method(ClopperPearson(), trials=())
    with pytest.raises(UsageError, match="no such row"):
        check_method(ClopperPearson(), only="cosmic rays")


class Unseeded:
    name, engine = "unseeded", "known"

    def run(self, data: float, seed: int) -> Release:
        return Release(data + float(np.random.default_rng().standard_normal()))


@dataclass(frozen=True)
class Constant:
    name: ClassVar[str] = "constant"
    engine: ClassVar[str] = "known"

    def run(self, data: np.ndarray, seed: int) -> Release:
        data += 1
        return Release(0.0)


def test_mechanisms() -> None:
    bit = known.zero_or_one()
    for good in (known.Laplace(1.0), known.RandomizedResponse(1.0), known.GaussianMechanism(2.0)):
        assert check_mechanism(good, bit).require().passed
    found = check_mechanism(Unseeded(), bit)
    assert "memory address" in str(found)
    assert "run(D1) is not reproducible: seed 1 gave two releases" in found.problems
    rows = Neighbors(excluded=np.zeros(3), included=np.zeros(4))
    text = str(check_mechanism(Constant(), rows))
    assert "ignores its seed" in text
    assert "changed the data sets" in text
    with pytest.raises(AuditError, match="no method run"):
        check_mechanism(object(), bit).require()  # type: ignore[arg-type]


@dataclass
class BadAttack:
    name: str = "bad"
    readings: list[float] = field(default_factory=list)

    def statistics(self, release: Release, neighbors: Neighbors) -> dict[str, float]:
        self.readings.append(1.0)
        release.value[0] = 7.0
        return {"count": float(len(self.readings))} | ({"nan": 1.0} if np.isnan(release.value).any() else {})


def test_attacks() -> None:
    bit = known.zero_or_one()
    assert check_attack(Battery(), Release(0.7), bit).passed
    assert check_attack(Battery(), Release(np.arange(3.0)), bit).passed
    problems = check_attack(BadAttack(), Release(np.zeros(3)), bit).problems
    assert [p.split()[0] for p in problems] == ["statistics", "it", "a"]
    assert check_attack(object(), Release(0.0), bit).problems[-1] == "it has no method statistics"  # type: ignore[arg-type]


def test_an_attack_on_a_model_and_on_one_that_turned_nan() -> None:
    import torch

    torch.manual_seed(0)
    x, y = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.arange(6) % 2
    worlds = Neighbors(excluded=(x[:5], y[:5]), included=(x, y), canary=(x[5], int(y[5])))
    model = torch.nn.Linear(4, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert check_attack(Battery(), Release(model, initial=before), worlds).require().passed
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_table_of_the_readme() -> None:
    """The script's own rules, small; the whole table takes a minute."""
    script = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "validity_table.py"))
    row = script["measure"]("clopper-pearson, fixed", 100)
    assert row["lower_limit"] <= row["rate"] <= 0.1
    assert 60 < row["trials"] < 130  # STATISTICS section 3: 38 per world with the best threshold known
    assert script["measure"]("*Katz ratio interval there*", 100)["rate"] > 0.2
    assert set(script["RULES"]) > {"*best threshold, unpaid*", "*every look*", "clopper-pearson, rank-grid"}
