"""What a membership report says: numbers counted by hand or naively, and nothing that it must not say."""

import csv
import io
import json
import re

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.evaluation import Evaluation
from dpaudit.membership.signals import Signals
from dpaudit.report.membership import HEADLINE, MembershipReport, measure
from dpaudit.report.membership.plots import drawings
from dpaudit.report.membership.save import writers

FIRST, RECORDS, MODELS = 7000, 24, 12
NAMED = set(range(FIRST + 1, FIRST + RECORDS))  # numbers of records that nothing else in a report looks like


@pytest.fixture(scope="module")
def signals():
    """Twelve models, each record in six; records 7000 to 7023 after 7000 others that are nobody's members."""
    rng = np.random.default_rng(4)
    members = np.zeros((MODELS, FIRST + RECORDS), dtype=bool)
    half = np.arange(MODELS) < MODELS // 2
    members[:, FIRST:] = rng.permuted(np.tile(half, (RECORDS, 1)), axis=1).T
    labels = np.arange(FIRST + RECORDS) % 3
    margins = rng.normal(size=FIRST + RECORDS) + 1.2 * members + 0.5 * rng.normal(size=members.shape)
    outputs = np.zeros((*members.shape, 3), dtype=np.float32)
    np.put_along_axis(outputs, np.broadcast_to(labels[:, None], (*members.shape, 1)), margins[..., None] + np.log(2), 2)
    population = np.arange(FIRST + RECORDS) < FIRST
    return Signals(np.logaddexp(0, -margins), members, labels=labels, outputs=outputs, population=population)


@pytest.fixture(scope="module")
def report(signals):
    return dpa.MembershipStudy(signals).run()


@pytest.fixture(scope="module")
def redacted(signals):
    return dpa.MembershipStudy(signals, redact=True).run()


@pytest.fixture(scope="module")
def folders(report, redacted, tmp_path_factory):
    """Where the whole report and the redacted one are saved."""
    made = tmp_path_factory.mktemp("saved")
    report.save(made / "open")
    redacted.save(made / "shared")
    return made


def tiny(scores, members, **settings):
    """A report on scores of one attack, (T, R)."""
    scores, members = np.asarray(scores, float), np.asarray(members, bool)
    signals = Signals(np.logaddexp(0, -np.clip(scores, -50, 50)), members)
    made = Evaluation({"attack": scores}, members, np.arange(len(members)), np.arange(members.shape[1]))
    return MembershipReport(**measure(made, signals, **settings))


# --- what it is


def test_the_first_line_says_what_it_is_and_what_it_is_not(report):
    first = str(report).splitlines()[0]
    assert first == HEADLINE
    assert first.startswith("population membership: ")
    assert first.endswith("no conclusion about a claim of differential privacy")
    told = report.to_dict()
    assert (told["schema"], told["kind"], told["says"]) == (1, "membership", HEADLINE)


def test_nothing_sounds_like_a_verdict(report):
    everything = f"{report}\n{json.dumps(report.to_dict())}".lower()
    assert not re.search(r"refut|epsilon|\beps\b|verdict|p.value", everything)
    assert "verdict" not in report.to_dict()


def test_all_attacks_apply_and_are_listed(report):
    names = [attack.name for attack in report.attacks]
    assert names == ["loss", "S", "P", "R", "difficulty", "LiRA online", "LiRA offline", "RMIA online", "shadow"]
    assert report.skipped == ()
    text = str(report)
    for name in names:
        assert re.search(rf"^  {name} +0\.\d{{3}} 0\.\d{{3}}-", text, re.MULTILINE), name
    assert report.strongest.auc == max(attack.auc for attack in report.attacks)


def test_lines_fit(report, redacted):
    for each in (report, redacted):
        first, *lines = str(each).splitlines()
        assert len(first) == 120
        assert max(len(line) for line in lines if not line.startswith("  reproduce")) <= 110


def test_json_is_strict_and_complete(report):
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["setting"]["models"] == MODELS
    assert told["setting"]["records"] == RECORDS
    assert told["setting"]["population"] == FIRST
    assert {one["attack"] for one in told["attacks"]} == {attack.name for attack in report.attacks}
    assert [one["asked"] for one in told["attacks"][0]["tpr_at_fpr"]] == [0.1, 0.01, 0.001]
    assert len(told["agreement"]["jaccard"]) == len(report.attacks)
    assert len(told["vulnerable_records"]) == 20


# --- numbers by hand

SCORES = [[9.0, 7.0, 5.0, 3.0], [8.0, 6.0, 4.0, 2.0]]
INSIDE = [[True, False, True, False], [True, True, False, False]]
#         sorted: 9 in, 8 in, 7 out, 6 in, 5 in, 4 out, 3 out, 2 out


def test_auc_accuracy_and_rates_by_hand():
    (attack,) = tiny(SCORES, INSIDE, fprs=(0.5, 0.25, 0.1)).attacks
    assert attack.auc == 14 / 16  # 9 and 8 beat four, 6 and 5 beat three
    assert (attack.best.threshold, attack.best.balanced_accuracy) == (5.0, (1 + 0.75) / 2)
    half, quarter, tenth = attack.rates
    assert (half.point.tpr, half.point.fpr, half.resolved) == (1.0, 0.5, True)
    assert (quarter.point.tpr, quarter.point.fpr, quarter.resolved) == (1.0, 0.25, True)
    assert (tenth.point.tpr, tenth.point.false_positives, tenth.resolved) == (0.5, 0, False)


def test_a_rate_that_cannot_be_seen_is_marked():
    report = tiny(SCORES, INSIDE, fprs=(0.5, 0.1))
    assert report.setting.least_fpr == 0.25
    text = str(report)
    assert "10 % *" in text
    assert "50 % *" not in text
    assert "4 non-members resolve no FPR between 0 and 1/4 = 25 %" in text
    assert "*" not in str(tiny(SCORES, INSIDE, fprs=(0.5, 0.25)))


def test_intervals_hold_their_estimates_and_widen_with_confidence(signals):
    for attack in dpa.MembershipStudy(signals).run().attacks:
        assert attack.interval.low < attack.auc < attack.interval.high
        for rate in attack.rates:
            assert rate.low <= rate.point.tpr <= rate.high
            assert (rate.low, rate.high) != rate.point.tpr_interval or "wider" in rate.method
    wide = dpa.MembershipStudy(signals, confidence=0.999).run().attack("loss").interval
    usual = dpa.MembershipStudy(signals).run().attack("loss").interval
    assert wide.low < usual.low
    assert wide.high > usual.high


def test_setting_counted_naively(report, signals):
    own = slice(FIRST, None)
    inside = signals.members[:, own]
    right = signals.outputs[:, own].argmax(2) == signals.labels[own]
    setting = report.setting
    assert setting.accuracy == (right[inside].mean(), right[~inside].mean())
    assert setting.loss == pytest.approx((signals.loss[:, own][inside].mean(), signals.loss[:, own][~inside].mean()))
    assert (setting.members, setting.nonmembers) == (MODELS * RECORDS // 2,) * 2
    assert (setting.least_inside, setting.most_inside) == (6, 6)


def test_accuracy_is_left_out_where_it_is_not_known():
    report = tiny(SCORES, INSIDE)
    assert report.setting.accuracy is None
    assert "\n  accuracy" not in str(report)


def test_decisions_are_told_as_they_are():
    decided = {"attack": Decisions(true_positives=3, members=4, false_positives=1, non_members=4)}
    report = tiny(SCORES, INSIDE, decisions=decided)
    assert "attack: precision 0.750, recall 0.750 (3 of 4 members, 1 of 4 others)" in str(report)
    told = report.to_dict()["attacks"][0]["decisions"]
    assert (told["precision"], told["recall"], told["balanced_accuracy"]) == (0.75, 0.75, 0.75)


def test_guessing_is_called_guessing():
    assert "no attack is seen to do better than guessing" in str(tiny([[1.0, 1.0, 1.0, 1.0]] * 2, INSIDE))
    text = " ".join(str(tiny(np.tile(INSIDE, 20), np.tile(INSIDE, 20))).split())
    assert "ranks a member above a non-member in 100.0 % of pairs (50 % is guessing)" in text


def test_agreement_of_an_attack_with_itself_and_its_opposite(signals):
    scores = np.array([[4.0, 3.0, 2.0, 1.0, 0.0, -1.0]])
    members = np.array([[True, True, False, True, True, False]])
    made = Evaluation({"one": scores, "same": 2 * scores, "less": -scores}, members, np.arange(1), np.arange(6))
    source = Signals(np.ones((1, 6)), members)
    agreement = measure(made, source, fprs=(0.5,))["agreement"]
    # at FPR 10 % no non-member may be called: "one" finds the first two, "less" none
    assert agreement.found.tolist() == [0.5, 0.5, 0.0]
    assert agreement.jaccard[0].tolist() == [1.0, 1.0, 0.0]


# --- tables of single records


def test_records_csv_counted_naively(signals, folders):
    rows = list(csv.DictReader(io.StringIO((folders / "open" / "records.csv").read_text())))
    assert [int(row["record"]) for row in rows] == list(range(FIRST, FIRST + RECORDS))
    for place, row in enumerate(rows):
        number = FIRST + place
        inside, margins = signals.members[:, number], signals.margin[:, number]
        assert int(row["label"]) == signals.labels[number]
        assert (int(row["targets inside"]), int(row["targets outside"])) == (6, 6)
        assert float(row["mean loss inside"]) == pytest.approx(signals.loss[inside, number].mean())
        assert float(row["loss: mean score outside"]) == pytest.approx(margins[~inside].mean())
        beats = [float(a > b) + 0.5 * float(a == b) for a in margins[inside] for b in margins[~inside]]
        assert float(row["loss: AUC"]) == pytest.approx(np.mean(beats))


def test_one_target_has_no_auc_of_records_but_scores(tmp_path):
    report = tiny([[3.0, 2.0, 1.0, 0.0]], [[True, False, True, False]])
    writers["records.csv"](report, tmp_path / "records.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "records.csv").read_text())))
    assert [row["attack: AUC"] for row in rows] == [""] * 4
    assert [row["attack: mean score inside"] for row in rows] == ["3.0", "", "1.0", ""]
    assert [row["attack: mean score outside"] for row in rows] == ["", "2.0", "", "0.0"]
    assert "members that attack ranks highest: 0 of model 0, 2 of model 0" in str(report)


def numbers_in(told):
    match told:
        case dict():
            return [n for value in told.values() for n in numbers_in(value)]
        case list():
            return [n for value in told for n in numbers_in(value)]
        case bool() | None | str():
            return []
        case _:
            return [told]


def records_named(text):
    """Whole numbers of the attacked records, not digits of a longer number."""
    return {int(n) for n in re.findall(r"(?<![\d.])\d{4}(?![\d.]\d|\d)", text)} & NAMED


def test_a_redacted_report_names_no_record(report, redacted, folders):
    """The whole report does, so the search can find them."""
    assert records_named(str(report))
    assert not records_named(str(redacted))
    assert NAMED & set(numbers_in(report.to_dict()))
    assert not NAMED & set(numbers_in(redacted.to_dict()))
    written, shared = (
        {path.relative_to(folders / name).as_posix() for path in (folders / name).rglob("*.*")}
        for name in ("open", "shared")
    )
    assert written - shared == {"records.csv"}
    assert shared == {"membership.json", "membership.txt", "membership.html"} | {
        f"plots/{name}.{suffix}" for name in ("roc", "scores", "losses") for suffix in ("png", "svg")
    }
    assert records_named((folders / "open" / "records.csv").read_text()) == NAMED
    for path in (folders / "shared").rglob("*"):
        if path.suffix in (".txt", ".json"):
            assert not records_named(path.read_text())
        if path.suffix == ".svg":  # matplotlib writes each text into a comment beside its outlines
            assert not records_named(" ".join(re.findall(r"<!-- (.*?) -->", path.read_text())))


def test_a_redacted_report_holds_nothing_of_the_size_of_the_records(redacted):
    """Not even in memory: what is not there cannot be printed by mistake."""
    assert redacted.redacted
    assert redacted.records is None
    for attack in redacted.attacks:
        assert len(attack.model_aucs) == MODELS
        assert attack.histogram.inside.sum() == MODELS * RECORDS // 2


def test_redaction_removes_the_table_that_was_there(redacted, tmp_path, monkeypatch):
    monkeypatch.setattr("dpaudit.report.membership.save.writers", {k: v for k, v in writers.items() if "/" not in k})
    (tmp_path / "records.csv").write_text("record\n7001\n")
    redacted.save(tmp_path)
    kept = {"membership.json", "membership.txt", "membership.html", "SHA256SUMS"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert "redacted" in (tmp_path / "membership.txt").read_text()


# --- figures and files

ODD = {
    "constant": np.zeros((2, 4)),
    "huge": np.array([[1e300, -1e300, 1e300, -1e300]] * 2),
    "many decades": np.array([[1e-12, 1.0, 1e12, -1e12]] * 2),
    "two values": np.array([[0.0, 1.0, 0.0, 1.0]] * 2),
}


@pytest.mark.parametrize("kind", ODD)
def test_any_scores_can_be_drawn(tmp_path, kind):
    report = tiny(ODD[kind], INSIDE)
    for name, draw in drawings.items():
        draw(report, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_infinite_losses_are_counted_and_not_drawn(tmp_path):
    losses = np.array([[0.1, np.inf, 0.2, 0.3], [0.1, 0.4, 0.5, np.inf]])
    made = Evaluation({"attack": -np.minimum(losses, 9)}, np.array(INSIDE), np.arange(2), np.arange(4))
    report = MembershipReport(**measure(made, Signals(losses, np.array(INSIDE))))
    assert report.losses.missing == (0, 2)
    assert report.to_dict()["setting"]["loss"]["nonmembers"] == "inf"
    drawings["losses"](report, tmp_path / "losses.svg")
    assert "infinite losses of 0 members, 2 non-members" in (tmp_path / "losses.svg").read_text()


def test_the_same_report_gives_the_same_bytes(redacted, folders, tmp_path):
    for path in redacted.save(tmp_path):
        assert path.read_bytes() == (folders / "shared" / path.relative_to(tmp_path)).read_bytes()


def test_a_folder_that_cannot_be_written_is_said(redacted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(dpa.UsageError, match=r"the report cannot be saved; .*try: another folder"):
        redacted.save(tmp_path / "file" / "out")


def test_control_characters_in_names_stay_in_their_line():
    report = tiny(SCORES, INSIDE)
    assert len(str(report).splitlines()) > 5
    odd = Evaluation({"an\nattack\x1b[31m": np.array(SCORES)}, np.array(INSIDE), np.arange(2), np.arange(4))
    text = str(MembershipReport(**measure(odd, Signals(np.ones((2, 4)), np.array(INSIDE)))))
    assert "an attack [31m" in text
    assert "\x1b" not in text
