"""Which clips an epoch consists of.

Pure index arithmetic on (seed, epoch, index); no video is opened::

    LabelledVideo ... -> ClipSampler(seed) -> clip(epoch, index) -> ClipSpec(video, start, length)

The reader turns a ``ClipSpec`` into frames, ``clips.targets`` turns it into targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Protocol

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """One clip: frames ``[start, start + length)`` on the grid of one video; frames outside the video are padding."""

    video: int
    """Index of the video in the sampler's list."""
    start: int
    """First frame; negative where the clip begins before the video does."""
    length: int
    """Number of frames."""


@dataclass(frozen=True, kw_only=True)
class LabelledVideo:
    """What the sampler and the targets need to know about a video."""

    num_frames: int
    """Length of the video on the grid."""
    annotated: tuple[range, ...] | None = None
    """Frames in which every event has a label: ascending, not adjacent, none empty; None for the whole video."""
    unsure: tuple[range, ...] = ()
    """Frames in which an event may be hidden: without a label they are not background. In the form of ``annotated``."""
    event_frames: tuple[int, ...]
    """Frame of each event, in any order."""
    event_targets: tuple[int, ...]
    """Class of each event, 1 for the first class of the label set."""
    unannotated_targets: tuple[int, ...] = ()
    """Classes that were not annotated, numbered alike: their absence from the labels teaches nothing."""
    event_teams: tuple[str, ...] = ()
    """Team of each event: left, right, or anything else for unknown; empty where no team is known."""
    negative_frames: tuple[int, ...] = ()
    """Frames of hard negatives: what looks like an event and is none."""
    negative_weights: tuple[float, ...] = ()
    """Relative sampling weight of each hard negative."""

    @property
    def num_annotated(self) -> int:
        """Number of frames that can be learnt from."""
        return self.num_frames if self.annotated is None else sum(map(len, self.annotated))

    def is_annotated(self, frame: int) -> bool:
        """Whether a missing label at ``frame`` means that nothing happens there."""
        return self.annotated is None or any(frame in frames for frames in self.annotated)

    def is_background(self, frame: int) -> bool:
        """Whether nothing happens at a ``frame`` without a label."""
        return self.is_annotated(frame) and not any(frame in frames for frames in self.unsure)


_Anchors = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Frames to sample clips around, as columns: video, frame, probability."""


@dataclass(frozen=True, kw_only=True)
class ClipSampler:
    """Samples a fraction of the clips around events, with jitter, and the rest uniformly over all frames.

    Any clip of any epoch can be computed alone: its random numbers come from a generator seeded with
    (seed, epoch, index), never from the rank, the worker or the clock.
    """

    videos: Sequence[LabelledVideo]
    """The training videos."""
    clip_len: int
    """Frames per clip."""
    num_clips: int
    """Clips per epoch."""
    seed: int = 0
    """Seed of all randomness."""
    event_fraction: float = 0.5
    """Fraction of clips around an event, 0 to 1."""
    class_shares: tuple[float, ...] | None = None
    """Wanted share of each class among those clips; None samples every event equally often."""
    negative_fraction: float = 0.0
    """Fraction of clips around hard negatives, where there are any."""
    overhang: int = 5
    """Frames by which a clip may extend beyond either end of a video."""
    _events: _Anchors = field(init=False, repr=False, compare=False)
    """Events of all videos."""
    _negatives: _Anchors = field(init=False, repr=False, compare=False)
    """Hard negatives of all videos."""

    def __post_init__(self) -> None:
        """Check the parameters and collect events and hard negatives of all videos in columns."""
        fractions = (self.event_fraction, self.negative_fraction, self.event_fraction + self.negative_fraction)
        if not self.videos or self.clip_len <= 0 or self.num_clips <= 0 or min(fractions) < 0 or max(fractions) > 1:
            raise ConfigurationError(
                f"cannot sample {self.num_clips} clips of {self.clip_len} frames from {len(self.videos)} videos with "
                f"event_fraction {self.event_fraction} and negative_fraction {self.negative_fraction}; give at least "
                "one video, positive counts, and fractions in [0, 1] with a sum of at most 1"
            )
        if not any(video.num_annotated for video in self.videos):
            raise ConfigurationError(
                f"nothing was annotated in {counted(len(self.videos), 'video')}; check what the label "
                "files and the option say about it",
                option="annotated",
            )
        # Two videos with events (5, 9) and (7,): video = (0, 0, 1), frame = (5, 9, 7).
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
                f"class_shares {self.class_shares} must give each class a share of at least 0, and more than 0 to a "
                "class that occurs"
            )
        # A class shares its probability among its events: targets (1, 1, 2), shares (0.5, 0.5) -> (1/4, 1/4, 1/2).
        weight = shares[target] / np.bincount(target, minlength=len(shares))[target]
        return np.asarray(weight / weight.sum())

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``; the same (seed, epoch, index) always gives the same clip."""
        rng = np.random.default_rng((self.seed, epoch, index, 0))
        # One number decides what the clip is sampled around:
        # 0 ... event_fraction ... event_fraction + negative_fraction ... 1
        #    an event            a hard negative                    any frame
        kind = rng.random() if len(self._events[1]) or self.negative_fraction else 1.0
        anchors = self._events if kind < self.event_fraction else self._negatives
        if kind < self.event_fraction + self.negative_fraction and len(anchors[1]):
            video, start = self._start_around(anchors, rng)
        else:
            video, start = self._start_anywhere(rng)
        smallest, largest = self._start_range(video)
        return ClipSpec(video=video, start=min(max(start, smallest), largest), length=self.clip_len)

    def _start_around(self, anchors: _Anchors, rng: np.random.Generator) -> tuple[int, int]:
        """(video, start) of a clip around one of ``anchors``."""
        videos, frames, probabilities = anchors
        anchor = int(rng.choice(len(frames), p=probabilities))
        # The anchor may be any frame of the clip, so that its position in the clip gives nothing away.
        # Anchor 100, clips of 50 frames -> starts 51 .. 100.
        return int(videos[anchor]), int(frames[anchor]) - int(rng.integers(self.clip_len))

    def _start_anywhere(self, rng: np.random.Generator) -> tuple[int, int]:
        """(video, start) of a clip anywhere, each video in proportion to its annotated length."""
        lengths = np.array([v.num_annotated for v in self.videos], dtype=np.float64)
        video = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
        annotated = self.videos[video].annotated
        if annotated is not None:
            # Around any annotated frame. Ranges [0, 5) and [20, 25), number 7 of their 10 frames -> frame 22.
            number = int(rng.integers(self.videos[video].num_annotated))
            frame = next(islice(chain.from_iterable(annotated), number, None))
            return video, frame - int(rng.integers(self.clip_len))
        smallest, largest = self._start_range(video)
        return video, int(rng.integers(smallest, largest + 1))

    def _start_range(self, video: int) -> tuple[int, int]:
        """Smallest and largest start of a clip in ``video``.

        # overhang 2, video of 10 frames (#), clips of 6: starts -2 .. 6
        #   ..##########..
        #   [----]
        #           [----]
        """
        smallest = -self.overhang
        return smallest, max(smallest, self.videos[video].num_frames + self.overhang - self.clip_len)


class Sampler(Protocol):
    """Decides which clips an epoch consists of."""

    @property
    def num_clips(self) -> int:
        """Clips per epoch."""

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``; the same two numbers always give the same clip."""


@dataclass(frozen=True, kw_only=True)
class JointSampler:
    """Two datasets in one epoch; the videos of the second follow those of the first in the list."""

    first: ClipSampler
    """Clips of the dataset that is validated."""
    second: ClipSampler
    """Clips of the dataset that is learnt alongside."""
    second_fraction: float
    """Fraction of clips from the second dataset, 0 to 1."""

    @property
    def num_clips(self) -> int:
        """Clips per epoch, of both datasets together."""
        return self.first.num_clips

    def clip(self, epoch: int, index: int) -> ClipSpec:
        """Clip ``index`` of ``epoch``."""
        if np.random.default_rng((self.first.seed, epoch, index, 5)).random() >= self.second_fraction:
            return self.first.clip(epoch, index)
        clip = self.second.clip(epoch, index)
        return replace(clip, video=clip.video + len(self.first.videos))
