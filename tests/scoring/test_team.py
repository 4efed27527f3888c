import math
from dataclasses import replace

import pytest

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.team import evaluate_teams

LABELS = LabelSet(("PASS", "DRIVE"))


def one(second: int, label: str = "PASS", team: str = "left", value: float = 1.0, half: int = 1) -> ScoredEvent:
    return ScoredEvent(half=half, position_ms=1000 * second + 20, label=label, value=value, team=team)


GAME = [one(10), one(20), one(30), one(40, team="right"), one(50, "DRIVE", "right")]


def test_evaluate_teams_counts_the_acting_team_only() -> None:
    right = evaluate_teams({"g": GAME}, {"g": [replace(e, value=0.9) for e in GAME]}, LABELS)
    assert right.team_mAP == right.without_teams.mAP("at1") == 1
    swap = {"left": "right", "right": "left"}
    wrong = evaluate_teams({"g": GAME}, {"g": [replace(e, team=swap[e.team]) for e in GAME]}, LABELS)
    assert wrong.team_mAP < 0.1
    assert wrong.without_teams.mAP("at1") == 1


def test_evaluate_teams_weights_teams_by_labels() -> None:
    left_events = [e for e in GAME if e.team == "left"]
    report = evaluate_teams({"g": GAME}, {"g": left_events}, LABELS)
    assert report.per_class["PASS"] == pytest.approx(3 / 4)
    assert report.per_class["DRIVE"] == 0


def test_evaluate_teams_weights_unshown_labels_minus_one() -> None:
    labels = [one(10), one(20), one(30, value=-1.0), one(40, team="right")]
    report = evaluate_teams({"g": labels}, {"g": [one(10), one(20), one(30)]}, LABELS)
    assert report.per_class["PASS"] == pytest.approx(1 / 2)  # (2 - 1) for the left, 1 for the right


def test_evaluate_teams_skips_class_without_labels_with_warning(caplog: pytest.LogCaptureFixture) -> None:
    report = evaluate_teams({"g": GAME[:4]}, {"g": GAME[:4]}, LABELS)
    assert math.isnan(report.per_class["DRIVE"])
    assert report.team_mAP == 1
    assert "DRIVE" in caplog.text


def test_evaluate_teams_takes_predictions_of_any_half() -> None:
    labels = [*GAME, one(5, half=2)]
    report = evaluate_teams({"g": labels}, {"g": [replace(e, half=2) for e in GAME]}, LABELS)
    assert report.team_mAP == 1


def test_evaluate_teams_ignores_labels_of_a_second_half() -> None:
    report = evaluate_teams({"g": [one(10), one(20, half=2)]}, {"g": [one(10)]}, LABELS)
    assert report.per_class["PASS"] == report.without_teams.results["at1"].per_class["PASS"] == 1


@pytest.mark.parametrize("team", ["", "home", "Left"])
def test_evaluate_teams_counts_no_prediction_of_another_team_word(team: str) -> None:
    labels = [one(10), one(30, team="right")]
    assert evaluate_teams({"g": labels}, {"g": [replace(event, team=team) for event in labels]}, LABELS).team_mAP == 0


def test_evaluate_teams_without_any_label_is_nan_in_all(caplog: pytest.LogCaptureFixture) -> None:
    report = evaluate_teams({"g": []}, {"g": [one(10)]}, LABELS)
    assert math.isnan(report.team_mAP)
    assert all(math.isnan(value) for value in report.per_class.values())
    assert "PASS, DRIVE" in caplog.text
