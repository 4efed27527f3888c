"""Which frames of a damaged or truncated video could be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from e2espot.core.timeline import minutes_text


@dataclass(frozen=True, kw_only=True)
class ReadCoverage:
    """The frame ranges that were read from a video that could not be read in full."""

    ranges: tuple[range, ...]
    """Frames of the grid that were read: ascending, not adjacent, none empty."""
    declared_duration_s: Fraction | None = None
    """Duration the container declares, in seconds from its time zero; None if it declares no more than was read."""

    def mask(self, num_frames: int) -> np.ndarray:
        """Which frames were read: bool ``(num_frames,)``."""
        valid_T = np.zeros(num_frames, dtype=bool)
        for frames in self.ranges:
            valid_T[frames.start : frames.stop] = True
        return valid_T

    def clamp(self, frame: int, anchor: int) -> int:
        """``frame``, limited to the range that holds the frame ``anchor``.

        ::

            ranges = [0, 50) and [75, 90), anchor = 80:  60 -> 75,  82 -> 82,  95 -> 89
        """
        frames = next(frames for frames in self.ranges if anchor in frames)
        return min(max(frame, frames.start), frames.stop - 1)

    def ranges_ms(self, fps: Fraction) -> list[tuple[int, int]]:
        """Start and end of each range in whole milliseconds; the end is exclusive."""
        return [(int(frames.start * 1000 / fps), int(frames.stop * 1000 / fps)) for frames in self.ranges]

    def describe(self, fps: Fraction) -> str:
        """One line for the user, such as ``0:00.0 to 1:01.4, of 90:00.0 promised``."""
        parts = [f"{minutes_text(start_ms)} to {minutes_text(stop_ms)}" for start_ms, stop_ms in self.ranges_ms(fps)]
        text = " and ".join(parts) or "nothing"
        if self.declared_duration_s is None:
            return text
        return f"{text}, of {minutes_text(int(1000 * self.declared_duration_s))} promised"


def ranges_of_mask(valid_T: Sequence[bool] | np.ndarray) -> tuple[range, ...]:
    """Ranges of consecutive True values of a mask ``(T,)``, ascending.

    ::

        [True, True, False, True] -> (range(0, 2), range(3, 4))
    """
    # A False on each side turns every run into one rising and one falling edge.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(valid_T, dtype=np.int8), [0]))))
    return tuple(range(int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def intersect_coverage(coverages: Sequence[ReadCoverage | None], num_frames: int) -> ReadCoverage | None:
    """Frames that every reading of one video covers.

    Args:
        coverages: One for each reading; None where it read the whole video.
        num_frames: Length of the grid.

    Returns:
        The common frames, or None if every reading was complete.
    """
    partial = [coverage for coverage in coverages if coverage is not None]
    if not partial:
        return None
    valid_T = np.logical_and.reduce([coverage.mask(num_frames) for coverage in partial])
    durations_s = (coverage.declared_duration_s for coverage in partial)
    return ReadCoverage(
        ranges=ranges_of_mask(valid_T),
        declared_duration_s=next((duration_s for duration_s in durations_s if duration_s is not None), None),
    )
