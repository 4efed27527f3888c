"""Frames, milliseconds and game times: the only place where one is converted into another.

Inside the library, time is an integer frame on a constant grid, and the rate of the grid is an exact
``Fraction``. Milliseconds exist only in files.

Frame ``k`` is the half-open interval ``[k / fps, (k + 1) / fps)`` seconds, counted from the first shown
picture. It is written as the middle of the interval::

    frame          0         1         2         at 25 fps
              |----.----|----.----|----.----|
    ms        0    20   40   60   80  100  120   position_ms is 20, 60, 100

SoccerNet's evaluator converts milliseconds to frames with ``int(fps * (ms / 1000))`` in floating point.
That is one frame low for 4,586 of the first 75,000 multiples of 40 ms (9,174 of the first 135,000, ninety
minutes); for the middle of a frame it is always right.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from e2espot.core.errors import AnnotationError, ConfigurationError

DEFAULT_FPS = Fraction(25)
"""Rate of the frame grid unless a recipe names another."""

MAX_DURATION_S = 24 * 3600
"""Longest video or match that is accepted, in seconds: one day."""

MAX_DURATION_MS = 1000 * MAX_DURATION_S
"""The same in milliseconds."""

HALVES = (1, 2, 3, 4, 5)
"""Periods of a match: its two halves, the two of extra time, and the penalties. Each has a video of its own or none."""

_GAME_TIME = re.compile(r"(?:(\d{1,9}) - )?(\d{1,4}):(\d{2})")
_CLOCK = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,6})(?:\.(\d{1,15}))?")


def position_ms_of_frame(frame: int, fps: Fraction = DEFAULT_FPS) -> int:
    """Middle of ``frame`` in whole milliseconds: ``floor((frame + 1/2) * 1000 / fps)``."""
    # frame 29 at 25 fps -> 59 * 500 * 1 // 25 = 1180
    # Integers instead of Fractions, which are some ten times slower: this runs for every event.
    return (2 * frame + 1) * 500 * fps.denominator // fps.numerator


def frame_of_position_ms(position_ms: int, fps: Fraction = DEFAULT_FPS) -> int:
    """The frame whose interval contains ``position_ms``, by exact integer arithmetic."""
    # 1160 ms at 25 fps -> 1160 * 25 // 1000 = 29; the float expression of the evaluator gives 28
    return position_ms * fps.numerator // (1000 * fps.denominator)


def num_frames_of_duration(duration_s: Fraction, fps: Fraction = DEFAULT_FPS) -> int:
    """Number of frames whose middle ``(k + 1/2) / fps`` is before ``duration_s``."""
    # at 25 fps: 0.06 s -> 1 frame (the middle of frame 1 is not before its end), 0.061 s -> 2
    return max(0, math.ceil(duration_s * fps - Fraction(1, 2)))


def game_time(position_ms: int, half: int = 1) -> str:
    """SoccerNet's clock, ``"1 - 05:07"``: half, minutes and seconds, both two digits."""
    minutes, seconds = divmod(position_ms // 1000, 60)
    return f"{half} - {minutes:02d}:{seconds:02d}"


def clock_text(position_s: Fraction) -> str:
    """A time from the start as a person finds it in a player: ``1:02:03.456``."""
    total_ms = round(position_s * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def minutes_text(position_ms: int) -> str:
    """A time in minutes and seconds with one decimal, cut off: ``75:02.9``."""
    minutes, rest_ms = divmod(position_ms, 60_000)
    return f"{minutes}:{rest_ms // 1000:02d}.{rest_ms % 1000 // 100}"


def parse_clock_ms(text: str) -> int | None:
    """A time as a person types it, ``75``, ``1:15`` or ``1:02:30.5``, in whole milliseconds; None for anything else.

    What follows a colon is below 60: ``1:12:500`` may mean 1 min 12.5 s, and ``0:75`` a minute and a quarter or 75.
    """
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, decimals = match.groups("0")
    if (match[2] and int(seconds) >= 60) or (match[1] and int(minutes) >= 60):
        return None
    # "1:02:30.5678" -> 3_750_567
    position_ms = 1000 * (3600 * int(hours) + 60 * int(minutes) + int(seconds)) + int(f"{decimals}00"[:3])
    return position_ms if position_ms <= MAX_DURATION_MS else None


def parse_game_time(text: str) -> tuple[int, int]:
    """``"1 - 05:07"`` -> (half, whole seconds); ``"05:07"``, which names no half, is of half 1.

    Raises:
        AnnotationError: the text is not of this form.
    """
    match = _GAME_TIME.fullmatch(text)
    if match is None or int(match[3]) >= 60:
        raise AnnotationError(f'gameTime is {text!r}; it must look like "1 - 05:07" (half - minutes:seconds)')
    return int(match[1] or 1), 60 * int(match[2]) + int(match[3])


def parse_fps(text: str | int | float | Fraction) -> Fraction:
    """``25``, ``12.5``, ``"30000/1001"`` -> an exact positive rate in frames per second.

    Raises:
        ValueError: it is not a number, or it is outside (0, 1000].
    """
    if isinstance(text, str) and (len(text) > 40 or "e" in text.lower()):  # "1e999999999" would take forever
        raise ValueError(f"fps is {text[:40]!r}; give a number such as 25, 12.5 or 30000/1001")
    try:
        fps = Fraction(str(text)) if isinstance(text, float) else Fraction(text)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
        raise ValueError(f"fps is {text!r}; give a number such as 25, 12.5 or 30000/1001") from error
    if not 0 < fps <= 1000:
        raise ValueError(f"fps is {text!r}; it must be above 0 and at most 1000")
    return fps


def fps_text(fps: Fraction) -> str:
    """A rate as users write it: ``12.5`` for 25/2, ``30000/1001`` where no short decimal is exact."""
    decimal = f"{float(fps):g}"
    return decimal if Fraction(decimal) == fps else str(fps)


def parse_stated_fps(text: str | None, option: str) -> Fraction | None:
    """The rate that a user states for a file that states none; None for none.

    Args:
        text: The rate.
        option: The option that holds it, which begins the message.

    Raises:
        ConfigurationError: it is no rate.
    """
    try:
        return None if text is None else parse_fps(text)
    except ValueError as error:
        raise ConfigurationError(f"{error}".replace("fps", option, 1), option=option) from None
