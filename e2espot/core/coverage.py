"""What could be read of a video that is damaged or breaks off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Readable:
    """The stretches of a video that were read, said only where something was not."""

    stretches: tuple[range, ...]
    """Frames of the grid that were read: in order, apart from each other, none empty."""
    promised_s: Fraction | None = None
    """Seconds from the container's zero to the end it promises; None where it says nothing beyond what was read."""

    def mask(self, num_frames: int) -> np.ndarray:
        """bool; whether each of the first ``num_frames`` frames was read."""
        valid_T = np.zeros(num_frames, dtype=bool)
        for frames in self.stretches:
            valid_T[frames.start : frames.stop] = True
        return valid_T

    def nearest_to(self, frame: int, home: int) -> int:
        """``frame``, or what comes nearest to it in the stretch that holds frame ``home``."""
        stretch = next(frames for frames in self.stretches if home in frames)
        return min(max(frame, stretch.start), stretch.stop - 1)

    def stretches_ms(self, fps: Fraction) -> list[tuple[int, int]]:
        """From and to of each stretch in whole milliseconds, the end not included."""
        return [(int(frames.start * 1000 / fps), int(frames.stop * 1000 / fps)) for frames in self.stretches]

    def words(self, fps: Fraction) -> str:
        """Such as ``0:00.0 to 1:01.4, of 90:00.0 promised``."""
        parts = [f"{_clock(start)} to {_clock(stop)}" for start, stop in self.stretches_ms(fps)]
        told = " and ".join(parts) or "nothing"
        return told if self.promised_s is None else f"{told}, of {_clock(int(1000 * self.promised_s))} promised"


def stretches_of(valid_T: Sequence[bool] | np.ndarray) -> tuple[range, ...]:
    """Runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(valid_T, dtype=np.int8), [0]))))
    return tuple(range(int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def read_by_all(found: Sequence[Readable | None], num_frames: int) -> Readable | None:
    """What several readings of one video have in common; None where each read all of it."""
    known = [readable for readable in found if readable is not None]
    if not known:
        return None
    valid_T = np.logical_and.reduce([readable.mask(num_frames) for readable in known])
    promised_s = next((readable.promised_s for readable in known if readable.promised_s is not None), None)
    return Readable(stretches=stretches_of(valid_T), promised_s=promised_s)


def _clock(at_ms: int) -> str:
    minutes, rest_ms = divmod(at_ms, 60_000)
    return f"{minutes}:{rest_ms // 1000:02d}.{rest_ms % 1000 // 100}"
