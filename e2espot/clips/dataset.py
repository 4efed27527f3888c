"""Clips with their targets, decoded by workers ahead of the training step; uint8 all the way."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from e2espot.clips.sampler import ClipSpec, LabelledVideo, Sampler
from e2espot.clips.targets import frame_targets
from e2espot.core.errors import AnnotationError, E2ESpotError, VideoError
from e2espot.core.timeline import frame_of_position_ms, parse_fps, position_ms_of_frame
from e2espot.files.npz import read_arrays

if TYPE_CHECKING:
    from e2espot.video import FrameReader, ReaderName

_LOG = logging.getLogger(__name__)
_LOOK_S, _MOST_LOOKS = 5, 120
"""No batch takes ten minutes: whoever decodes it hangs."""
_OPEN_READERS = 4
"""Readers a worker keeps open; each holds one decoder and a stretch of compressed video."""


@dataclass(frozen=True, kw_only=True)
class TrainingVideo:
    """A video to learn from."""

    path: Path
    """The file."""
    labelled: LabelledVideo
    """Its length and events."""
    tracks_path: Path | None = None
    """``tracks.npz`` beside it when the match was rendered: where the ball is, at 25 fps."""
    joint: bool = False
    """Whether it belongs to the second of two data sets, with classes of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBatch:
    """What one training step eats."""

    frames_BTHWC: Tensor
    """uint8 RGB; padding is zero and marked invalid."""
    targets_BT: Tensor
    """int64 class of each frame, 0 = background."""
    valid_BT: Tensor
    """bool, False outside the video and where it is damaged."""
    ball_BT2: Tensor
    """float32 place of the ball as shares of width and height; NaN where unknown."""
    epoch: int
    """Epoch the clips belong to."""
    indexes: tuple[int, ...]
    """Index of each clip in the epoch; with (seed, epoch) it rebuilds the clip."""


class ClipDataset(Dataset[dict[str, Any]]):
    """Decodes one clip by its (epoch, index)."""

    def __init__(
        self,
        videos: list[TrainingVideo],
        sampler: Sampler,
        *,
        fps: str,
        size: tuple[int, int],
        dilate_len: int,
        reader: ReaderName = "auto",
    ) -> None:
        self.videos, self.sampler, self.size, self.dilate_len = videos, sampler, size, dilate_len
        self.fps, self.reader = parse_fps(fps), reader
        self._readers: OrderedDict[int, FrameReader] = OrderedDict()
        self._damaged: set[int] = set()

    def __len__(self) -> int:
        """Clips of an epoch."""
        return self.sampler.num_clips

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:  # type: ignore[override]
        """Clip of (epoch, index) as arrays."""
        epoch, index = key
        clip = self.sampler.clip(epoch, index)
        video = self.videos[clip.video]
        targets_T, valid_T = frame_targets(clip, video.labelled, dilate_len=self.dilate_len)
        frames = self._frames(clip, valid_T)  # which may find that fewer are valid
        return {
            "frames": frames,
            "targets": targets_T,
            "valid": valid_T,
            "ball": self._ball(clip, video, valid_T),
            "epoch": epoch,
            "index": index,
        }

    def _frames(self, clip: ClipSpec, valid_T: np.ndarray) -> Any:
        """Frames of a clip; those a decoder has made up, after damage, are not learnt from and leave ``valid_T``."""
        width, height = self.size
        frames_THWC = np.zeros((clip.length, height, width, 3), dtype=np.uint8)
        inside = np.flatnonzero(valid_T)
        if len(inside):
            reader, frames = self._reader(clip.video), [int(i) for i in clip.start + inside]
            frames_THWC[inside] = reader.read(frames)
            made_up = inside[~reader.sound(frames)]
            frames_THWC[made_up], valid_T[made_up] = 0, False
            if len(made_up) and clip.video not in self._damaged:
                self._damaged.add(clip.video)
                _LOG.warning("%s: damaged in places; clips leave those out", self.videos[clip.video].path)
        return frames_THWC

    def _reader(self, video: int) -> FrameReader:
        from e2espot.video import open_reader

        if video not in self._readers:
            while len(self._readers) >= _OPEN_READERS:
                self._readers.popitem(last=False)[1].close()
            self._readers[video] = open_reader(
                self.videos[video].path, fps=self.fps, size=self.size, reader=self.reader
            )
        self._readers.move_to_end(video)
        return self._readers[video]

    def _ball(self, clip: ClipSpec, video: TrainingVideo, valid_T: np.ndarray) -> np.ndarray:
        ball_T2 = np.full((clip.length, 2), np.nan, dtype=np.float32)
        if video.tracks_path is None:
            return ball_T2
        known, seen = read_ball(video.tracks_path)
        for t in np.flatnonzero(valid_T):
            source = frame_of_position_ms(position_ms_of_frame(int(clip.start + t), self.fps))
            if source < len(known) and seen[source]:
                ball_T2[t] = known[source]
        return ball_T2


def read_ball(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where the ball is in each frame, as shares of width and height, and whether it is seen, of a ``tracks.npz``.

    Raises:
        AnnotationError: something else, or damaged.
    """
    try:
        tracks = read_arrays(path)
        known, seen = tracks["ball_xy"], tracks["ball_visible"]
        if known.dtype.kind != "f" or seen.dtype.kind != "b" or known.shape != (len(seen), 2) or seen.ndim != 1:
            raise ValueError("ball_xy must be two numbers a frame, ball_visible yes or no")
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise AnnotationError(
            f"{path}: not the tracks of a rendered match ({' '.join(str(error).split())}); render it anew or remove it"
        ) from None
    return known, seen


def _collate(clips: list[dict[str, Any]]) -> ClipBatch:
    def stack(name: str) -> Tensor:
        return torch.from_numpy(np.stack([clip[name] for clip in clips]))

    return ClipBatch(
        frames_BTHWC=stack("frames"),
        targets_BT=stack("targets"),
        valid_BT=stack("valid"),
        ball_BT2=stack("ball"),
        epoch=clips[0]["epoch"],
        indexes=tuple(clip["index"] for clip in clips),
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

    ``slots`` are the places in each batch to be read; None for all.
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
    collate: Callable[[list[dict[str, Any]]], Any],
) -> Iterator[Any]:
    """What ``collate`` makes of the clips of each batch; see ``load_clips``."""
    steps = len(dataset) // batch_size
    own = range(batch_size) if slots is None else slots
    batches = [[(epoch, step * batch_size + slot) for slot in own] for step in range(first_step, steps)]
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=num_workers,
        prefetch_factor=2 if num_workers else None,
        multiprocessing_context="forkserver" if num_workers else None,
        worker_init_fn=_end_with_parent,
        timeout=_LOOK_S if num_workers else 0,
    )
    return _in_words(iter(loader), dataset, batches)


def _in_words(loaded: Iterator[Any], dataset: ClipDataset, batches: list[list[tuple[int, int]]]) -> Iterator[Any]:
    """Batches as they come; what goes wrong in a worker in one line, with the videos it was reading."""
    for batch in batches:
        try:
            yield _next(loaded)
        except E2ESpotError as error:  # torch puts the worker's traceback in front of it
            last = str(error).strip().splitlines()[-1]
            raise type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from None
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            paths = sorted({str(dataset.videos[dataset.sampler.clip(*key).video].path) for key in batch})
            raise VideoError(
                f"{', '.join(paths)}: a process that decodes them died or hung ({str(error).splitlines()[0]}); try "
                "each with tools/infer.py, leave the bad one out or convert it with tools/transcode.py, and go on with "
                "--resume"
            ) from None


def _next(loaded: Iterator[Any]) -> Any:
    """The next batch; torch looks whether its workers live each time it has waited in vain."""
    for _ in range(_MOST_LOOKS - 1):
        try:
            return next(loaded)
        except RuntimeError as error:
            if "timed out" not in str(error):
                raise
    return next(loaded)


def _end_with_parent(_worker: int) -> None:
    """Let a worker end when the run is killed; torch's own watchdog sees the fork server alive and waits for ever."""

    def watch(parent: Any) -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
