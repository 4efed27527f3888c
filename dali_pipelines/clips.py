"""Training clips by DALI: which frames and what change comes from ``e2espot``; the pixels are DALI's.

Workers copy each clip's packets, from where decoding can begin, into a container in memory
(no decoding, a few milliseconds); one graph in the training process decodes, crops,
scales, blurs, recolours, normalises and mirrors a batch of them.

Shapes: T frames of a clip, H x W as the network sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dali_pipelines.graph import Graph, GraphOptions, dali, decoded, from_host, new_pipeline
from dali_pipelines.routes import Road, colour_correction, dali_index, road_of
from e2espot.clips.augmentation_params import BLUR_TAPS, ClipChange
from e2espot.clips.dataset import ClipDataset
from e2espot.clips.sampler import ClipSpec
from e2espot.video import pictures_of_grid
from e2espot.video.stream_copy import cut_pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """The pictures of one clip before DALI has seen them."""

    path: Path
    """The file, to be named when it fails."""
    video: int
    """Its place among the training videos."""
    start: int
    """First frame of the clip."""
    road: Road
    """How it is to be treated."""
    data: np.ndarray
    """``decode``: uint8 bytes of a container; ``host``: uint8 RGB THWC at the network's size."""
    places_T: np.ndarray
    """int32; picture of the container for each frame, -1 outside the video."""
    matrix: str
    """YUV matrix of the stream, ``bt601`` where the colours are right already."""


class MaterialDataset(ClipDataset):
    """The clips of a ``ClipDataset``, with ``Material`` where that has pixels."""

    def __init__(self, other: ClipDataset, device_type: str) -> None:
        """Clips of ``other`` for a graph on ``device_type``."""
        super().__init__(
            other.videos,
            other.sampler,
            fps=str(other.fps),
            size=other.size,
            dilate_len=other.dilate_len,
            reader="auto",
        )
        self._device_type = device_type

    def _frames(self, clip: ClipSpec, valid_T: np.ndarray) -> Any:
        video = self.videos[clip.video]
        presentation = dali_index(video.path)
        inside = np.flatnonzero(valid_T)
        road, _ = road_of(presentation, self._device_type)
        if road == "host" or not len(inside):
            return self.host_material(clip, valid_T)
        pictures_T = pictures_of_grid(presentation, self.fps)[clip.start + inside]
        cut = cut_pictures(presentation, int(pictures_T[0]), int(pictures_T[-1]))
        places_T = np.full(clip.length, -1, dtype=np.int32)
        places_T[inside] = cut.places(pictures_T)
        data = np.frombuffer(cut.data, dtype=np.uint8)
        return Material(
            path=video.path,
            video=clip.video,
            start=clip.start,
            road="decode",
            data=data,
            places_T=places_T,
            matrix=presentation.matrix,
        )

    def host_material(self, clip: ClipSpec, valid_T: np.ndarray) -> Material:
        """The clip decoded here and now, by PyAV.

        Raises:
            VideoError: PyAV cannot decode it either.
        """
        return Material(
            path=self.videos[clip.video].path,
            video=clip.video,
            start=clip.start,
            road="host",
            data=super()._frames(clip, valid_T),
            places_T=np.full(clip.length, -1, dtype=np.int32),
            matrix="bt601",
        )


class ClipGraph(Graph):
    """From material and changes to normalised frames, ``THWC`` in memory."""

    def __init__(
        self, options: GraphOptions, road: Road, *, size: tuple[int, int], dtype: torch.dtype, crop: bool, blur: bool
    ) -> None:
        """A graph for one road; ``crop`` and ``blur`` say whether any clip is ever cropped or blurred."""
        self._road, self._size, self._crop, self._blur = road, size, crop, blur
        self._half = dtype == torch.float16
        super().__init__(options, self.define)

    def define(self) -> Any:
        """The pipeline, not yet built."""
        fn, types = dali().fn, dali().types
        with new_pipeline(self.options) as pipeline:
            video = decoded(self.options) if self._road == "decode" else from_host(self.options)
            corners = {}
            if self._crop:
                near, far = (fn.external_source(name=name, dtype=types.FLOAT, ndim=1) for name in ("near", "far"))
                corners = {"roi_start": near, "roi_end": far, "roi_relative": True}
            video = fn.resize(video, size=self._size[::-1], interp_type=types.INTERP_LINEAR, antialias=True, **corners)
            if self._blur:
                sigma = fn.external_source(name="sigma", dtype=types.FLOAT, ndim=0)
                video = fn.gaussian_blur(video, sigma=sigma, window_size=BLUR_TAPS)
            matrix = fn.external_source(name="matrix", dtype=types.FLOAT, ndim=2)
            offset = fn.external_source(name="offset", dtype=types.FLOAT, ndim=1)
            video = fn.coord_transform(video, M=matrix, T=offset, dtype=types.FLOAT)
            mirror = fn.external_source(name="mirror", dtype=types.INT32, ndim=0)
            # FHWC is what channels-last convolutions read; the caller sees it as FCHW, without a copy.
            dtype = types.FLOAT16 if self._half else types.FLOAT
            video = fn.crop_mirror_normalize(video, mirror=mirror, dtype=dtype, output_layout="FHWC")
            pipeline.set_outputs(video)
        return pipeline

    def feed_clips(self, clips: list[Material], changes: list[ClipChange]) -> None:
        """Start a run."""
        samples: dict[str, list[np.ndarray]] = {
            "matrix": [
                (change.matrix_33 @ colour_correction(clip.matrix)).astype(np.float32)
                for clip, change in zip(clips, changes, strict=True)
            ],
            "offset": [change.offset_3 for change in changes],
            "mirror": [np.array(change.flip, dtype=np.int32) for change in changes],
        }
        if self._road == "decode":
            samples |= {"encoded": [clip.data for clip in clips], "places": [clip.places_T for clip in clips]}
        else:
            samples["frames"] = [clip.data for clip in clips]
        if self._crop:
            # DALI's order is height, width.
            samples["near"] = [np.array(change.window[1::-1], dtype=np.float32) for change in changes]
            samples["far"] = [np.array(change.window[:1:-1], dtype=np.float32) for change in changes]
        if self._blur:
            # Below a tenth of a pixel the middle tap takes all.
            samples["sigma"] = [np.array(max(change.blur_sigma, 0.05), dtype=np.float32) for change in changes]
        self.feed(samples)
