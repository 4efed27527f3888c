"""Times of a file whose clock was restarted: where it was, and what is added to its times from there on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from e2espot.core.timeline import MAX_DURATION_S, clock_text

_LOG = logging.getLogger(__name__)

MIN_STEP_S = Fraction(1, 1000)
"""Distance to the previous picture of a picture whose time would go back a little."""
_MAX_STEP_BACK_S = Fraction(1, 2)
"""Steps back up to this are single wrong stamps; farther ones mean that the clock was set again."""
_MAX_LINES = 20
"""Restarts that are logged one by one; a file with more is beyond reading."""


@dataclass(frozen=True, kw_only=True)
class Restart:
    """A picture at which the clock of a file was set again."""

    picture: int
    """Its number, counted from 0 in order of display."""
    position_s: Fraction
    """Seconds from the first picture to it, in the new file."""
    offset_s: Fraction
    """Seconds that are added to the file's times from it on."""


class ContinuousClock:
    """Times of the new file: those of the source, without steps back."""

    def __init__(self, period_s: Fraction) -> None:
        """Place pictures without a time of their own ``period_s`` after the previous one."""
        self._period_s = period_s
        self._first_s = self._previous_s = Fraction(0)
        self._offset_s = self._offset_before_jump_s = Fraction(0)
        self._num_pictures = 0
        self._is_unconfirmed = False  # whether the previous picture was the first one after a jump
        self.restarts: list[Restart] = []
        """Where the clock was restarted, in order."""

    def position(self, source_s: Fraction | None) -> Fraction:
        """Time of the next picture in seconds, always later than the previous one's.

        A step back of more than ``_MAX_STEP_BACK_S`` is a clock that was set again: pictures follow one period apart,
        and the offset stays. So is a leap forward past the longest match. Example at 25 fps:
        3.92, 3.96, 1.96, 2.00 -> 3.92, 3.96, 4.00, 4.04, with an offset of 2.04.
        """
        number, self._num_pictures = self._num_pictures, self._num_pictures + 1
        if number == 0:
            self._first_s = self._previous_s = source_s or Fraction(0)
            return self._previous_s
        following_s = self._previous_s + self._period_s
        position_s = following_s if source_s is None else source_s + self._offset_s
        is_jump = source_s is not None and not (
            self._previous_s - _MAX_STEP_BACK_S <= position_s <= self._first_s + MAX_DURATION_S
        )
        was_unconfirmed, self._is_unconfirmed = self._is_unconfirmed, is_jump
        if source_s is not None and is_jump:
            self._offset_before_jump_s, self._offset_s = self._offset_s, following_s - source_s
            position_s = following_s
            self._record(number, position_s)
        elif source_s is not None and self._is_on_clock_before_jump(source_s):
            self._offset_s = self._offset_before_jump_s
            position_s = source_s + self._offset_s
            if was_unconfirmed:  # a single wrong stamp, not another clock
                self.restarts.pop()
            else:
                self._record(number, position_s)
        self._previous_s = max(position_s, self._previous_s + MIN_STEP_S)
        return self._previous_s

    def _is_on_clock_before_jump(self, source_s: Fraction) -> bool:
        """Whether a picture goes on from the previous one by the clock before the last jump, and not by that after."""
        since_previous_s = source_s + self._offset_before_jump_s - self._previous_s
        return self._offset_s != self._offset_before_jump_s and 0 < since_previous_s <= _MAX_STEP_BACK_S

    def _record(self, picture: int, position_s: Fraction) -> None:
        self.restarts.append(Restart(picture=picture, position_s=position_s - self._first_s, offset_s=self._offset_s))


def log_restarts(path: Path, restarts: list[Restart]) -> None:
    """Log one line for each restart: when and at which picture it is, and what is added from there on."""
    for restart in restarts[:_MAX_LINES]:
        _LOG.warning(
            "%s: its clock was restarted at %s, picture %d; %.3f s are added to its times from there on",
            path,
            clock_text(restart.position_s),
            restart.picture,
            float(restart.offset_s),
        )
    if len(restarts) > _MAX_LINES:
        _LOG.warning("%s: its clock was restarted %d more times", path, len(restarts) - _MAX_LINES)
