"""While no picture comes, events are decided when their time is up, not before and not at the end of the stream."""

from __future__ import annotations

import logging
from fractions import Fraction

import pytest

from e2espot.live.silence import TOLERANCE, Silence

FPS = Fraction(25, 2)


def pending(scored: int, newest: int) -> list[tuple[int, float]]:
    """Frames that arrived at their times: frame 25 at 2 s."""
    return [(frame, float(frame / FPS)) for frame in range(newest, scored - 1, -1)]


def test_scores_are_settled_when_their_time_is_up_and_the_suppression_has_time_left() -> None:
    silence = Silence(2.0, 5, FPS)  # 0.4 s for the suppression, 1.6 s for the score
    frames = pending(103, 123)
    late_s = 103 / 12.5 + 1.6
    assert not silence.is_over_time(frames, late_s + 2 * TOLERANCE - 0.01)
    assert silence.is_over_time(frames, late_s + 2 * TOLERANCE + 0.01)
    assert silence.due(frames, late_s + 2 * TOLERANCE + 0.01) == (110, False)
    # From then on each frame at its time.
    frames = pending(110, 123)
    assert not silence.is_over_time(frames, 110 / 12.5 + 1.59)
    assert silence.is_over_time(frames, 110 / 12.5 + 1.61)
    assert silence.due(frames, 123 / 12.5 + 1.61) == (124, False)
    assert silence.due(pending(123, 123), 123 / 12.5 + 2.01) == (124, True)


def test_without_a_limit_nothing_is_settled() -> None:
    for latency_s, frames in ((None, 5), (2.0, None)):
        assert not Silence(latency_s, frames, FPS).is_over_time(pending(0, 100), 1e6)
    assert not Silence(2.0, 5, FPS).is_over_time([], 1e6)


def test_streams_in_bursts_get_one_recommendation(caplog: pytest.LogCaptureFixture) -> None:
    silence = Silence(2.0, 5, FPS)
    with caplog.at_level(logging.WARNING):
        for burst in range(1, 8):
            silence.due([(99, 6.0 * burst)], 6.0 * burst + 3)
            silence.ends(6.0 * burst, is_gap=False)  # the last picture, shown for longer
            silence.ends(6.0 * (burst + 1), is_gap=burst == 2)
    (record,) = caplog.records
    assert "up to 6.0 s apart" in record.message and "latency of 9 s" in record.message
