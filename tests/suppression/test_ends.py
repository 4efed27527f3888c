"""Near an end of a video that is unlike the training data, events are weaker."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from e2espot.core.adaptation import Adaptation
from e2espot.core.errors import CheckpointError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.suppression.causal_calibration import CausalCalibration
from e2espot.suppression.nms import Suppression

CALIBRATION = Calibration(suppression=Suppression(method="hard", window_s=0.08), ends_s=0.32)
"""One frame each way."""
ROWS_TK = np.where(np.arange(31) % 2 == 0, 0.5, 0).astype(np.float32)[:, None]
"""An event of confidence 0.5 in every second frame, the first and the last among them."""


def confidences(calibration: Calibration, distance: float | None, length: int = 31) -> list[float]:
    scores = Scores(
        scores_TK=ROWS_TK[:length],
        label_set=LabelSet(("PASS",)),
        fps=Fraction(25, 2),
        adaptations=() if distance is None else (Adaptation(num_frames=256, share=0.5, distance=distance),),
    )
    events = apply_calibration(calibration, scores)
    assert [event.frame for event in events] == list(range(0, length, 2))
    return [event.confidence for event in events]


def test_confidences_rise_from_both_ends_as_far_as_the_footage_is_unlike_the_training_data() -> None:
    for distance, strength in ((0.02, 1), (0.01, 0.5), (None, 0)):
        got = confidences(CALIBRATION, distance)
        rising = [0.5 * (1 - strength * (1 - weight)) for weight in (0.2, 0.6, 1)]
        assert got[:3] == pytest.approx(rising) and got[-3:] == pytest.approx(rising[::-1])
        assert got[3:-3] == [0.5] * 10
    assert confidences(CALIBRATION, 0.02, length=5) == pytest.approx([0.1, 0.3, 0.1])
    assert confidences(dataclasses.replace(CALIBRATION, ends_s=0.0), 0.02) == [0.5] * 16


def test_a_stream_weakens_its_start_at_once_and_its_end_as_far_as_it_is_not_decided() -> None:
    live = CausalCalibration(CALIBRATION, LabelSet(("PASS",)), Fraction(25, 2), 0.08, unlikeness=1.0)
    events = [event.confidence for event in live.add(ROWS_TK)]
    assert events == pytest.approx([0.1, 0.3] + [0.5] * 13)
    assert [event.confidence for event in live.finish()] == pytest.approx([0.1])  # the last frame's
    # Without a delay to keep, events wait until the end is too far from them.
    live = CausalCalibration(CALIBRATION, LabelSet(("PASS",)), Fraction(25, 2), None, unlikeness=1.0)
    assert len(live.add(ROWS_TK)) == 14
    assert [event.confidence for event in live.finish()] == pytest.approx([0.3, 0.1])


@pytest.mark.parametrize("ends_s", [-0.1, 60, float("nan")])
def test_ends_out_of_range_are_refused(ends_s: float) -> None:
    with pytest.raises(CheckpointError, match="ends_s must be"):
        Calibration.from_json({**Calibration().to_json(), "ends_s": ends_s})
