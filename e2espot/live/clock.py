"""The clock of a stream: time stamps that jump, wrap or are missing become times that only grow.

    packet's dts and pts -> StampFixer -> seconds that grow -> decoder -> FrameGrid -> frames of the grid

Times are exact fractions of seconds. Position 0 is the first picture that is shown.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from e2espot.core.timeline import num_frames_of_duration

WRAP_S = Fraction(1 << 33, 90_000)
"""Period of the time stamps of transport streams: 33 bits at 90 kHz, some 26.5 hours."""
GAP_S = 1
"""Longest time for which a picture is held; where more is missing, the frames count as not seen."""
TRUSTED_LEAP_S = 10
"""Longest leap forward that is taken for missing pictures whenever they arrive: segments of HLS come in bursts."""
_REORDERING_S = 2

Picture = TypeVar("Picture")


class StampFixer:
    """Corrects the time stamps of packets, in the order in which they arrive.

    A stamp that goes on from the one before is left as it is, up to a constant. A stamp that goes back, or leaps
    forward by far more time than has passed, begins a new clock, which goes on where the old one was:

    ::

        dts, s      10.00  10.04  10.08   0.50   0.54      the sender restarted after 3 s of silence
        arrives at   0.00   0.04   0.08   3.12   3.16
        time, s     10.00  10.04  10.08  13.12  13.16
    """

    def __init__(self) -> None:
        self._shift_s = Fraction(0)
        self._last_s: Fraction | None = None
        """Last decoding time, corrected."""
        self._last_arrival_s = 0.0
        self._steps_s: deque[Fraction] = deque(maxlen=49)
        self._is_new = self._has_clock = False
        self.declared_step_s = Fraction(1, 25)
        """Time between packets that the stream declares, for those without stamps."""

    @property
    def step_s(self) -> Fraction:
        """Median time between packets; what the stream declares until some are known."""
        return statistics.median(self._steps_s) if self._steps_s else self.declared_step_s

    def reconnected(self) -> None:
        """What follows is another connection, whose clock has nothing to do with the last one's."""
        self._is_new, self._has_clock = self._last_s is not None, False

    def fix(self, dts_s: Fraction | None, pts_s: Fraction | None, arrival_s: float) -> tuple[Fraction, Fraction]:
        """Corrected (decoding time, presentation time) of the next packet.

        Args:
            dts_s: Its decoding time; None if it has none.
            pts_s: Its presentation time; None if it has none.
            arrival_s: When it arrived, on any clock that only grows.
        """
        stamp_s = dts_s if dts_s is not None else pts_s
        last_s, passed_s = self._last_s, arrival_s - self._last_arrival_s
        self._last_arrival_s = arrival_s
        if last_s is None:
            time_s = stamp_s if stamp_s is not None else Fraction(0)
            self._shift_s = Fraction(0)
        elif stamp_s is None:
            time_s = last_s + (self._step_of_silence(passed_s) if self._is_new else self.step_s)
        else:
            time_s = stamp_s + self._shift_s
            if time_s < last_s - WRAP_S / 2:  # 33 bits are used up: 95443.70 -> 0.02
                self._shift_s += WRAP_S
                time_s += WRAP_S
            step_s = time_s - last_s
            is_leap = step_s > TRUSTED_LEAP_S and float(step_s) > passed_s + TRUSTED_LEAP_S
            # Without decoding times, B-frames make the stamps go back by a few pictures.
            went_back = step_s < (0 if dts_s is not None else -_REORDERING_S)
            # RTSP sends packets without stamps until its clock is known: None, None, 7.03 -> 0.00, 0.04, 0.08.
            if self._is_new or not self._has_clock or went_back or is_leap:
                time_s = last_s + self._step_of_silence(passed_s)
                self._shift_s = time_s - stamp_s
            elif 0 < step_s <= GAP_S:
                self._steps_s.append(step_s)
        self._is_new, self._has_clock = False, self._has_clock or stamp_s is not None
        self._last_s = time_s if last_s is None else max(time_s, last_s)
        # Both stamps move alike: a picture keeps its delay between decoding and showing.
        shown_s = time_s if pts_s is None or stamp_s is None else pts_s + (time_s - stamp_s)
        return time_s, shown_s

    def _step_of_silence(self, passed_s: float) -> Fraction:
        """Time between two packets of different clocks: what has passed, if it was more than packets take anyway."""
        # On one connection packets may come in bursts, so that short times say nothing; a new one takes its time.
        is_known = self._is_new or passed_s > GAP_S
        return max(self.step_s, Fraction(round(passed_s * 1000), 1000)) if is_known else self.step_s


@dataclass(frozen=True)
class GridFrame(Generic[Picture]):
    """One frame of the grid."""

    frame: int
    """Its number."""
    picture: Picture
    """What is shown."""
    arrival_s: float
    """When the picture arrived."""


class FrameGrid(Generic[Picture]):
    """Assigns pictures, in order of time, to the frames of a constant grid.

    Frame k shows the picture that is on show (k + 1/2) / fps seconds after the first one, as for files. It is known
    when the next picture arrives.
    """

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._origin_s: Fraction | None = None
        self._current: tuple[Fraction, Picture, float] | None = None
        self._next_frame = 0
        self._steps_s: deque[Fraction] = deque(maxlen=49)

    @property
    def next_frame(self) -> int:
        """Frames that have been returned."""
        return self._next_frame

    def add(
        self, time_s: Fraction, picture: Picture, arrival_s: float, *, broken: bool = False
    ) -> list[GridFrame[Picture]]:
        """Show the next picture from ``time_s`` on.

        Args:
            time_s: From the decoder; an earlier one than the last is shown from then on.
            picture: Whatever stands for the picture.
            arrival_s: When it arrived.
            broken: The connection was lost before it, so the last picture is not held.

        Returns:
            The frames that are known now; numbers that are left out were not seen.
        """
        if self._current is None or self._origin_s is None:
            self._origin_s, self._current = time_s, (time_s, picture, arrival_s)
            return []
        time_s = max(time_s, self._current[0])
        step_s = time_s - self._current[0]
        if broken or (step_s > GAP_S and step_s > 10 * self._step_s()):
            frames = self._until(min(time_s, self._current[0] + self._step_s()))
            self._next_frame = max(self._next_frame, num_frames_of_duration(time_s - self._origin_s, self._fps))
        else:
            frames = self._until(time_s)
            if step_s > 0:
                self._steps_s.append(step_s)
        self._current = time_s, picture, arrival_s
        return frames

    def finish(self) -> list[GridFrame[Picture]]:
        """The frames of the last picture, which is shown for the median duration of a picture."""
        if self._current is None:
            return []
        return self._until(self._current[0] + self._step_s())

    def duration_s(self) -> Fraction:
        """Time from the first picture to the end of the last one."""
        if self._current is None or self._origin_s is None:
            return Fraction(0)
        return self._current[0] + self._step_s() - self._origin_s

    def _step_s(self) -> Fraction:
        return statistics.median_low(self._steps_s) if self._steps_s else 1 / self._fps

    def _until(self, time_s: Fraction) -> list[GridFrame[Picture]]:
        """Frames of the current picture whose middle is before ``time_s``."""
        assert self._current is not None and self._origin_s is not None
        stop = num_frames_of_duration(time_s - self._origin_s, self._fps)
        first, self._next_frame = self._next_frame, max(self._next_frame, stop)
        return [GridFrame(frame, self._current[1], self._current[2]) for frame in range(first, self._next_frame)]
