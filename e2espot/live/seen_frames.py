"""Which frames of a stream were seen, and for which of them a score is final."""

from __future__ import annotations

from collections import deque

from e2espot.core.coverage import ReadCoverage


class SeenFrames:
    """Counts the frames of a stream: one entry for each that waits for its score, ranges for all before it."""

    def __init__(self) -> None:
        self.num_frames = 0
        """Frames up to now, those that were not seen included."""
        self.num_scored = 0
        """Frames whose scores are final, the first of them."""
        self._waiting: deque[bool] = deque()
        """Whether each frame that is not scored yet was seen."""
        self._ranges: list[range] = []

    @property
    def num_waiting(self) -> int:
        """Frames that the network was given and whose scores are not final."""
        return len(self._waiting)

    def add(self, count: int, *, is_seen: bool) -> None:
        """The next frames, which the network is given."""
        if is_seen:
            start = self._ranges.pop().start if self._ranges and self._ranges[-1].stop == self.num_frames else None
            self._ranges.append(range(self.num_frames if start is None else start, self.num_frames + count))
        self._waiting.extend([is_seen] * count)
        self.num_frames += count

    def skip(self, count: int) -> None:
        """The next frames, which were not seen and which the network is not given, while no frame waits."""
        self.num_frames += count
        self.num_scored += count

    def score(self, most: int) -> list[bool]:
        """Up to ``most`` more frames have final scores; whether each of them was seen."""
        scored = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self.num_scored += len(scored)
        return scored

    def coverage(self, factor: int) -> ReadCoverage | None:
        """What was seen, on a grid of ``factor`` times as many frames; None for everything."""
        if not self.num_frames or self._ranges == [range(self.num_frames)]:
            return None
        return ReadCoverage(ranges=tuple(range(part.start * factor, part.stop * factor) for part in self._ranges))
