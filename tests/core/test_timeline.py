"""Frames and milliseconds convert exactly, and SoccerNet's own arithmetic restores the frame."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import (
    MAX_DURATION_MS,
    fps_text,
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
def test_position_ms_of_frame_is_the_middle_and_converts_back(frame: int, fps: Fraction) -> None:
    position_ms = position_ms_of_frame(frame, fps)
    assert position_ms == math.floor((frame + Fraction(1, 2)) * 1000 / fps)
    assert frame_of_position_ms(position_ms, fps) == frame


@given(st.integers(-(10**8), 10**8), rates)
def test_frame_of_position_ms_is_the_frame_around_the_position(position_ms: int, fps: Fraction) -> None:
    frame = frame_of_position_ms(position_ms, fps)
    assert Fraction(frame) / fps <= Fraction(position_ms, 1000) < Fraction(frame + 1) / fps


def test_soccernets_float_arithmetic_restores_every_frame_from_its_middle() -> None:
    assert all(int(25 * (position_ms_of_frame(frame) / 1000)) == frame for frame in range(135_000))


@pytest.mark.parametrize(("num_frames", "num_low"), [(75_000, 4_586), (135_000, 9_174)])
def test_soccernets_float_arithmetic_is_one_frame_low_on_many_frame_starts(num_frames: int, num_low: int) -> None:
    errors = [frame - int(25 * (40 * frame / 1000)) for frame in range(num_frames)]
    assert set(errors) == {0, 1}
    assert sum(errors) == num_low


@given(st.fractions(0, 10_000), rates)
def test_num_frames_of_duration_counts_the_middles_before_the_end(duration_s: Fraction, fps: Fraction) -> None:
    count = num_frames_of_duration(duration_s, fps)
    assert count == 0 or (count - Fraction(1, 2)) / fps < duration_s
    assert (count + Fraction(1, 2)) / fps >= duration_s


@given(st.integers(0, MAX_DURATION_MS), st.sampled_from([1, 2]))
def test_parse_game_time_inverts_game_time(position_ms: int, half: int) -> None:
    assert parse_game_time(game_time(position_ms, half)) == (half, position_ms // 1000)


@pytest.mark.parametrize("text", ["25", "12.5", "0.5", "30000/1001", "24000/1001"])
def test_fps_text_is_read_back_as_the_same_rate(text: str) -> None:
    assert fps_text(parse_fps(text)) == text


@pytest.mark.parametrize("text", ["", "1-05:07", "1 - 5:77", "one - 05:07", "1 - 05:07:00"])
def test_parse_game_time_refuses_another_form(text: str) -> None:
    with pytest.raises(AnnotationError, match="gameTime"):
        parse_game_time(text)


@pytest.mark.parametrize("text", ["0", "-25", "nan", "1/0", "fast", "1001"])
def test_parse_fps_refuses_an_invalid_rate(text: str) -> None:
    with pytest.raises(ValueError, match="fps"):
        parse_fps(text)
