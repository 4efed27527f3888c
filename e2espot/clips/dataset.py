"""Clips with their targets, decoded by worker processes ahead of the training step.

    sampler.clip(epoch, index) -> ClipSpec -> ClipDataset (worker) -> ClipSample
        -> collate (worker) -> ClipBatch -> shared memory -> load_clips (training process)

Pixels stay uint8 up to the training device. A problem in a worker arrives in the training process as one
error that names the video.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from e2espot.clips.sampler import ClipSpec, LabelledVideo, Sampler
from e2espot.clips.targets import ClipTargets, TargetBatch, clip_targets
from e2espot.core.errors import AnnotationError, E2ESpotError, VideoError, first_line, one_line
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import frame_of_position_ms, position_ms_of_frame
from e2espot.files.npz import read_arrays

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from e2espot.video import FrameReader, HostBackend, VideoIndex
    from e2espot.video.preparation import Preparation

_LOG = logging.getLogger(__name__)
_POLL_S, _MAX_POLLS = 5, 120
"""A worker that has delivered nothing for ten minutes hangs."""
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


def load_batches(
    dataset: ClipDataset,
    *,
    epoch: int,
    batch_size: int,
    first_step: int,
    num_workers: int,
    slots: range | None,
    collate: Callable[[list[ClipSample]], Any],
) -> Iterator[Any]:
    """What ``collate`` returns for the clips of each batch; see :func:`load_clips`."""
    num_steps = len(dataset) // batch_size
    # batch_size 4, slots (1, 3): step 0 reads clips (1, 3), step 1 reads clips (5, 7).
    local_slots = range(batch_size) if slots is None else slots
    batches = [[(epoch, step * batch_size + slot) for slot in local_slots] for step in range(first_step, num_steps)]
    loader: DataLoader[Any] = DataLoader(
        _ErrorsAsValues(dataset),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=_CollateOrFail(collate),
        num_workers=num_workers,
        # Bounds the memory: at most two batches per worker are decoded ahead.
        prefetch_factor=2 if num_workers else None,
        # A forked child would inherit locks that threads of torch or of a decoder hold at that moment.
        multiprocessing_context="forkserver" if num_workers else None,
        worker_init_fn=_exit_with_parent,
        # torch notices a dead worker only when a wait times out.
        timeout=_POLL_S if num_workers else 0,
    )
    # The loader keeps its processes to itself, but they are children of this one.
    others = set(multiprocessing.active_children())
    loaded = iter(loader)  # starts the workers
    workers = [process for process in multiprocessing.active_children() if process not in others]
    return _checked(loaded, workers, dataset, batches)


@dataclass(frozen=True)
class _Failure:
    """An exception that travels from a worker to the training process as a value."""

    error: Exception
    """What was raised for a clip."""


class _ErrorsAsValues(Dataset[ClipSample | _Failure]):
    """A dataset that returns exceptions.

    torch would raise them again with the worker's traceback in the message, and a ``RuntimeError`` of a worker
    could not be distinguished from torch's own.
    """

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> ClipSample | _Failure:  # type: ignore[override]
        try:
            return self._dataset[key]
        except E2ESpotError as error:
            return _Failure(error)
        except RuntimeError as error:
            if get_worker_info() is None:
                raise
            return _Failure(RuntimeError(str(error)))  # which certainly can be pickled


@dataclass(frozen=True)
class _Loaded:
    """A batch as it travels from a worker to the training process, which alone writes the log."""

    batch: Any
    """What ``collate`` returned."""
    prepared: dict[Path, Preparation]
    """How pictures of its videos were prepared, for those that are not plain."""


class _CollateOrFail:
    """Collates a batch, or returns the first failure in it."""

    def __init__(self, collate: Callable[[list[ClipSample]], Any]) -> None:
        self._collate = collate

    def __call__(self, clips: list[ClipSample | _Failure]) -> Any:
        failure = next((clip for clip in clips if isinstance(clip, _Failure)), None)
        if failure is not None:
            return failure
        samples = [clip for clip in clips if isinstance(clip, ClipSample)]
        prepared = {path: preparation for sample in samples for path, preparation in sample.prepared.items()}
        return _Loaded(self._collate(samples), prepared)


def _checked(
    loaded: Iterator[Any], workers: Sequence[BaseProcess], dataset: ClipDataset, batches: list[list[tuple[int, int]]]
) -> Iterator[Any]:
    """The loaded batches; any problem becomes one line that names the videos of the batch."""
    from e2espot.video.preparation import log_preparation

    for batch in batches:
        try:
            result = _next_batch(loaded, workers)
        except RuntimeError as error:  # torch's own, about a worker
            if not workers:
                raise
            raise _broken_batch(dataset, batch, "died or hung", error) from None
        if isinstance(result, _Failure):
            if isinstance(result.error, E2ESpotError):
                raise result.error
            raise _broken_batch(dataset, batch, "failed", result.error) from None
        for path, preparation in result.prepared.items():
            log_preparation(path, preparation)
            dataset.prepared[path] = preparation
        yield result.batch


def _next_batch(loaded: Iterator[Any], workers: Sequence[BaseProcess]) -> Any:
    """The next batch, polling torch's loader while all workers live.

    The loader raises a ``RuntimeError`` both when nothing arrives in time and when a worker has died. Errors of
    the clips are values, so the state of the processes distinguishes the two.

    Raises:
        RuntimeError: a worker died, or nothing arrived for ten minutes.
    """
    for _ in range(_MAX_POLLS - 1):
        try:
            return next(loaded)
        except RuntimeError:
            if not workers or not all(worker.is_alive() for worker in workers):
                raise
    return next(loaded)


def _broken_batch(dataset: ClipDataset, batch: list[tuple[int, int]], what: str, error: Exception) -> VideoError:
    paths = sorted({str(dataset.videos[dataset.sampler.clip(*key).video].path) for key in batch})
    return VideoError(
        f"{', '.join(paths)}: a process that decodes them {what} ({first_line(error)}); try each with e2espot infer, "
        "leave the bad one out or convert it with e2espot transcode, then resume the run",
        option="resume",
    )


def _exit_with_parent(_worker: int) -> None:
    """Let a worker exit when the run is killed; torch's own watchdog waits for the fork server, which lives on."""

    def watch(parent: Any) -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
