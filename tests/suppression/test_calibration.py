"""A calibration fitted on one match holds on another; parameters that gain nothing keep their defaults."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.scoring.metric import evaluate_events
from e2espot.suppression.calibration import Calibration, apply_calibration, read_calibration
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


def test_classes_without_labels_do_not_dilute_a_gain() -> None:
    scores, events = match(3, sharp=9.0)
    many = LabelSet((*LABELS.names, *(f"C{number}" for number in range(38))))
    wide_TK = np.pad(scores.scores_TK, ((0, 0), (0, 38)))
    wide = Scores(scores_TK=wide_TK, label_set=many, fps=FPS)
    narrow = fit_calibration({"g": {1: scores}}, {"g": events}, LABELS)
    assert narrow.map_from
    assert fit_calibration({"g": {1: wide}}, {"g": events}, many) == narrow


def test_without_any_label_every_parameter_keeps_its_default() -> None:
    scores, _ = match(3)
    assert fit_calibration({"g": {1: scores}}, {"g": []}, LABELS) == Calibration()


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


def test_map_of_confidences_is_linear_between_knots_and_constant_outside() -> None:
    calibration = Calibration(map_from=(0.2, 0.6), map_to=(0.5, 0.9))
    assert calibration.map_confidences(np.array([0.1, 0.2, 0.4, 1.0])).tolist() == pytest.approx([0.5, 0.5, 0.7, 0.9])
    confidences = np.array([0.3, 0.7])
    assert Calibration().map_confidences(confidences).tolist() == [0.3, 0.7]


def test_map_of_confidences_is_finite_between_knots_too_close_for_a_slope() -> None:
    calibration = Calibration(map_from=(0.0, 2e-311, 1.0), map_to=(0.25, 0.5, 1.0))
    assert calibration.map_confidences(np.array([0.0, 1e-313, 2e-311, 1.0])).tolist() == [0.25, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shift_s": {"PASS": 60.0}}, "less than 60 s"),
        ({"shift_s": {"PASS": float("nan")}}, "less than 60 s"),
        ({"map_from": (0.1, 0.2), "map_to": (0.1,)}, "one length"),
        ({"map_from": (0.2, 0.1), "map_to": (0.1, 0.2)}, "never fall"),
        ({"map_from": (0.1, 0.2), "map_to": (0.2, 0.1)}, "never fall"),
        ({"map_from": (-0.1, 0.2), "map_to": (0.1, 0.2)}, r"in \[0, 1\]"),
        ({"map_from": (0.1, 0.2), "map_to": (0.1, 1.2)}, r"in \[0, 1\]"),
        ({"map_from": (float("nan"),), "map_to": (0.1,)}, r"in \[0, 1\]"),
    ],
)
def test_calibration_refuses_long_shifts_and_maps_that_fall_or_leave_the_range(fields, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Calibration(**fields)


@pytest.mark.parametrize("method", ["", "nms", None, 3, []])
def test_calibration_of_an_unknown_method_is_refused(method: object) -> None:
    with pytest.raises(CheckpointError, match="suppression method is"):
        Calibration.from_json({"suppression": {"method": method}})


def test_read_calibration_of_a_run_without_one_is_the_default(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) == Calibration()


def test_read_calibration_reads_what_to_json_wrote(tmp_path: Path) -> None:
    calibration = Calibration(shift_s={"PASS": -0.16}, by_class={"DRIVE": Suppression(method="peaks")})
    (tmp_path / "calibration.json").write_text(json.dumps(calibration.to_json()))
    assert read_calibration(tmp_path) == calibration


def test_read_calibration_refuses_one_of_other_classes(tmp_path: Path) -> None:
    calibration = Calibration(shift_s={"PASS": 0.1}, by_class={"HEADER": Suppression()})
    (tmp_path / "calibration.json").write_text(json.dumps(calibration.to_json()))
    with pytest.raises(CheckpointError, match="of another run: it has HEADER, and the spotter knows PASS, DRIVE"):
        read_calibration(tmp_path, LABELS)
    assert read_calibration(tmp_path, LabelSet(("HEADER", "PASS"))) == read_calibration(tmp_path) == calibration


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 200_000, b"[]", b"null", b'{"suppression": []}'])
def test_read_calibration_refuses_a_damaged_file_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "calibration.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"calibration\.json.*remove it") as caught:
        read_calibration(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


@given(st.integers(-30, 30), st.integers(0, 39))
def test_shift_moves_an_event_and_stops_at_the_ends_of_the_video(shift_frames: int, frame: int) -> None:
    scores_TK = np.zeros((40, 2), dtype=np.float32)
    scores_TK[frame] = 0.9
    calibration = Calibration(shift_s={"PASS": shift_frames / 25})
    events = apply_calibration(calibration, Scores(scores_TK=scores_TK, label_set=LABELS, fps=FPS), half=2)
    assert {event.label: event.frame for event in events} == {
        "DRIVE": frame,
        "PASS": min(max(frame + shift_frames, 0), 39),
    }
    assert all(event.half == 2 and event.team == "" for event in events)


def test_describe_lists_suppression_shifts_and_map() -> None:
    assert Calibration().describe() == "soft suppression over 0.8 s"
    calibration = Calibration(
        by_class={"PASS": Suppression(method="hard", window_s=0.4)},
        shift_s={"DRIVE": -0.08},
        map_from=(0.1, 0.9),
        map_to=(0.0, 1.0),
    )
    assert calibration.describe() == (
        "soft suppression over 0.8 s; DRIVE: soft 0.8 s, moved -80 ms; PASS: hard 0.4 s, moved +0 ms; "
        "confidences mapped"
    )


def test_fit_calibration_of_perfect_scores_keeps_every_default() -> None:
    scores_TK = np.zeros((6000, 2), dtype=np.float32)
    events = [Event(frame=frame, label=LABELS.names[frame // 50 % 2]) for frame in range(25, 6000, 50)]
    for event in events:
        scores_TK[event.frame, LABELS.names.index(event.label)] = 0.9
    fitted = fit_calibration({"g": {1: Scores(scores_TK=scores_TK, label_set=LABELS)}}, {"g": events}, LABELS)
    assert fitted == Calibration()
