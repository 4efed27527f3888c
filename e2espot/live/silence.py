"""When events are decided although the pictures that they wait for do not come: the time that they had is up.

An event waits for the pictures after it: those that its score looks ahead to, and those by which the suppression
decides it. With a latency of 2 s, 0.4 s of which are for the suppression, and pictures until 10.0 s:

    arrived at, s        8.0 ......... 9.0 ......... 10.0 |          nothing more
    scores are final at  9.6 .................. | now settled, each 1.6 s after its picture .. 11.6
    events are final at 10.0 .................. | ........................................... 12.0

Short pauses are no reason for that: it begins when the oldest one is late by a quarter of the latency.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction

_LOG = logging.getLogger(__name__)

TOLERANCE = 0.25
"""Share of the latency by which events may be late before they are decided with less look-ahead."""
_NOTICED_PAUSES = 3
"""Pauses without a gap in the pictures after which a message recommends a longer latency."""


class Silence:
    """Decides what is due while no picture comes.

    Args:
        latency_s: From a picture's arrival to its events; None to wait for pictures however long it takes.
        decision_frames: Frames from a score to its event at most; None for no bound.
        fps: Rate of these frames.
    """

    def __init__(self, latency_s: float | None, decision_frames: int | None, fps: Fraction) -> None:
        self._latency_s = None if decision_frames is None else latency_s
        self._score_s = (latency_s or 0.0) - float((decision_frames or 0) / fps)
        """From a picture's arrival to its score."""
        self._since_s: float | None = None
        """When the last picture arrived, once something was settled after it."""
        self._pauses_s: list[float] = []
        self._is_noticed = False

    def is_over_time(self, pending: Sequence[tuple[int, float]], now_s: float) -> bool:
        """Whether some frame is late.

        Args:
            pending: Frames that are not scored, the newest first, and when their pictures arrived; the newest one of
                all if all are scored.
            now_s: On the clock of the arrivals.
        """
        if self._latency_s is None or not pending:
            return False
        tolerance_s = TOLERANCE * self._latency_s if self._since_s is None else 0.0
        return pending[-1][1] + self._score_s + tolerance_s < now_s

    def due(self, pending: Sequence[tuple[int, float]], now_s: float) -> tuple[int, bool]:
        """What is settled now, for the frames of ``is_over_time``.

        Returns:
            The first frame whose score can still wait; whether the events of all frames are due.
        """
        assert self._latency_s is not None
        self._since_s = newest_s = pending[0][1]
        due = [frame for frame, arrival_s in pending if arrival_s + self._score_s < now_s]
        return max(due, default=-1) + 1, newest_s + self._latency_s < now_s

    def ends(self, arrival_s: float, *, is_gap: bool) -> None:
        """A picture comes again.

        Args:
            arrival_s: When it arrived.
            is_gap: Whether pictures are missing before it.
        """
        if self._since_s is None or arrival_s <= self._since_s:  # the last picture, shown without waiting for the next
            return
        pause_s, self._since_s = arrival_s - self._since_s, None
        if is_gap or self._is_noticed:
            return
        self._pauses_s.append(pause_s)
        if len(self._pauses_s) == _NOTICED_PAUSES:
            self._is_noticed = True
            _LOG.warning(
                "pictures come in bursts, up to %.1f s apart, so events at the end of each are decided without what "
                "follows; with a latency of %.0f s they would not be",
                max(self._pauses_s),
                (self._latency_s or 0.0) + max(self._pauses_s) + 1,
            )
