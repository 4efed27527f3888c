"""Training batches by DALI, equal in everything to those of the host's backends, except for rounding of pixels."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dali_pipelines.clips import ClipGraph, EncodedClip, EncodedClipDataset
from dali_pipelines.graph import GraphOptions, last_error_line
from dali_pipelines.routes import DecodeRoute, is_decodable
from e2espot.clips.augmentation import augment_targets
from e2espot.clips.augmentation_params import Augmentation, AugmentationParams
from e2espot.clips.dataset import ClipDataset, ClipSample
from e2espot.clips.device_batch import DeviceBatch
from e2espot.clips.sampler import ClipSpec
from e2espot.clips.targets import ClipTargets, TargetBatch
from e2espot.clips.workers import load_batches
from e2espot.core.errors import VideoError

_LOG = logging.getLogger(__name__)
_ROUTES: tuple[DecodeRoute, ...] = ("decode", "host")

SampleAugmentations = Callable[[int, tuple[int, ...]], list[AugmentationParams]]
"""(epoch, indexes of clips) -> the augmentation of each clip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _PendingBatch:
    """A batch in flight."""

    clips: list[ClipSample]
    """The clips, each with an ``EncodedClip`` as its frames."""
    params: list[AugmentationParams]
    """Their augmentations."""

    def on_route(self, route: DecodeRoute) -> list[int]:
        """Indexes in the batch of the clips that take ``route``."""
        return [b for b, clip in enumerate(self.clips) if clip.frames.route == route]


class DaliClips:
    """The training clips of a run; keeps its graphs from epoch to epoch."""

    def __init__(
        self,
        dataset: ClipDataset,
        sample_augmentations: SampleAugmentations,
        *,
        options: GraphOptions,
        dtype: torch.dtype,
        augmentation: Augmentation | None,
    ) -> None:
        """Prepare to read ``dataset``.

        Args:
            dataset: Which clips are sampled from which videos.
            sample_augmentations: Gives the augmentation of each clip.
            options: Device and bounds.
            dtype: Number format of the frames.
            augmentation: Ranges of the augmentations; None for none.

        Raises:
            ConfigurationError: DALI is not installed, or cannot read one of the videos on this device.
        """
        self._dataset = EncodedClipDataset(dataset, options.device.type)
        self._sample_augmentations, self._options, self._dtype = sample_augmentations, options, dtype
        for video in dataset.videos:
            # Refuses what cannot be read, and logs what the CPU decodes.
            is_decodable(video.path, options.device.type, video_stream=video.video_stream)
        # Whether a video has black bars is known only when its first clip is read.
        crop = dataset.pictures.crop_bars != "off" or (augmentation is not None and augmentation.crop < 1)
        blur = augmentation is not None and augmentation.blur > 0
        self._graphs = {
            route: ClipGraph(options, route, size=dataset.size, dtype=dtype, crop=crop, blur=blur) for route in _ROUTES
        }
        self._in_flight: deque[_PendingBatch] = deque()

    def epoch(
        self,
        epoch: int,
        *,
        batch_size: int,
        first_step: int = 0,
        num_workers: int = 1,
        slots: range | None = None,
    ) -> Iterator[DeviceBatch]:
        """Yield the batches of one epoch in order, from ``first_step`` on; see ``clips.dataset.load_clips``."""
        self._drop_in_flight()
        loaded = load_batches(
            self._dataset,
            epoch=epoch,
            batch_size=batch_size,
            first_step=first_step,
            num_workers=num_workers,
            slots=slots,
            collate=list,
        )
        for clips in loaded:
            params = self._sample_augmentations(epoch, tuple(clip.index for clip in clips))
            batch = _PendingBatch(clips=clips, params=params)
            self._in_flight.append(batch)
            self._submit(batch)
            if len(self._in_flight) >= self._options.prefetch:
                yield from self._next_batch()
        while self._in_flight:
            yield from self._next_batch()

    def _drop_in_flight(self) -> None:
        """Drop the batches of an epoch that was abandoned."""
        if self._in_flight:
            self._in_flight.clear()
            for graph in self._graphs.values():
                graph.reset()

    def _submit(self, batch: _PendingBatch) -> None:
        """Start a batch: each clip in the graph of its route."""
        for route, graph in self._graphs.items():
            members = batch.on_route(route)
            if members:
                graph.submit_clips([batch.clips[b].frames for b in members], [batch.params[b] for b in members])

    def _next_batch(self) -> Iterator[DeviceBatch]:
        """The earliest batch in flight; after an error, all of them."""
        batch = self._in_flight[0]  # stays in flight until all its results are there: ``_recover`` makes it again
        frames: dict[int, Tensor] = {}  # index in the batch -> frames; two graphs may share a batch
        try:
            for route, graph in self._graphs.items():
                members = batch.on_route(route)
                if members:
                    frames |= dict(zip(members, graph.next_result(), strict=True))
        except RuntimeError as error:
            yield from self._recover(error)
            return
        self._in_flight.popleft()
        targets = [clip.targets for clip in batch.clips]
        yield self._device_batch(batch, [frames[b] for b in range(len(batch.clips))], targets)

    def _recover(self, error: RuntimeError) -> Iterator[DeviceBatch]:
        """Make all batches in flight again, clip by clip in new graphs, and name the clips that fail."""
        _LOG.warning("DALI stopped (%s); going on clip by clip", last_error_line(error))
        for graph in self._graphs.values():
            graph.reset()
        while self._in_flight:
            batch = self._in_flight.popleft()
            clips = [self._decode_alone(clip, param) for clip, param in zip(batch.clips, batch.params, strict=True)]
            yield self._device_batch(batch, [frames for frames, _ in clips], [targets for _, targets in clips])

    def _decode_alone(self, clip: ClipSample, params: AugmentationParams) -> tuple[Tensor, ClipTargets]:
        """Frames and targets of one clip by its own route, else decoded by PyAV, else marked invalid."""
        encoded: EncodedClip = clip.frames
        graph = self._graphs[encoded.route]
        try:
            graph.submit_clips([encoded], [params])
            return graph.next_result()[0], clip.targets
        except RuntimeError as error:
            graph.reset()
            _LOG.warning(
                "%s: DALI cannot decode the clip at frame %d (%s)", encoded.path, encoded.start, last_error_line(error)
            )
        spec = ClipSpec(video=encoded.video, start=encoded.start, length=len(encoded.positions_T))
        try:
            decoded, valid_T = self._dataset.decode_on_host(spec, clip.targets.valid_T)
        except VideoError as error:
            _LOG.warning("%s; the clip is left out", error)
            width, height = self._dataset.size
            frames_THWC = torch.zeros(spec.length, height, width, 3, device=self._options.device)
            return frames_THWC, dataclasses.replace(clip.targets, valid_T=np.zeros(spec.length, dtype=bool))
        self._graphs["host"].submit_clips([decoded], [params])
        return self._graphs["host"].next_result()[0], dataclasses.replace(clip.targets, valid_T=valid_T)

    def _device_batch(self, batch: _PendingBatch, frames: list[Tensor], targets: list[ClipTargets]) -> DeviceBatch:
        augmented = augment_targets(TargetBatch.stack(targets), batch.params).to(self._options.device).without_invalid()
        frames_BTHWC = torch.stack([clip.to(self._dtype) for clip in frames])
        if not bool(augmented.valid_BT.all()):
            frames_BTHWC[~augmented.valid_BT] = 0
        return DeviceBatch(
            frames_BTCHW=frames_BTHWC.movedim(-1, 2),  # a view: channels-last in memory
            targets=augmented,
            epoch=batch.clips[0].epoch,
            indexes=tuple(clip.index for clip in batch.clips),
        )
