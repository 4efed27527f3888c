"""Which windows or chunks of features an epoch consists of: pure functions of (seed, epoch, index).

NetVLAD++ cuts halves into consecutive windows; CALF draws chunks by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.core.errors import ConfigurationError

_MOST_TRIES = 50
"""Positions that are drawn for a chunk without events before the last one is taken as it is."""


@dataclass(frozen=True, kw_only=True)
class WindowSampler:
    """Consecutive windows without overlap, each once in a new order before any comes again.

    An epoch goes on where the one before ended::

        # 5 windows, 3 a epoch: epoch 0 takes the first 3 of order 0, epoch 1 its last 2 and the first of order 1
    """

    videos: Sequence[LabelledVideo]
    """The training files."""
    clip_len: int
    """Rows of a window."""
    num_clips: int
    """Windows per epoch."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        """Refuse files without a single row."""
        if not self.videos or self.clip_len <= 0 or self.num_clips <= 0:
            raise ConfigurationError(
                f"cannot cut {self.num_clips} windows of {self.clip_len} rows from {len(self.videos)} files"
            )

    @cached_property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """(Video, first row) of every window: 0, L, 2 L, ... below the last row; at least one of each file."""
        return tuple(
            (number, start)
            for number, video in enumerate(self.videos)
            for start in range(0, max(1, video.num_frames - 1), self.clip_len)
        )

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Window ``index`` of ``epoch``."""
        number = epoch * self.num_clips + index
        order = _permutation(self.seed, number // len(self.windows), len(self.windows))
        video, start = self.windows[int(order[number % len(self.windows)])]
        return ClipSpec(video=video, start=start, length=self.clip_len)


@lru_cache(maxsize=4)
def _permutation(seed: int, cycle: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, cycle, 7)).permutation(count)


@dataclass(frozen=True, kw_only=True)
class ChunkSampler:
    """Chunks around an event of a class that is drawn first, or without any event: each class as often, and none too.

    The event is between a third and two thirds of the way into the chunk.
    """

    videos: Sequence[LabelledVideo]
    """The training files."""
    clip_len: int
    """Rows of a chunk."""
    num_clips: int
    """Chunks per epoch."""
    num_classes: int
    """Classes; those without an event are not drawn."""
    seed: int = 0
    """Seed of all randomness."""
    _events: dict[int, list[tuple[int, int]]] = field(init=False, repr=False, compare=False)
    """Class -> (video, row) of its events."""

    def __post_init__(self) -> None:
        """Sort events by class."""
        events: dict[int, list[tuple[int, int]]] = {}
        for number, video in enumerate(self.videos):
            for row, target in zip(video.event_frames, video.event_targets, strict=True):
                events.setdefault(target, []).append((number, row))
        if not events:
            raise ConfigurationError("chunks are drawn around events, and the labels hold none")
        object.__setattr__(self, "_events", dict(sorted(events.items())))

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Chunk ``index`` of ``epoch``."""
        rng = np.random.default_rng((self.seed, epoch, index, 8))
        classes = list(self._events.values())
        kind = int(rng.integers(len(classes) + 1))
        if kind == len(classes):
            return self._without_event(rng)
        video, row = classes[kind][int(rng.integers(len(classes[kind])))]
        third = self.clip_len // 3
        start = row - int(rng.integers(third, max(third + 1, 2 * third)))
        return self._within(video, start)

    def _without_event(self, rng: np.random.Generator) -> ClipSpec:
        lengths = np.array([video.num_frames for video in self.videos], dtype=np.float64)
        clip = self._within(0, 0)
        for _ in range(_MOST_TRIES):
            video = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
            clip = self._within(video, int(rng.integers(self.videos[video].num_frames)))
            rows = self.videos[video].event_frames
            if not any(clip.start <= row < clip.start + self.clip_len for row in rows):
                break
        return clip

    def _within(self, video: int, start: int) -> ClipSpec:
        latest = max(0, self.videos[video].num_frames - self.clip_len)
        return ClipSpec(video=video, start=min(max(start, 0), latest), length=self.clip_len)
