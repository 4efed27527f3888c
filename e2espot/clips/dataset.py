"""Clips with their targets, decoded by worker processes ahead of the training step.

    sampler.clip(epoch, index) -> ClipSpec -> ClipDataset (worker) -> ClipSample
        -> collate (worker) -> ClipBatch -> shared memory -> load_clips (training process)

Pixels stay uint8 up to the training device. A problem in a worker arrives in the training process as one
error that names the video.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from e2espot.clips.sampler import ClipSpec, LabelledVideo, Sampler
from e2espot.clips.targets import ClipTargets, TargetBatch, clip_targets
from e2espot.clips.workers import load_batches
from e2espot.core.errors import AnnotationError, one_line
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import frame_of_position_ms, position_ms_of_frame
from e2espot.files.npz import read_arrays

if TYPE_CHECKING:
    from e2espot.video import FrameReader, HostBackend, VideoIndex
    from e2espot.video.preparation import Preparation

_LOG = logging.getLogger(__name__)
_MAX_OPEN_READERS = 4
"""Readers that a worker keeps open; each holds a decoder and a chunk of compressed video."""


@dataclass(frozen=True, kw_only=True)
class TrainingVideo:
    """A video to learn from."""

    path: Path
    """The file."""
    labelled: LabelledVideo
    """Its length and events."""
    video_stream: int | None = None
    """Number of the stream among the video streams of the file; None for the one that players choose."""
    tracks_path: Path | None = None
    """``tracks.npz`` of a rendered match: the ball's position at 25 fps."""
    joint: bool = False
    """Whether it belongs to the second of two datasets, which has classes of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSample:
    """One clip as a worker delivers it."""

    frames: Any
    """uint8 RGB THWC; where DALI decodes, a ``dali_pipelines.clips.EncodedClip``."""
    targets: ClipTargets
    """What the network should answer."""
    epoch: int
    """Epoch of the clip."""
    index: int
    """Index of the clip in the epoch."""
    prepared: dict[Path, Preparation] = field(default_factory=dict)
    """How pictures of its files were prepared, for those that are not plain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBatch:
    """Input of one training step, still on the host."""

    frames_BTHWC: Tensor
    """uint8 RGB; invalid frames are zero."""
    targets: TargetBatch
    """What the network should answer, before augmentation."""
    epoch: int
    """Epoch of the clips."""
    indexes: tuple[int, ...]
    """Index of each clip in the epoch; with (seed, epoch) it determines the clip."""


class ClipDataset(Dataset[ClipSample]):
    """Decodes a clip by its (epoch, index).

    Args:
        videos: The videos in the sampler's order.
        sampler: Which clips an epoch consists of.
        fps: Rate of the frame grid.
        size: Width and height of the frames, in pixels.
        label_radius: Frames to each side of an event that carry its class.
        reader: What decodes the videos.
        pictures: How pictures may be prepared; see ``open_reader``.
    """

    def __init__(
        self,
        videos: list[TrainingVideo],
        sampler: Sampler,
        *,
        fps: Fraction,
        size: tuple[int, int],
        label_radius: int,
        reader: HostBackend = "auto",
        pictures: PictureOptions | None = None,
    ) -> None:
        self.videos, self.sampler, self.fps, self.size = videos, sampler, fps, size
        self.label_radius, self.reader = label_radius, reader
        self.pictures = pictures or PictureOptions()
        self.prepared: dict[Path, Preparation] = {}
        """How pictures of a video are prepared, for those of which clips have arrived and are not plain."""
        self._readers: OrderedDict[int, FrameReader] = OrderedDict()
        self._damaged: set[int] = set()
        self._num_numbers = 1 + max((n for video in videos for n in video.labelled.unannotated_targets), default=0)

    def __len__(self) -> int:
        """Clips per epoch."""
        return self.sampler.num_clips

    def path_of(self, key: tuple[int, int]) -> Path:
        """The video that the clip of (epoch, index) is cut from."""
        return self.videos[self.sampler.clip(*key).video].path

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:  # type: ignore[override]
        """Clip of (epoch, index)."""
        epoch, index = key
        clip = self.sampler.clip(epoch, index)
        video = self.videos[clip.video]
        targets = clip_targets(
            clip,
            video.labelled,
            label_radius=self.label_radius,
            joint=video.joint,
            num_numbers=self._num_numbers,
        )
        frames, valid_T = self._frames(clip, targets.valid_T)
        targets = dataclasses.replace(targets, valid_T=valid_T, ball_T2=self._ball(clip, video, valid_T))
        return ClipSample(
            frames=frames,
            targets=targets,
            epoch=epoch,
            index=index,
            prepared={path: preparation for path, _, preparation in self._parts(clip) if not preparation.is_plain},
        )

    def _frames(self, clip: ClipSpec, inside_T: np.ndarray) -> tuple[Any, np.ndarray]:
        """Frames of a clip, and which of them are valid.

        ``inside_T`` marks the frames inside the video. The decoder invents pixels after damage, and holds the last
        picture where the clock leaps; such frames become zero and invalid.
        """
        width, height = self.size
        frames_THWC, valid_T = np.zeros((clip.length, height, width, 3), dtype=np.uint8), inside_T.copy()
        # start -2, 5 frames, video of 100: inside_T = [F, F, T, T, T], t_N = [2, 3, 4], frames [0, 1, 2] are read.
        t_N = np.flatnonzero(inside_T)
        if len(t_N):
            reader, frames = self._reader(clip.video), [int(frame) for frame in clip.start + t_N]
            frames_THWC[t_N] = reader.read(frames)
            not_seen = t_N[~reader.is_reliable(frames)]
            frames_THWC[not_seen], valid_T[not_seen] = 0, False
            if len(not_seen) and clip.video not in self._damaged:
                self._damaged.add(clip.video)
                _LOG.warning(
                    "%s: parts of it are damaged or missing; clips leave those frames out", self.videos[clip.video].path
                )
        return frames_THWC, valid_T

    def _parts(self, clip: ClipSpec) -> list[tuple[Path, VideoIndex, Preparation]]:
        """Path, index and preparation of each file that holds frames of a clip: one, except where a file ends."""
        from e2espot.video.index import frames_of_file
        from e2espot.video.parts import indexes_of
        from e2espot.video.preparation import preparation_of

        video = self.videos[clip.video]
        indexes = [
            index
            for index in indexes_of(video.path, video_stream=video.video_stream)
            if max(clip.start, (frames := frames_of_file(index, self.fps)).start)
            < min(clip.start + clip.length, frames.stop)
        ]
        return [(index.path, index, preparation_of(index, self.pictures)) for index in indexes]

    def _reader(self, video: int) -> FrameReader:
        from e2espot.video import open_reader

        if video not in self._readers:
            while len(self._readers) >= _MAX_OPEN_READERS:  # close the one that was used longest ago
                self._readers.popitem(last=False)[1].close()
            self._readers[video] = open_reader(
                self.videos[video].path,
                fps=self.fps,
                size=self.size,
                reader=self.reader,
                video_stream=self.videos[video].video_stream,
                pictures=self.pictures,
            )
        self._readers.move_to_end(video)
        return self._readers[video]

    def _ball(self, clip: ClipSpec, video: TrainingVideo, valid_T: np.ndarray) -> np.ndarray:
        """Ball position of each valid frame, NaN elsewhere; from the track's 25 fps to the clip's rate."""
        ball_T2 = np.full((clip.length, 2), np.nan, dtype=np.float32)
        if video.tracks_path is None:
            return ball_T2
        from e2espot.video.preparation import positions_within, window_of

        position_N2, visible_N = read_ball_track(video.tracks_path)
        # Tracks count on the whole picture, the frames show what is left of it without bars. A match with tracks is
        # one file.
        for _, index, preparation in self._parts(clip)[:1]:
            position_N2 = positions_within(position_N2, window_of(index, preparation))
        for t in np.flatnonzero(valid_T):
            # Grid of 12.5 fps: frame 3 has its middle at 280 ms, which is in frame 7 of the track.
            track_frame = frame_of_position_ms(position_ms_of_frame(int(clip.start + t), self.fps))
            if track_frame < len(position_N2) and visible_N[track_frame]:
                ball_T2[t] = position_N2[track_frame]
        return ball_T2


def read_ball_track(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ball positions of a ``tracks.npz``.

    Returns:
        ``(N, 2)`` fractions of width and height, and bool ``(N,)`` whether the ball is visible, for frames at 25 fps.

    Raises:
        AnnotationError: not such a file, or a damaged one.
    """
    try:
        tracks = read_arrays(path)
        position_N2, visible_N = tracks["ball_xy"], tracks["ball_visible"]
        if (
            position_N2.dtype.kind != "f"
            or visible_N.dtype.kind != "b"
            or position_N2.shape != (len(visible_N), 2)
            or visible_N.ndim != 1
        ):
            raise ValueError("ball_xy must hold two floats per frame, ball_visible one bool per frame")
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise AnnotationError(
            f"{path}: not the tracks of a rendered match ({one_line(error)}); render it again or remove it"
        ) from None
    return position_N2, visible_N


def _collate(clips: list[ClipSample]) -> ClipBatch:
    return ClipBatch(
        frames_BTHWC=torch.from_numpy(np.stack([clip.frames for clip in clips])),
        targets=TargetBatch.stack([clip.targets for clip in clips]),
        epoch=clips[0].epoch,
        indexes=tuple(clip.index for clip in clips),
    )


def load_clips(
    dataset: ClipDataset,
    *,
    epoch: int,
    batch_size: int,
    first_step: int = 0,
    num_workers: int = 1,
    slots: range | None = None,
) -> Iterator[ClipBatch]:
    """Batches of one epoch in order, from ``first_step`` on: skipping is arithmetic, nothing is decoded for it.

    Args:
        dataset: The clips.
        epoch: Which epoch.
        batch_size: Clips per batch, over all processes of the run.
        first_step: Batches to skip.
        num_workers: Decoding processes; 0 decodes in this process.
        slots: Positions in each batch that this process reads; None for all.

    Raises:
        E2ESpotError: what a worker raised.
        VideoError: a worker failed, died or hangs.
    """
    return load_batches(
        dataset,
        epoch=epoch,
        batch_size=batch_size,
        first_step=first_step,
        num_workers=num_workers,
        slots=slots,
        collate=_collate,
    )
