"""Frames and milliseconds: exact, and read back by SoccerNet's own arithmetic."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import (
    frame_of_position_ms,
    game_time,
    num_frames_of_duration,
    parse_fps,
    parse_game_time,
    position_ms_of_frame,
)

rates = st.sampled_from([Fraction(25), Fraction(25, 2), Fraction(30000, 1001), Fraction(49, 2), Fraction(50)])
frames = st.integers(-1000, 10**7)


@given(frames, rates)
def test_a_frame_is_written_as_its_middle_and_read_back(frame: int, fps: Fraction) -> None:
    position_ms = position_ms_of_frame(frame, fps)
    assert position_ms == math.floor((frame + Fraction(1, 2)) * 1000 / fps)
    assert frame_of_position_ms(position_ms, fps) == frame


@given(st.integers(-(10**8), 10**8), rates)
def test_a_position_lies_in_its_frame(position_ms: int, fps: Fraction) -> None:
    frame = frame_of_position_ms(position_ms, fps)
    assert Fraction(frame) / fps <= Fraction(position_ms, 1000) < Fraction(frame + 1) / fps


def test_soccernets_float_arithmetic_reads_every_frame_back() -> None:
    assert all(int(25 * (position_ms_of_frame(frame) / 1000)) == frame for frame in range(75_000))


@given(st.fractions(0, 10_000), rates)
def test_frames_of_a_duration_have_their_middle_before_its_end(duration_s: Fraction, fps: Fraction) -> None:
    count = num_frames_of_duration(duration_s, fps)
    assert count == 0 or (count - Fraction(1, 2)) / fps < duration_s
    assert (count + Fraction(1, 2)) / fps >= duration_s


@given(st.integers(0, 7_199_000), st.sampled_from([1, 2]))
def test_the_clock_is_read_as_it_was_written(position_ms: int, half: int) -> None:
    assert parse_game_time(game_time(position_ms, half)) == (half, position_ms // 1000)


@pytest.mark.parametrize("text", ["", "1-05:07", "1 - 5:77", "one - 05:07", "1 - 05:07:00"])
def test_a_clock_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(AnnotationError, match="gameTime"):
        parse_game_time(text)


@pytest.mark.parametrize("text", ["0", "-25", "nan", "1/0", "fast", "1001"])
def test_a_rate_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fps"):
        parse_fps(text)
