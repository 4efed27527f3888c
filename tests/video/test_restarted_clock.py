"""A clock that goes back keeps an offset from there on; a single wrong stamp does not move what follows."""

import logging
from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.core.timeline import clock_text
from e2espot.video.restarted_clock import ContinuousClock, Restart, log_restarts

PERIOD = Fraction(1, 25)


def run(times_ms: list[int | None]) -> tuple[list[int], list[Restart]]:
    """Milliseconds in the new file, and the restarts."""
    clock = ContinuousClock(PERIOD)
    return [int(1000 * clock.position(None if ms is None else Fraction(ms, 1000))) for ms in times_ms], clock.restarts


def restart(picture: int, position_ms: int, offset_ms: int) -> Restart:
    return Restart(picture=picture, position_s=Fraction(position_ms, 1000), offset_s=Fraction(offset_ms, 1000))


def test_times_that_never_go_back_stay_as_they_are() -> None:
    times: list[int | None] = [500, 540, 541, 900, 60_000, 60_040]
    assert run(times) == (times, [])


def test_pictures_without_a_time_follow_one_period_apart() -> None:
    assert run([None, None, 100, None, 180]) == ([0, 40, 100, 140, 180], [])


def test_each_restart_adds_an_offset_to_all_that_follows() -> None:
    times: list[int | None] = [1000, 1040, 1080, 0, 40, 80, 500, 540, 0, 40, 2000]
    assert run(times) == (
        [1000, 1040, 1080, 1120, 1160, 1200, 1620, 1660, 1700, 1740, 3700],
        [restart(3, 120, 1120), restart(8, 700, 1700)],
    )


def test_a_restart_at_the_last_picture_is_reported() -> None:
    assert run([1000, 1040, 0]) == ([1000, 1040, 1080], [restart(2, 80, 1080)])


def test_a_single_wrong_stamp_moves_no_other_picture_and_is_no_restart() -> None:
    assert run([1000, 1040, 0, 1120, 1160]) == ([1000, 1040, 1080, 1120, 1160], [])
    assert run([1000, 1040, 900, 1120]) == ([1000, 1040, 1041, 1120], [])


def test_a_stretch_on_another_clock_ends_where_the_clock_before_goes_on() -> None:
    times: list[int | None] = [5000, 5040, 0, 40, 80, 5200, 5240]
    assert run(times) == ([5000, 5040, 5080, 5120, 5160, 5200, 5240], [restart(2, 80, 5080), restart(5, 200, 0)])


def test_a_leap_past_the_longest_match_is_a_restart() -> None:
    day_ms = 24 * 3600 * 1000
    assert run([0, 40, day_ms + 41, day_ms + 81]) == ([0, 40, 80, 120], [restart(2, 80, 80 - day_ms - 41)])
    assert run([0, 40, day_ms - 1]) == ([0, 40, day_ms - 1], [])


def test_restarts_are_logged_in_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log_restarts(Path("match.ts"), [restart(6128, 3_725_120, 12_380), *[restart(9, 1, 1)] * 30])
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == (
        "match.ts: its clock was restarted at 1:02:05.120, picture 6128; 12.380 s are added to its times from there on"
    )
    assert len(lines) == 21
    assert lines[-1] == "match.ts: its clock was restarted 11 more times"


def test_clock_text_carries_to_minutes_and_hours() -> None:
    assert [clock_text(Fraction(ms, 1000)) for ms in (0, 59_999, 60_000, 3_600_001)] == [
        "0:00:00.000",
        "0:00:59.999",
        "0:01:00.000",
        "1:00:00.001",
    ]
