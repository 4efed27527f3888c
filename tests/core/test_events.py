"""Events carry their time."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import position_ms_of_frame
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.suppression.nms import suppress

rates = st.sampled_from([Fraction(25), Fraction(25, 2), Fraction(30000, 1001), Fraction(50)])


@given(st.integers(0, 10**6), rates)
def test_event_position_ms_is_the_middle_of_its_frame_at_its_own_rate(frame: int, fps: Fraction) -> None:
    assert Event(frame=frame, label="PASS", fps=fps).position_ms == position_ms_of_frame(frame, fps)


def test_events_on_different_grids_differ_and_equal_events_have_one_hash() -> None:
    event = Event(frame=10, label="PASS", confidence=0.5)
    assert event != replace(event, fps=Fraction(50))
    assert event == replace(event, fps=Fraction(25))
    assert len({event, replace(event, fps=Fraction(25)), replace(event, fps=Fraction(50))}) == 2


@given(rates)
def test_suppress_and_apply_calibration_pass_on_the_rate_of_the_scores(fps: Fraction) -> None:
    scores = Scores(scores_TK=np.ones((40, 1), np.float32), label_set=LabelSet(("PASS",)), fps=fps)
    events = [*suppress(scores), *apply_calibration(Calibration(shift_s={"PASS": 0.2}), scores)]
    assert events
    assert all(event.fps == fps for event in events)
