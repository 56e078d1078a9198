import math

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.scores import Game, Scores


def test_by_world_has_no_order() -> None:
    scores = Scores(included=[1, 2, 3], excluded=[0, 0])
    assert (scores.n_included, scores.n_excluded, scores.ordered) == (3, 2, False)
    assert scores.names == ("score",)


def test_by_trial_keeps_the_order_and_names() -> None:
    scores = Scores(scores={"a": [1, 2], "b": [3, math.nan]}, included_mask=[1, 0])
    assert scores.ordered
    assert scores.values.tolist()[0] == [1.0, 3.0]
    assert scores.select(["b"]).names == ("b",)
    assert scores.rows(slice(1, 2)).included_mask.tolist() == [False]


def test_the_game_is_part_of_the_type() -> None:
    scores = Scores.one_run(scores=[1.0, 0.0], included_mask=[True, False])
    assert scores.game is Game.ONE_RUN
    with pytest.raises(UsageError, match="one-run scores"):
        scores.require_game(Game.MANY_RUNS, "betting")


@pytest.mark.parametrize(
    "arguments",
    [
        {"included": [], "excluded": [1]},
        {"included": [[1, 2]], "excluded": [1]},
        {"included": [math.nan], "excluded": [math.nan]},
        {"included": ["x"], "excluded": [1]},
        {"included": [1]},
        {"scores": [1, 2]},
        {"scores": [1, 2], "included_mask": [True]},
        {"scores": [1, 2], "included_mask": [0, 2]},
        {"scores": [1, 2], "included_mask": [0, 1], "included": [1]},
    ],
)
def test_refused(arguments: dict) -> None:
    with pytest.raises(UsageError):
        Scores(**arguments)


def test_unknown_statistic_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="allowed: score"):
        Scores(included=[1.0], excluded=[0.0]).select(["loss"])


def test_from_table_allows_columns_without_a_number() -> None:
    table = Scores.from_table(np.full((2, 1), np.nan), np.array([True, False]), ["x"])
    assert np.isnan(table.values).all()
