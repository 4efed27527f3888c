"""Batches for training, alike in everything to those the host's readers give."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dali_pipelines.clips import ClipGraph, Material, MaterialDataset
from dali_pipelines.graph import GraphOptions, brief
from dali_pipelines.routes import Road, dali_index, road_of
from e2espot.clips.augmentation import move_points
from e2espot.clips.augmentation_params import Augmentation, ClipChange
from e2espot.clips.dataset import ClipDataset, load_batches
from e2espot.clips.device_batch import ReadyBatch
from e2espot.clips.sampler import ClipSpec
from e2espot.core.errors import VideoError

_LOG = logging.getLogger(__name__)

Changes = Callable[[int, tuple[int, ...]], list[ClipChange]]
"""(epoch, indexes) to what happens to those clips."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting:
    """A batch under way."""

    clips: list[dict[str, Any]]
    changes: list[ClipChange]

    def of_road(self, road: Road) -> list[int]:
        """Places of its clips that take ``road``."""
        return [place for place, clip in enumerate(self.clips) if clip["frames"].road == road]


class DaliClips:
    """The training clips of a run; keeps its graphs from epoch to epoch."""

    def __init__(
        self,
        dataset: ClipDataset,
        changes: Changes,
        *,
        options: GraphOptions,
        dtype: torch.dtype,
        augmentation: Augmentation | None,
    ) -> None:
        """Prepare to read ``dataset``.

        Args:
            dataset: What is sampled from which videos.
            changes: How each clip is changed.
            options: Device and bounds.
            dtype: Of the frames.
            augmentation: What the changes are drawn from; None for none.

        Raises:
            ConfigurationError: DALI is not installed, or cannot read one of the videos on this device.
        """
        self._dataset = MaterialDataset(dataset, options.device.type)
        self._changes, self._options, self._dtype = changes, options, dtype
        for video in dataset.videos:
            road, reason = road_of(dali_index(video.path), options.device.type)
            if road == "host":
                _LOG.info("%s: decoded by the CPU: %s", video.path, reason)
        crop = augmentation is not None and augmentation.crop < 1
        blur = augmentation is not None and augmentation.blur > 0
        roads: tuple[Road, ...] = ("decode", "host")
        self._graphs = {
            road: ClipGraph(options, road, size=dataset.size, dtype=dtype, crop=crop, blur=blur) for road in roads
        }
        self._waiting: deque[_Waiting] = deque()

    def epoch(
        self,
        epoch: int,
        *,
        batch_size: int,
        first_step: int = 0,
        num_workers: int = 1,
        slots: range | None = None,
    ) -> Iterator[ReadyBatch]:
        """Batches of one epoch in order, from ``first_step`` on; see ``clips.loader.load_clips``."""
        self._drop()
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
            changes = self._changes(epoch, tuple(clip["index"] for clip in clips))
            waiting = _Waiting(clips=clips, changes=changes)
            self._waiting.append(waiting)
            self._feed(waiting)
            if len(self._waiting) >= self._options.prefetch:
                yield from self._take()
        while self._waiting:
            yield from self._take()

    def _drop(self) -> None:
        """Forget what an epoch that was left early has under way."""
        if self._waiting:
            self._waiting.clear()
            for graph in self._graphs.values():
                graph.reset()

    def _feed(self, waiting: _Waiting) -> None:
        for road, graph in self._graphs.items():
            own = waiting.of_road(road)
            if own:
                graph.feed_clips(
                    [waiting.clips[place]["frames"] for place in own], [waiting.changes[place] for place in own]
                )

    def _take(self) -> Iterator[ReadyBatch]:
        waiting = self._waiting[0]
        frames: dict[int, Tensor] = {}
        try:
            for road, graph in self._graphs.items():
                own = waiting.of_road(road)
                if own:
                    frames |= dict(zip(own, graph.take(), strict=True))
        except RuntimeError as error:
            yield from self._recover(error)
            return
        self._waiting.popleft()
        yield self._batch(waiting, [frames[place] for place in range(len(waiting.clips))])

    def _recover(self, error: RuntimeError) -> Iterator[ReadyBatch]:
        """Give all batches under way, clip by clip in graphs built anew, and name those that fail."""
        _LOG.warning("DALI stopped (%s); going on clip by clip", brief(error))
        for graph in self._graphs.values():
            graph.reset()
        while self._waiting:
            waiting = self._waiting.popleft()
            frames = [self._alone(clip, change) for clip, change in zip(waiting.clips, waiting.changes, strict=True)]
            yield self._batch(waiting, frames)

    def _alone(self, clip: dict[str, Any], change: ClipChange) -> Tensor:
        """Frames of one clip by its own road, else decoded by PyAV, else marked invalid."""
        material: Material = clip["frames"]
        graph = self._graphs[material.road]
        try:
            graph.feed_clips([material], [change])
            return graph.take()[0]
        except RuntimeError as error:
            graph.reset()
            _LOG.warning(
                "%s: DALI cannot decode the clip at frame %d (%s)", material.path, material.start, brief(error)
            )
        spec = ClipSpec(video=material.video, start=material.start, length=len(material.places_T))
        try:
            decoded = self._dataset.host_material(spec, clip["valid"])
        except VideoError as error:
            _LOG.warning("%s; the clip is left out", error)
            clip["valid"] = np.zeros_like(clip["valid"])
            width, height = self._dataset.size
            return torch.zeros(spec.length, height, width, 3, device=self._options.device)
        self._graphs["host"].feed_clips([decoded], [change])
        return self._graphs["host"].take()[0]

    def _batch(self, waiting: _Waiting, frames: list[Tensor]) -> ReadyBatch:
        clips, device = waiting.clips, self._options.device
        valid_BT = torch.from_numpy(np.stack([clip["valid"] for clip in clips])).to(device)
        frames_BTHWC = torch.stack([clip.to(self._dtype) for clip in frames])
        if not bool(valid_BT.all()):
            frames_BTHWC[~valid_BT] = 0
        ball = [
            move_points(torch.from_numpy(clip["ball"]), change)
            for clip, change in zip(clips, waiting.changes, strict=True)
        ]
        return ReadyBatch(
            frames_BTCHW=frames_BTHWC.movedim(-1, 2),
            targets_BT=torch.from_numpy(np.stack([clip["targets"] for clip in clips])).to(device),
            valid_BT=valid_BT,
            ball_BT2=torch.stack(ball).to(device),
            epoch=clips[0]["epoch"],
            indexes=tuple(clip["index"] for clip in clips),
        )
