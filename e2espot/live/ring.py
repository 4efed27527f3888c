"""Frames that wait for the spotter: a ring of fixed size, which loses the older half when it is full."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LiveFrame:
    """One frame of the grid, as the network sees it."""

    frame: int
    """Its number. Numbers that are left out were not seen."""
    rgb_HWC: np.ndarray
    """uint8."""
    arrival_s: float
    """When its picture arrived, by ``time.monotonic``."""


class FrameRing:
    """Passes frames from the thread that reads to the one that spots.

    Args:
        length: Frames that may wait.
        waits: Whether ``put`` waits while the ring is full, instead of losing the older half.
    """

    def __init__(self, length: int, *, waits: bool = False) -> None:
        self._frames: deque[LiveFrame] = deque()
        self.length, self._waits = length, waits
        self._changed = threading.Condition()
        self._is_closed = False
        self.num_lost = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: LiveFrame) -> None:
        """Append a frame."""
        with self._changed:
            if self._waits:
                self._changed.wait_for(lambda: len(self._frames) < self.length or self._is_closed)
            elif len(self._frames) >= self.length:
                # Half of them: one at a time would leave every later event as late as the ring is long.
                for _ in range(max(1, self.length // 2)):
                    self._frames.popleft()
                    self.num_lost += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def take(self, count: int, timeout_s: float) -> list[LiveFrame]:
        """The next frames: ``count``, or fewer at the end or after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: len(self._frames) >= count or self._is_closed, deadline - time.monotonic())
            frames = [self._frames.popleft() for _ in range(min(count, len(self._frames)))]
            self._changed.notify_all()
            return frames

    def close(self) -> None:
        """No more frames will come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether nothing waits and nothing more will come."""
        with self._changed:
            return self._is_closed and not self._frames
