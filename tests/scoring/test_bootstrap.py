"""Intervals over the choice of games."""

import pytest

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring import evaluate
from e2espot.scoring.bootstrap import bootstrap_interval

PASS = LabelSet(("PASS",))


def event(position_ms: int, value: float = 1.0) -> ScoredEvent:
    return ScoredEvent(half=1, position_ms=position_ms, label="PASS", value=value)


def test_bootstrap_interval_of_equal_games_is_a_point() -> None:
    games = {f"{number}": [event(1000), event(9000)] for number in range(5)}
    halves = {game: [event(1000, 0.9)] for game in games}
    at1 = evaluate(games, halves, PASS, ("at1",)).mAP("at1")
    low, high = bootstrap_interval(games, halves, PASS, ("at1",), rounds=20)["at1"]
    assert low == pytest.approx(at1) == high


def test_bootstrap_interval_is_wide_where_games_differ_and_repeats() -> None:
    games = {f"{number}": [event(1000)] for number in range(6)}
    predictions = {
        game: [event(1000, 0.9 - 0.1 * int(game))] if int(game) % 2 else [event(5000, 0.8)] for game in games
    }
    first = bootstrap_interval(games, predictions, PASS, ("at1", "at2"), rounds=100)
    assert first == bootstrap_interval(games, predictions, PASS, ("at1", "at2"), rounds=100)
    low, high = first["at1"]
    at1 = evaluate(games, predictions, PASS, ("at1",)).mAP("at1")
    assert low < at1 < high
