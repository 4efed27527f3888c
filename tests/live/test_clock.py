"""Time stamps that wrap, are missing, repeat or jump become times that only grow, in step with the pictures."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from e2espot.live.clock import WRAP_S, FrameGrid, StampFixer

STEP_S = Fraction(1, 25)
Stamps = list[Fraction | None]


def stamps(first_s: Fraction | int, count: int) -> Stamps:
    return [first_s + k * STEP_S for k in range(count)]


def fixed(stamps_s: Stamps, *, pace: float = 1.0) -> list[Fraction]:
    """Corrected decoding times of packets that arrive 1/25 s apart, or at another pace."""
    fixer = StampFixer()
    return [fixer.fix(stamp_s, stamp_s, k * 0.04 / pace)[0] for k, stamp_s in enumerate(stamps_s)]


@pytest.mark.parametrize(
    "stamps_s",
    [
        [*stamps(WRAP_S - 10 * STEP_S, 10), *stamps(0, 10)],
        [*[None] * 3, *stamps(7, 17)],
        [*[None] * 3, *stamps(-1, 17)],
        [None] * 20,
        [*stamps(5, 8), None, None, *stamps(5 + 10 * STEP_S, 10)],
        [*stamps(500, 10), *stamps(0, 10)],
        [*stamps(0, 10), *stamps(90_000, 10)],
        [*stamps(0, 10), *stamps(90_000, 5), *stamps(15 * STEP_S, 5)],
    ],
    ids=["33 bits", "none first", "none first, then less", "none", "none between", "back", "leap", "leap and back"],
)
@pytest.mark.parametrize("pace", [1.0, 50.0])
def test_times_go_on_in_steps_of_a_picture(stamps_s: Stamps, pace: float) -> None:
    assert [after - before for before, after in pairwise(fixed(stamps_s, pace=pace))] == [STEP_S] * 19


def test_packets_without_stamps_take_the_rate_that_the_stream_declares() -> None:
    fixer = StampFixer()
    fixer.declared_step_s = Fraction(1, 50)
    assert [fixer.fix(None, None, 0.0)[0] for _ in range(3)] == [0, Fraction(1, 50), Fraction(1, 25)]


@pytest.mark.parametrize("stamp_s", [Fraction(0), Fraction(50_000), None])
def test_a_new_connection_goes_on_after_the_time_that_has_passed(stamp_s: Fraction | None) -> None:
    fixer = StampFixer()
    fixer.fix(Fraction(100), Fraction(100), 0.0)
    fixer.reconnected()
    assert fixer.fix(stamp_s, stamp_s, 0.6)[0] == Fraction(1006, 10)
    if stamp_s is None:  # its clock begins with the first stamp
        stamp_s = Fraction(3)
    assert fixer.fix(stamp_s + STEP_S, stamp_s + STEP_S, 0.64)[0] == Fraction(1006, 10) + STEP_S


def test_pictures_that_reorder_keep_their_delay_over_a_jump() -> None:
    fixer = StampFixer()
    shown = [
        fixer.fix(base + k * STEP_S, base + (k + 2) * STEP_S, 0.04 * k)[1]
        for base, k in ((Fraction(1000), 0), (Fraction(1000), 1), (Fraction(3), 2), (Fraction(3), 3))
    ]
    assert [after - before for before, after in pairwise(shown)] == [STEP_S] * 3


def frames_of(times_s: list[Fraction], fps: int = 25) -> list[tuple[int, int]]:
    """(frame, picture) for pictures that are shown from these times on."""
    grid = FrameGrid[int](Fraction(fps))
    known = [frame for number, time_s in enumerate(times_s) for frame in grid.add(time_s, number, 0.0)]
    return [(frame.frame, frame.picture) for frame in [*known, *grid.finish()]]


def test_a_picture_that_comes_twice_is_one_frame() -> None:
    times_s = [k * STEP_S for k in (0, 1, 2, 2, 3, 4)]
    assert frames_of(times_s) == [(0, 0), (1, 1), (2, 3), (3, 4), (4, 5)]
    times_s = [*(k * STEP_S for k in range(3)), 2 * STEP_S + Fraction(1, 90_000), 3 * STEP_S]
    assert frames_of(times_s) == [(0, 0), (1, 1), (2, 3), (3, 4)]


def test_a_rate_that_changes_moves_no_frame() -> None:
    # 25, then 50, then 12.5 pictures a second.
    times_s = [Fraction(tick, 100) for tick in (*range(0, 40, 4), *range(40, 60, 2), *range(60, 100, 8))]
    shown = frames_of(times_s)
    assert [frame for frame, _ in shown] == list(range(24))
    for frame, number in shown:
        middle_s = (frame + Fraction(1, 2)) * STEP_S
        assert times_s[number] <= middle_s and (number + 1 == len(times_s) or middle_s < times_s[number + 1])


def test_the_last_picture_may_be_shown_before_the_next_one_is_there() -> None:
    grid = FrameGrid[int](Fraction(25))
    for number in range(5):
        grid.add(number * STEP_S, number, 0.0)
    assert [(frame.frame, frame.picture) for frame in grid.finish()] == [(4, 4)]
    assert not grid.finish()
    assert [(frame.frame, frame.picture) for frame in grid.add(8 * STEP_S, 5, 0.0)] == [(5, 4), (6, 4), (7, 4)]
    assert [(frame.frame, frame.picture) for frame in grid.add(9 * STEP_S, 6, 0.0)] == [(8, 5)]
