"""Frames, milliseconds and game times: the only place where one becomes another.

Inside the library time is an integer frame on a constant grid; at its border the
rate of that grid is an exact ``Fraction``; milliseconds exist only in files.

Frame ``k`` stands for the half-open interval ``[k / fps, (k + 1) / fps)`` seconds,
counted from the first shown picture, and is written as the middle of it. SoccerNet's
evaluator turns milliseconds into frames with ``int(fps * (ms / 1000))`` in floating
point, which is one frame low for 9,174 of the first 75,000 exact multiples of 40 ms;
the middle of a frame survives that arithmetic always.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from e2espot.core.errors import AnnotationError

DEFAULT_FPS = Fraction(25)
"""Rate of the frame grid unless a recipe names another."""

MAX_DURATION_S = 24 * 3600
"""Longest video or match that is accepted, in seconds: one day."""

MAX_DURATION_MS = 1000 * MAX_DURATION_S
"""The same in milliseconds."""

_GAME_TIME = re.compile(r"(\d{1,9}) - (\d{1,3}):(\d{2})")


def position_ms_of_frame(frame: int, fps: Fraction = DEFAULT_FPS) -> int:
    """Middle of ``frame`` in whole milliseconds: ``floor((frame + 1/2) * 1000 / fps)``."""
    return (2 * frame + 1) * 500 * fps.denominator // fps.numerator  # whole numbers: called for every event


def frame_of_position_ms(position_ms: int, fps: Fraction = DEFAULT_FPS) -> int:
    """Frame whose interval holds ``position_ms``, by exact integer arithmetic."""
    return position_ms * fps.numerator // (1000 * fps.denominator)


def num_frames_of_duration(duration_s: Fraction, fps: Fraction = DEFAULT_FPS) -> int:
    """Number of frames ``k`` whose middle ``(k + 1/2) / fps`` lies before ``duration_s``."""
    return max(0, math.ceil(duration_s * fps - Fraction(1, 2)))


def game_time(position_ms: int, half: int = 1) -> str:
    """SoccerNet's clock, ``"1 - 05:07"``: half, minutes and seconds, both two digits."""
    minutes, seconds = divmod(position_ms // 1000, 60)
    return f"{half} - {minutes:02d}:{seconds:02d}"


def parse_game_time(text: str) -> tuple[int, int]:
    """``"1 - 05:07"`` -> (half, whole seconds).

    Raises:
        AnnotationError: ``text`` does not have that form.
    """
    match = _GAME_TIME.fullmatch(text)
    if match is None or int(match[3]) >= 60:
        raise AnnotationError(f'gameTime is {text!r}; it must look like "1 - 05:07" (half - minutes:seconds)')
    return int(match[1]), 60 * int(match[2]) + int(match[3])


def parse_fps(text: str | int | float | Fraction) -> Fraction:
    """``25``, ``12.5``, ``"30000/1001"`` -> an exact positive rate in frames per second.

    Raises:
        ValueError: not a positive finite number.
    """
    if isinstance(text, str) and (len(text) > 40 or "e" in text.lower()):  # an exponent may ask for a huge number
        raise ValueError(f"fps is {text[:40]!r}; give a number such as 25, 12.5 or 30000/1001")
    try:
        fps = Fraction(str(text)) if isinstance(text, float) else Fraction(text)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
        raise ValueError(f"fps is {text!r}; give a number such as 25, 12.5 or 30000/1001") from error
    if not 0 < fps <= 1000:
        raise ValueError(f"fps is {text!r}; it must lie above 0 and at most 1000")
    return fps
