"""Which classes were annotated, as text and across games."""

import pytest

from e2espot.core.annotated_classes import (
    annotated_somewhere,
    count_games_without,
    intersect_classes,
    parse_annotated_classes,
    unannotated,
)
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LabelSet

ABC = LabelSet(("A", "B", "C"))


def test_classes_are_parsed_from_text() -> None:
    assert parse_annotated_classes("") is None
    assert parse_annotated_classes(" HIGH PASS,SHOT") == {"HIGH PASS", "SHOT"}
    with pytest.raises(ConfigurationError, match="annotated_classes is 'A,,B'") as caught:
        parse_annotated_classes("A,,B")
    assert caught.value.option == "annotated_classes"


def test_two_statements_hold_together() -> None:
    assert intersect_classes(None, None) is None
    assert intersect_classes(frozenset("AB"), None) == intersect_classes(None, frozenset("AB")) == {"A", "B"}
    assert intersect_classes(frozenset("AB"), frozenset("BC")) == {"B"}


def test_a_class_that_one_game_annotates_has_a_score() -> None:
    games = {"x": frozenset("A"), "y": frozenset("AC")}
    assert annotated_somewhere(ABC, games.values()).names == ("A", "C")
    assert annotated_somewhere(ABC, [*games.values(), None]) == ABC == annotated_somewhere(ABC, [])
    assert unannotated(ABC, games["x"]) == ("B", "C")
    assert unannotated(ABC, None) == ()
    assert count_games_without(ABC, {**games, "z": None}) == {"B": 2, "C": 1}
