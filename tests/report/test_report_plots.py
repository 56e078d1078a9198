"""The numbers behind the figures, and that any scores can be drawn."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from dpaudit.evidence import TestResult, Verdict
from dpaudit.report.plots import drawings
from dpaudit.report.plots.axis import ScoreAxis
from dpaudit.report.plots.column import best_column
from dpaudit.report.plots.drawing import Drawing
from dpaudit.report.plots.roc import operating_points, roc_figure
from dpaudit.report.plots.scores import not_drawn
from dpaudit.scores import Scores

N = 200
RNG = np.random.default_rng(5)
MASK = np.arange(N) % 2 == 0
ODD = {
    "one value": np.full(N, 1e5),
    "zero": np.zeros(N),
    "huge constant": np.full(N, np.finfo(float).max),
    "two values": MASK.astype(float),
    "both ends of float64": np.where(MASK, 1.7e308, -1.7e308) * RNG.random(N),
    "equal but for rounding": 1e5 + 1e-11 * MASK,
    "subnormal": 5e-324 * np.arange(N),
    "eighteen decades": np.where(MASK, 10.0 ** RNG.uniform(0, 12, N), -(10.0 ** RNG.uniform(-6, 0, N))),
    "one outlier": np.where(np.arange(N) == 0, 1e9, RNG.normal(size=N)),
    "mostly tied": np.where(np.arange(N) < 180, 5.0, 5 + RNG.random(N)),
    "all NaN": np.full(N, np.nan),
    "infinite": np.where(MASK, np.inf, -np.inf),
    "mixed": np.where(MASK, RNG.normal(size=N), np.where(np.arange(N) % 3, np.nan, np.inf)),
}


def column_of(make_report, values, mask=MASK, lost=None, **changes):
    values = np.asarray(values, float)
    scores = Scores.from_table(values[:, None], np.asarray(mask, bool), ("loss",), lost=lost)
    return best_column(make_report(scores=scores, **changes))


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("kind", ODD)
def test_any_scores_can_be_drawn(make_report, tmp_path, kind):
    scores = Scores.from_table(ODD[kind][:, None], MASK, ("loss",))
    report = make_report(scores=scores, statistic="loss", rule={"thresholds": {"in from": 1.0, "never": np.inf}})
    for name in ("scores", "roc"):
        drawings[name](report, tmp_path / f"{name}.png")
        assert is_png(tmp_path / f"{name}.png")


@pytest.mark.parametrize("kind", [k for k in ODD if np.isfinite(ODD[k]).all()])
def test_the_axis_shows_every_finite_score_in_order(kind):
    values = np.sort(ODD[kind])
    axis = ScoreAxis.fitting(values)
    at = axis.positions(values)
    assert np.isfinite(at).all()
    assert (np.diff(at) >= 0).all()
    assert axis.low < at[0]
    assert at[-1] < axis.high
    assert np.histogram(at, axis.bins(20))[0].sum() == len(values)


def test_the_axis_is_logarithmic_only_where_it_helps():
    assert ScoreAxis.fitting(ODD["two values"]).linear
    assert ScoreAxis.fitting(1e5 + RNG.normal(size=N)).linear
    assert ScoreAxis.fitting(np.where(MASK, 3e6, 2) + RNG.normal(size=N)).linear
    axis = ScoreAxis.fitting(ODD["eighteen decades"])
    assert not axis.linear
    positions, labels = axis.ticks()
    assert "0" in labels
    assert "$10^{10}$" in labels or "$10^{9}$" in labels or "$10^{8}$" in labels
    assert ((axis.low <= positions) & (positions <= axis.high)).all()
    gaps = np.diff(np.sort(positions))
    assert gaps.min() > 0.05 * (axis.high - axis.low)


def test_operating_points_by_hand(make_report):
    #                       in   in   out  out  in (tie with out)
    column = column_of(make_report, [3.0, 2.0, 1.0, 0.0, 1.0], [1, 1, 0, 0, 1])
    fpr, tpr = operating_points(column)
    assert fpr.tolist() == [0, 0, 0, 0.5, 1]
    assert np.allclose(tpr, [0, 1 / 3, 2 / 3, 1, 1])


def test_reversed_statistics_are_read_upside_down(make_report):
    column = column_of(
        make_report, [0.0, 1.0, 2.0, 3.0], [1, 1, 0, 0], statistic="loss (reversed)", rule={"thresholds": {"t": 1.5}}
    )
    assert (column.name, column.sign, column.thresholds) == ("loss", -1, {"t": 1.5})
    fpr, tpr = operating_points(column)
    assert (fpr.tolist(), tpr.tolist()) == ([0, 0, 0, 0.5, 1], [0, 0.5, 1, 1, 1])


def test_nan_and_lost_trials_never_help_the_accusation(make_report):
    values = [np.nan, 5.0, np.nan, np.nan, 1.0, np.nan]
    lost = np.array([0, 0, 1, 0, 0, 1], bool)
    column = column_of(make_report, values, [1, 1, 1, 0, 0, 0], lost=lost, statistic="loss")
    fpr, tpr = operating_points(column)  # order: lost out, 5 in, 1 out, then NaN (and the lost in) of both worlds
    assert np.allclose(fpr, [0, 1 / 3, 1 / 3, 2 / 3, 1])
    assert np.allclose(tpr, [0, 0, 1 / 3, 1 / 3, 1])
    assert not_drawn(column) == "2 NaN (1 in, 1 out); 2 lost (1 in, 1 out)"


def test_the_statistic_of_the_rule_comes_first(make_report, make_scores):
    scores = make_scores(20)
    assert best_column(make_report(scores=scores)).name == "weight_scale"
    rule = {"statistic": "loss", "sign": -1}
    column = best_column(make_report(scores=scores, rule=rule))
    assert (column.name, column.sign) == ("loss", -1)
    assert best_column(make_report(scores=scores, statistic="gone", rule={"thresholds": {"t": 1.0}})).thresholds == {}
    assert best_column(make_report()) is None


def test_the_threshold_of_a_counting_method_is_drawn(make_report, make_scores):
    details = {"threshold": -0.75, "sign": -1, "tp": 9, "fp": 1}
    result = TestResult(refuted=True, confidence=0.95, method="cp", p_value=0.01, trials_used=20, details=details)
    column = best_column(make_report(scores=make_scores(20), test=result, statistic="loss (reversed)"))
    assert (column.name, column.sign, column.thresholds) == ("loss", -1, {"threshold": -0.75})


def test_nothing_to_draw_writes_nothing(make_report, tmp_path):
    one_world = Scores.from_table(np.zeros((3, 1)), np.ones(3, bool), ("loss",))
    drawings["roc"](make_report(scores=one_world), tmp_path / "roc.png")
    for name, draw in drawings.items():
        draw(make_report(), tmp_path / f"{name}.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wealths", "bounds"),
    [
        ([1.0], [0.0]),
        ([1e-200, 1e-250, 0.0], [np.nan, np.nan, np.nan]),
        ([2.0, 1e300, np.inf], [0.0, np.inf, 3.0]),
    ],
)
def test_any_history_can_be_drawn(make_report, tmp_path, wealths, bounds, make_history):
    with np.errstate(divide="ignore"):
        history = make_history(wealths, bounds)
    for verdict in Verdict:
        drawings["evidence"](make_report(verdict, history=history), tmp_path / "evidence.png")
        assert is_png(tmp_path / "evidence.png")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_report_gives_the_same_bytes(make_report, tmp_path, suffix, make_scores, make_history):
    report = make_report(scores=make_scores(60), history=make_history(range(1, 61)))
    other = replace(report)
    for name, draw in drawings.items():
        one, two, three = (tmp_path / f"{number}.{suffix}" for number in ("one", "two", "three"))
        draw(report, one)
        draw(report, two)
        draw(other, tmp_path / ("first.svg" if suffix == "png" else "first.png"))
        draw(other, three)
        assert one.read_bytes() == two.read_bytes() == three.read_bytes(), name


def test_a_figure_is_made_once_and_goes_with_its_report(make_report, make_scores, tmp_path):
    made = []
    draw = Drawing(lambda report: made.append(roc_figure(report)) or made[-1])
    report = make_report(scores=make_scores(60))
    for name in ("a.png", "a.svg", "b.png"):
        draw(report, tmp_path / name)
    assert len(made) == 1
    figure = weakref.ref(made.pop())
    del report
    gc.collect()
    assert figure() is None


def test_ticks_are_plain_numbers(make_report, make_scores):
    """Also where an axis has one decade, and its minor ticks must speak."""
    for trials, told in ((400, {"0.01", "0.1", "1"}), (8, {"0.2", "0.5", "1"})):
        figure = roc_figure(make_report(scores=make_scores(trials)))
        figure.draw_without_rendering()
        axis = figure.axes[0].xaxis
        assert told <= {label.get_text() for label in axis.get_ticklabels(which="both")}
