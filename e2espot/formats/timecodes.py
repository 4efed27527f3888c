"""Timecodes of editing programs, ``hh:mm:ss:ff``, where ``ff`` is the number of a frame within its second.

::

    00:01:00:00    25 frames per second        frame 1500, at 60 s
    00:01:00:00    30000/1001                  frame 1800, at 60.06 s: 30 numbers a second, so it falls behind the clock
    00:01:00;02    30000/1001, drop-frame      frame 1800: each minute but every tenth leaves out the numbers 0 and 1
"""

from __future__ import annotations

import re
from fractions import Fraction

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import fps_text

_TIMECODE = re.compile(r"(\d{1,3})[:;](\d{1,2})[:;](\d{1,2})([:;])(\d{1,3})")
_SLOWER = Fraction(1000, 1001)
"""Rates of television in America and Japan by the whole rates that their timecodes count: 30000/1001 for 30."""


def is_timecode(text: str) -> bool:
    """Whether a time has the form of a timecode."""
    return _TIMECODE.fullmatch(text) is not None


def frame_and_rate_of_timecode(text: str, fps: Fraction, context: str) -> tuple[int, Fraction]:
    """Number of the frame from 00:00:00:00 on, and the exact rate of its frames.

    Args:
        text: A timecode. One with a semicolon before the frames is drop-frame.
        fps: Frames per second; 29.97 and the like are taken for 30000/1001.
        context: What an error message calls it.

    Raises:
        AnnotationError: no such timecode at this rate.
    """
    match = _TIMECODE.fullmatch(text)
    if match is None:
        raise AnnotationError(f"{context}: timecode is {text!r:.40}; expected one such as 00:05:07:12")
    counted, exact = _counted_and_exact(fps, context)
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    if minutes >= 60 or seconds >= 60 or frames >= counted:
        raise AnnotationError(
            f"{context}: timecode is {text!r:.40}; minutes and seconds run to 59 and, at {fps_text(fps)} frames per "
            f"second, frames to {counted - 1}; check the rate"
        )
    minutes += 60 * hours
    frame = (60 * minutes + seconds) * counted + frames
    if match[4] == ";":
        left_out = counted // 15  # 2 of 30, 4 of 60
        if exact == counted or counted % 30:
            raise AnnotationError(
                f"{context}: timecode is {text!r:.40}, which is drop-frame; its rate is {fps_text(fps)}, but only "
                "29.97 and 59.94 frames per second have such timecodes"
            )
        if seconds == 0 and frames < left_out and minutes % 10:
            raise AnnotationError(f"{context}: timecode is {text!r:.40}, which drop-frame timecodes leave out")
        frame -= left_out * (minutes - minutes // 10)
    return frame, exact


def _counted_and_exact(fps: Fraction, context: str) -> tuple[int, Fraction]:
    """Frames that a timecode counts to a second, and the exact rate: 30 and 30000/1001 for 29.97."""
    counted = round(fps)
    if fps == counted:
        return counted, fps
    counted = round(fps / _SLOWER)
    if abs(fps - counted * _SLOWER) > Fraction(1, 100):
        raise AnnotationError(
            f"{context}: there are no timecodes at {fps_text(fps)} frames per second; give a whole rate, or one such "
            "as 29.97 or 24000/1001"
        )
    return counted, counted * _SLOWER
