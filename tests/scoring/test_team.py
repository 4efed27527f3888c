import math
from dataclasses import replace

import pytest

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.team import SidedEntry, evaluate_teams

LABELS = LabelSet(("PASS", "DRIVE"))


def one(second: int, label: str = "PASS", side: str = "left", value: float = 1.0, half: int = 1) -> SidedEntry:
    return SidedEntry(entry=ScoredEvent(half=half, position_ms=1000 * second + 20, label=label, value=value), side=side)


GAME = [one(10), one(20), one(30), one(40, side="right"), one(50, "DRIVE", "right")]


def test_the_right_side_counts_and_the_wrong_one_does_not() -> None:
    right = evaluate_teams({"g": GAME}, {"g": [replace(e, entry=replace(e.entry, value=0.9)) for e in GAME]}, LABELS)
    assert right.team_mAP == right.without_sides.mAP("at1") == 1
    swap = {"left": "right", "right": "left"}
    wrong = evaluate_teams({"g": GAME}, {"g": [replace(e, side=swap[e.side]) for e in GAME]}, LABELS)
    assert wrong.team_mAP < 0.1
    assert wrong.without_sides.mAP("at1") == 1


def test_a_class_is_the_mean_of_its_sides_weighted_by_labels() -> None:
    lefts = [e for e in GAME if e.side == "left"]
    found = evaluate_teams({"g": GAME}, {"g": lefts}, LABELS)
    assert found.per_class["PASS"] == pytest.approx(3 / 4)
    assert found.per_class["DRIVE"] == 0


def test_labels_that_are_not_shown_weigh_minus_one() -> None:
    labels = [one(10), one(20), one(30, value=-1.0), one(40, side="right")]
    found = evaluate_teams({"g": labels}, {"g": [one(10), one(20), one(30)]}, LABELS)
    assert found.per_class["PASS"] == pytest.approx(1 / 2)  # (2 - 1) for the left, 1 for the right


def test_a_class_without_labels_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    found = evaluate_teams({"g": GAME[:4]}, {"g": GAME[:4]}, LABELS)
    assert math.isnan(found.per_class["DRIVE"])
    assert found.team_mAP == 1
    assert "DRIVE" in caplog.text


def test_predictions_of_any_half_are_of_the_one_video() -> None:
    labels = [*GAME, one(5, half=2)]
    found = evaluate_teams({"g": labels}, {"g": [replace(e, entry=replace(e.entry, half=2)) for e in GAME]}, LABELS)
    assert found.team_mAP == 1
