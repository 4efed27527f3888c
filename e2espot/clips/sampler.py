"""Which clips an epoch is made of: pure index arithmetic from (seed, epoch, index), no video touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from e2espot.core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """One clip: frames ``[start, start + length)`` of the grid of one video; parts outside it are padding."""

    video: int
    """Position of the video in the list the sampler was given."""
    start: int
    """First frame; negative where the clip hangs over the beginning."""
    length: int
    """Frames."""


@dataclass(frozen=True, kw_only=True)
class LabelledVideo:
    """What the sampler must know of a video."""

    num_frames: int
    """Length of the grid."""
    event_frames: tuple[int, ...]
    """Frame of each event, any order."""
    event_targets: tuple[int, ...]
    """Class of each event, 1 for the first of the label set."""
    event_teams: tuple[str, ...] = ()
    """Side of each event where it is known: left, right, or anything else."""
    negative_frames: tuple[int, ...] = ()
    """Frames where another spotter was sure of an event that is none."""
    negative_weights: tuple[float, ...] = ()
    """How often each of them is to be drawn, in relation to the others."""


@dataclass(frozen=True, kw_only=True)
class ClipSampler:
    """A share of the clips around events with jitter, the rest spread over all frames.

    Any clip of any epoch can be rebuilt alone: its random numbers come from a counter-based
    generator keyed by (seed, epoch, index), never from the rank, the worker or the clock.
    """

    videos: Sequence[LabelledVideo]
    """The training videos."""
    clip_len: int
    """Frames of a clip."""
    num_clips: int
    """Clips of one epoch."""
    seed: int = 0
    """Start of all randomness."""
    event_fraction: float = 0.5
    """Share of clips placed around an event, 0 to 1."""
    class_shares: tuple[float, ...] | None = None
    """Wanted share of each class among event clips; None takes every event alike."""
    negative_fraction: float = 0.0
    """Share of clips placed around hard negatives, where there are any."""
    overhang: int = 5
    """Frames that a clip may reach beyond either end of a video."""
    _events: tuple[np.ndarray, np.ndarray, np.ndarray] = field(init=False, repr=False, compare=False)
    _negatives: tuple[np.ndarray, np.ndarray, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings and lay out all events as (video, frame, probability)."""
        shares = (self.event_fraction, self.negative_fraction, self.event_fraction + self.negative_fraction)
        if not self.videos or self.clip_len <= 0 or self.num_clips <= 0 or min(shares) < 0 or max(shares) > 1:
            raise ConfigurationError(
                f"cannot sample {self.num_clips} clips of {self.clip_len} frames from {len(self.videos)} videos with "
                f"event_fraction {self.event_fraction} and negative_fraction {self.negative_fraction}; give at least "
                "one video, positive counts, shares in [0, 1] with a sum of at most 1"
            )
        video = np.repeat(np.arange(len(self.videos)), [len(v.event_frames) for v in self.videos])
        frame = np.array([f for v in self.videos for f in v.event_frames], dtype=np.int64)
        target = np.array([c for v in self.videos for c in v.event_targets], dtype=np.int64)
        object.__setattr__(self, "_events", (video, frame, self._event_probabilities(target)))
        video = np.repeat(np.arange(len(self.videos)), [len(v.negative_frames) for v in self.videos])
        frame = np.array([f for v in self.videos for f in v.negative_frames], dtype=np.int64)
        weight = np.array([w for v in self.videos for w in v.negative_weights], dtype=np.float64)
        object.__setattr__(self, "_negatives", (video, frame, weight / max(weight.sum(), 1e-12)))

    def _event_probabilities(self, target: np.ndarray) -> np.ndarray:
        if self.class_shares is None or not len(target):
            return np.full(len(target), 1 / max(1, len(target)))
        shares = np.asarray((0.0, *self.class_shares))
        if target.max() >= len(shares) or shares.min() < 0 or shares[target].sum() == 0:
            raise ConfigurationError(
                f"class_shares {self.class_shares} must give each class a share of at least 0, and one that occurs more"
            )
        weight = shares[target] / np.bincount(target, minlength=len(shares))[target]
        return np.asarray(weight / weight.sum())

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``; the same three numbers always give the same clip."""
        rng = np.random.default_rng((self.seed, epoch, index, 0))
        drawn = rng.random() if len(self._events[1]) or self.negative_fraction else 1.0
        around = self._events if drawn < self.event_fraction else self._negatives
        if drawn < self.event_fraction + self.negative_fraction and len(around[1]):
            videos, frames, probabilities = around
            event = int(rng.choice(len(frames), p=probabilities))
            video = int(videos[event])
            # The event may stand anywhere in the clip, so its place says nothing about it.
            start = int(frames[event]) - int(rng.integers(self.clip_len))
        else:
            lengths = np.array([v.num_frames for v in self.videos], dtype=np.float64)
            video = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
            first, last = self._limits(video)
            start = int(rng.integers(first, last + 1))
        first, last = self._limits(video)
        return ClipSpec(video=video, start=min(max(start, first), last), length=self.clip_len)

    def _limits(self, video: int) -> tuple[int, int]:
        """Smallest and largest start of a clip in ``video``."""
        first = -self.overhang
        return first, max(first, self.videos[video].num_frames + self.overhang - self.clip_len)


class Sampler(Protocol):
    """Whatever says which clips an epoch is made of."""

    @property
    def num_clips(self) -> int:
        """Clips of one epoch."""

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``; the same two numbers always give the same clip."""


@dataclass(frozen=True, kw_only=True)
class JointSampler:
    """Two data sets in one epoch; the videos of the second come behind those of the first."""

    first: ClipSampler
    """Clips of the data set that is judged."""
    second: ClipSampler
    """Clips of the one beside it."""
    second_fraction: float
    """Share of clips from the second, 0 to 1."""

    @property
    def num_clips(self) -> int:
        """Clips of one epoch, of both together."""
        return self.first.num_clips

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``."""
        if np.random.default_rng((self.first.seed, epoch, index, 5)).random() >= self.second_fraction:
            return self.first.clip(epoch, index)
        clip = self.second.clip(epoch, index)
        return replace(clip, video=clip.video + len(self.first.videos))
