"""A calibration fitted on one match holds on another; parameters that gain nothing keep their defaults."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import CheckpointError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.scoring.metric import evaluate_events
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.suppression.nms import Suppression
from e2espot.training.fit_calibration import fit_calibration

LABELS = LabelSet(("PASS", "DRIVE"))
FPS = Fraction(25)


def match(seed: int, *, late: int = 0, sharp: float = 1.0, count: int = 400) -> tuple[Scores, list[Event]]:
    """Peaks at events of both classes, false positives between; PASS peaks come ``late`` frames too late."""
    rng = np.random.default_rng(seed)
    frames = np.cumsum(rng.integers(20, 60, 2 * count))
    scores_TK = np.zeros((int(frames[-1]) + 100, 2), dtype=np.float32)
    events = []
    for number, frame in enumerate(frames):
        column = number % 2
        true = rng.random() < 0.6
        if true:
            events.append(Event(frame=int(frame), label=LABELS.names[column]))
        logit = rng.normal(1.0 if true else -1.0, 1.2) * sharp
        peak = int(frame) + (late if column == 0 else 0) + round(rng.normal(0, 2))
        for distance in range(-4, 5):
            scores_TK[peak + distance, column] = (1 - abs(distance) / 5) / (1 + np.exp(-logit))
    return Scores(scores_TK=scores_TK, label_set=LABELS, fps=FPS), events


def value(calibration: Calibration, scores: Scores, events: list[Event]) -> float:
    predictions = apply_calibration(calibration, scores)
    return evaluate_events({"g": events}, {"g": predictions}, LABELS, ["at1"], FPS).mAP("at1")


def test_fitted_shift_helps_on_another_match() -> None:
    scores, events = match(1, late=12)
    fitted = fit_calibration({"g": {1: scores}}, {"g": events}, LABELS)
    assert fitted.shift_s["PASS"] < -0.2
    assert "DRIVE" not in fitted.shift_s
    other, known = match(2, late=12)
    straight, truth = match(2)
    assert value(fitted, other, known) > value(Calibration(), other, known) + 0.03
    assert value(fitted, other, known) > value(Calibration(), straight, truth) - 0.005


def test_fitted_map_helps_with_squeezed_scores_on_another_match() -> None:
    scores, events = match(3, sharp=9.0)
    fitted = fit_calibration({"g": {1: scores}}, {"g": events}, LABELS)
    assert fitted.map_from
    other, known = match(4, sharp=9.0)
    assert value(fitted, other, known) > value(Calibration(), other, known) + 0.01


def test_classes_with_few_labels_get_no_parameters_of_their_own() -> None:
    scores, events = match(5, late=9, count=30)
    fitted = fit_calibration({"g": {1: scores}}, {"g": events}, LABELS)
    assert not fitted.shift_s
    assert not fitted.by_class


def test_suppression_by_class_applies_to_that_class_only() -> None:
    scores, _ = match(6)
    hard = Suppression(method="hard", window_s=3.0)
    one, both = (
        apply_calibration(Calibration(by_class=classes), scores)
        for classes in ({"PASS": hard}, {"PASS": hard, "DRIVE": hard})
    )
    plain = apply_calibration(Calibration(), scores)

    def of(events: list[Event], label: str) -> list[Event]:
        return [event for event in events if event.label == label]

    assert of(one, "DRIVE") == of(plain, "DRIVE")
    assert len(of(one, "PASS")) < len(of(plain, "PASS"))
    assert of(one, "PASS") == of(both, "PASS")


def test_team_comes_from_the_frame_of_the_event() -> None:
    scores_TK = np.zeros((100, 2), dtype=np.float32)
    scores_TK[[20, 70], 0] = 0.8
    right_T = np.linspace(0, 1, 100, dtype=np.float32)
    events = apply_calibration(Calibration(), Scores(scores_TK=scores_TK, label_set=LABELS, right_T=right_T))
    assert [event.team for event in events] == ["left", "right"]
    assert [event.confidence for event in events] == pytest.approx([0.8 * (1 - 20 / 99), 0.8 * 70 / 99], rel=1e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_map_of_confidences_is_monotone(confidences: list[float], knots: list[float]) -> None:
    knots = sorted(set(knots))
    calibration = Calibration(map_from=tuple(knots), map_to=tuple(np.linspace(0, 1, len(knots)).tolist()))
    mapped = calibration.map_confidences(np.sort(confidences))
    assert (np.diff(mapped) >= 0).all()
    assert 0 <= mapped.min() <= mapped.max() <= 1


def test_calibration_json_round_trip_and_refusals() -> None:
    calibration = Calibration(
        suppression=Suppression(method="hard"),
        by_class={"PASS": Suppression(window_s=0.4)},
        shift_s={"DRIVE": 0.08},
        map_from=(0.1, 0.9),
        map_to=(0.0, 1.0),
    )
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert Calibration.from_json({"suppression": {"method": "soft"}}) == Calibration()
    for wrong in (
        {},
        {"suppression": 3},
        {**calibration.to_json(), "map_to": [1.0, 0.0]},
        {**calibration.to_json(), "map_from": [0.5]},
    ):
        with pytest.raises(CheckpointError, match=r"calibration.json"):
            Calibration.from_json(wrong)
