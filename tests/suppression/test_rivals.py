"""Classes that rule each other out for a moment."""

from fractions import Fraction

import numpy as np
import pytest

from e2espot.core.adaptation import Adaptation
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.calibration import UNCALIBRATED, Calibration, apply_calibration, read_calibration
from e2espot.suppression.rivals import weaken_rivals

FPS = Fraction(25)


def _event(frame: int, label: str, confidence: float) -> Event:
    return Event(frame=frame, label=label, confidence=confidence, fps=FPS)


def _confidences(events: list[Event], strength: float = 1.0) -> list[float]:
    weakened = weaken_rivals(events, ("PASS", "DRIVE"), strength=strength, window_s=0.8, fps=FPS)
    assert [(event.frame, event.label) for event in weakened] == [(event.frame, event.label) for event in events]
    return [event.confidence for event in weakened]


def test_rivals_weaken_each_other_by_their_nearness_and_confidence() -> None:
    # 10 of 20 frames apart: nearness 0.75
    both = [_event(100, "PASS", 0.6), _event(110, "DRIVE", 0.8)]
    assert _confidences(both) == pytest.approx([0.6 * (1 - 0.8 * 0.75), 0.8 * (1 - 0.6 * 0.75)])
    assert _confidences(both, 0.5) == pytest.approx([0.6 * (1 - 0.4 * 0.75), 0.8 * (1 - 0.3 * 0.75)])
    assert _confidences(both, 0.0) == [0.6, 0.8]
    assert _confidences([both[0], _event(120, "DRIVE", 0.8)]) == [0.6, 0.8]


def test_own_class_and_classes_that_are_no_rivals_have_no_effect() -> None:
    events = [_event(100, "PASS", 0.6), _event(102, "PASS", 0.9), _event(104, "OUT", 1.0)]
    assert _confidences(events) == [0.6, 0.9, 1.0]
    assert weaken_rivals(events, ("PASS",), strength=1.0, window_s=0.8, fps=FPS) == events


def test_the_strongest_pull_of_several_counts_at_either_end_of_a_video() -> None:
    events = [_event(0, "PASS", 1.0), _event(2, "DRIVE", 0.5), _event(16, "DRIVE", 1.0)]
    pulls = [max(0.5 * (1 - 0.1**2), 1 - 0.8**2), 1 - 0.1**2, 1 - 0.8**2]
    expected = [event.confidence * (1 - pull) for event, pull in zip(events, pulls, strict=True)]
    assert _confidences(events) == pytest.approx(expected)
    assert _confidences([]) == []


def _scores(*distances: float) -> Scores:
    scores_TK = np.zeros((60, 2), dtype=np.float32)
    scores_TK[20, 0], scores_TK[25, 1] = 0.8, 0.8
    adaptations = tuple(Adaptation(num_frames=256, share=0.5, distance=distance) for distance in distances)
    return Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS", "DRIVE")), fps=FPS, adaptations=adaptations)


def test_the_less_footage_is_like_that_of_training_the_more_rivals_weaken_each_other() -> None:
    highest = [
        max(event.confidence for event in apply_calibration(UNCALIBRATED, _scores(*distances)))
        for distances in [(), (0.002,), (0.01,), (0.02,), (0.5,), (0.0, 0.5)]
    ]
    nearness = 1 - (5 / 20) ** 2
    expected = [0.8 * (1 - strength * 0.8 * nearness) for strength in (0, 0.1, 0.5, 1, 1, 0.5)]
    assert highest == pytest.approx(expected)


def test_a_run_is_calibrated_on_labels_and_weights_alone_are_not(tmp_path) -> None:
    scores = _scores(0.5)
    assert max(event.confidence for event in apply_calibration(Calibration(), scores)) == pytest.approx(0.8)
    weights = tmp_path / "best.safetensors"
    weights.touch()
    assert read_calibration(weights) == UNCALIBRATED
    assert read_calibration(tmp_path) == Calibration()
    assert Calibration.from_json(UNCALIBRATED.to_json()) == UNCALIBRATED
