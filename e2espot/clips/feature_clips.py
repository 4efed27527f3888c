"""Clips of features: rows read by their position in the files, one batch ahead of the training step.

    sampler.clip(epoch, index) -> ClipSpec -> rows (T, D) -> FeatureBatch

A batch costs one read for each clip, and nothing else of the files is in memory; so no worker processes are needed.
What is read is checked and converted while it is in the processor's caches.

Shapes: B clips, T rows of a clip, D values of a row.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.dataset import TrainingVideo
from e2espot.clips.sampler import ClipSpec, Sampler
from e2espot.clips.targets import TargetBatch, clip_targets
from e2espot.core.errors import AnnotationError
from e2espot.formats.feature_files import FeatureFile, open_features

_BATCHES_AHEAD = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureBatch:
    """B clips of features."""

    rows_BTD: Tensor
    """In the format of ``FeatureClips``; beyond the ends of a half its first or last row continues."""
    clips: tuple[ClipSpec, ...]
    """Which rows of which file each clip holds."""
    targets: TargetBatch | None
    """What rows should answer; None for heads over windows or chunks, whose targets are made from the labels."""
    epoch: int
    """Epoch of the clips."""
    indexes: tuple[int, ...]
    """Index of each clip in the epoch."""


class FeatureClips:
    """Reads a batch of clips by their (epoch, index).

    Args:
        videos: The feature files and their labels, in the sampler's order.
        sampler: Which clips an epoch consists of.
        label_radius: Rows to each side of an event that carry its class.
        row_targets: Whether every row has a target.
        dtype: Number format of the batches.
    """

    def __init__(
        self,
        videos: list[TrainingVideo],
        sampler: Sampler,
        *,
        label_radius: int,
        row_targets: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.videos, self.sampler, self._dtype = videos, sampler, dtype
        self._label_radius, self._row_targets = label_radius, row_targets
        self._files: list[FeatureFile] = [open_features(video.path) for video in videos]
        self._num_numbers = 1 + max((n for video in videos for n in video.labelled.unannotated_targets), default=0)
        self.prepared: dict[Path, Any] = {}
        """Features have no pictures to prepare."""
        self._free_buffers: list[np.ndarray] = []

    def batches(
        self, *, epoch: int, batch_size: int, first_step: int = 0, slots: range | None = None
    ) -> Iterator[FeatureBatch]:
        """Batches of one epoch in order, from ``first_step`` on.

        Args:
            epoch: Which epoch.
            batch_size: Clips per batch, over all processes of the run.
            first_step: Batches to skip.
            slots: Positions in each batch that this process reads; None for all.

        Raises:
            AnnotationError: a file became shorter, or holds values that are not finite.
        """
        num_steps = self.sampler.num_clips // batch_size
        local_slots = range(batch_size) if slots is None else slots

        def read(step: int) -> FeatureBatch:
            return self._read(epoch, tuple(step * batch_size + slot for slot in local_slots))

        with ThreadPoolExecutor(1, thread_name_prefix="features") as reader:
            waiting: list[Future[FeatureBatch]] = []
            for step in range(first_step, num_steps):
                waiting.append(reader.submit(read, step))
                if len(waiting) > _BATCHES_AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()

    def _read(self, epoch: int, indexes: tuple[int, ...]) -> FeatureBatch:
        clips = tuple(self.sampler.clip(epoch, index) for index in indexes)
        length, dim = clips[0].length, self._files[0].dim
        rows_BTD = self._rows((len(clips), length, dim))
        for rows_TD, clip in zip(rows_BTD, clips, strict=True):
            self._fill(rows_TD, clip)
        return FeatureBatch(
            rows_BTD=rows_BTD,
            clips=clips,
            targets=self._targets(clips) if self._row_targets else None,
            epoch=epoch,
            indexes=indexes,
        )

    def _rows(self, shape: tuple[int, int, int]) -> Tensor:
        """Rows to be filled, in the memory of a batch that nothing refers to any more.

        With new memory for each batch the heap has holes, and grows to twice the size.
        """
        size = math.prod(shape) * self._dtype.itemsize
        buffer = self._free_buffers.pop() if self._free_buffers else np.empty(size, dtype=np.uint8)
        if len(buffer) != size:  # of batches of another size
            buffer = np.empty(size, dtype=np.uint8)
        # Tensors of this memory keep the view alive, however they are cut and handed on; with the last of them it goes,
        # and the buffer behind it is free again.
        lent = buffer[:]
        weakref.finalize(lent, self._free_buffers.append, buffer).atexit = False
        return torch.from_numpy(lent).view(self._dtype).view(shape)

    def _fill(self, rows_TD: Tensor, clip: ClipSpec) -> None:
        """Read the rows of one clip into memory at hand."""
        file = self._files[clip.video]
        # start -2, 5 rows, file of 100: rows 0 to 3 are read, and the first of them is repeated twice before
        first = min(max(clip.start, 0), file.num_rows - 1)
        last = min(max(clip.start + clip.length, first + 1), file.num_rows)
        read_ND = file.read(first, last)
        # The sum of squares is not finite if any value is not; it may also overflow, hence the second look.
        total = np.dot(read_ND.ravel(), read_ND.ravel())
        if not np.isfinite(total) and not np.isfinite(read_ND).all():
            raise AnnotationError(f"{file.path}: holds values that are not finite numbers")
        rows_ND = torch.from_numpy(read_ND)
        before = first - clip.start if clip.start < first else 0
        count = min(len(rows_ND), clip.length - before)
        rows_TD[:before], rows_TD[before : before + count] = rows_ND[0], rows_ND[:count]
        rows_TD[before + count :] = rows_ND[-1]

    def _targets(self, clips: tuple[ClipSpec, ...]) -> TargetBatch:
        return TargetBatch.stack(
            [
                clip_targets(
                    clip,
                    self.videos[clip.video].labelled,
                    label_radius=self._label_radius,
                    num_numbers=self._num_numbers,
                )
                for clip in clips
            ]
        )
