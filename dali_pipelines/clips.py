"""Training clips by DALI: ``e2espot`` chooses frames and augmentation, DALI makes the pixels.

A worker copies the packets of each clip, from where decoding can begin, into a container in memory (no decoding, a few
milliseconds). One graph in the training process decodes, crops, scales, blurs, recolours, normalises and mirrors a
batch of them.

Shapes: T = frames of a clip, H x W = size that the network sees.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dali_pipelines.colour import AffineColours, source_colours, swscale_colours
from dali_pipelines.graph import Graph, GraphOptions, dali, host_frames_node, new_pipeline, video_node
from dali_pipelines.routes import DecodeRoute, choose_route
from e2espot.clips.augmentation_params import BLUR_TAPS, AugmentationParams
from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSpec
from e2espot.video import VideoIndex, pictures_of_grid, require_readable
from e2espot.video.clock_gaps import seen_frames
from e2espot.video.index import closed_gops_only, frames_of_file
from e2espot.video.losses import are_intact
from e2espot.video.packets import PacketSource
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import preparation_of, window_of
from e2espot.video.stream_copy import cut_pictures

Window = tuple[float, float, float, float]
"""Left, top, right and bottom, as fractions of a picture."""
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)

_OUTSIDE = -1
"""Position of a frame outside the video, which DALI fills with black."""
_MIN_BLUR_SIGMA = 0.05
"""DALI wants a positive sigma; below a tenth of a pixel the middle tap of the kernel takes all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedClip:
    """The pictures of one clip as DALI receives them."""

    path: Path
    """The file, to be named in errors."""
    video: int
    """Its index among the training videos."""
    start: int
    """First frame of the clip."""
    route: DecodeRoute
    """Which graph takes it."""
    data: np.ndarray
    """``decode``: uint8 bytes of a container; ``host``: uint8 RGB THWC at the network's size."""
    positions_T: np.ndarray
    """int32; position in the container of each frame's picture, -1 outside the video and where none is stored."""
    colours: AffineColours
    """From its RGB to that of the other readers; no change where PyAV has converted it."""
    area: Window = WHOLE
    """Part of each picture inside black bars; the whole where PyAV has cropped it."""


class EncodedClipDataset(ClipDataset):
    """The clips of a ``ClipDataset``, with an ``EncodedClip`` in place of pixels."""

    def __init__(self, other: ClipDataset, device_type: str) -> None:
        """Clips of ``other`` for a graph on ``device_type``."""
        super().__init__(
            other.videos,
            other.sampler,
            fps=other.fps,
            size=other.size,
            label_radius=other.label_radius,
            reader="auto",
            pictures=other.pictures,
        )
        self.prepared = other.prepared
        self._device_type = device_type

    def _frames(self, clip: ClipSpec, inside_T: np.ndarray) -> tuple[Any, np.ndarray]:
        video = self.videos[clip.video]
        t_N = np.flatnonzero(inside_T)
        whole_index = self._index_of_clip(video, clip.start + t_N)
        if whole_index is None:
            return self.decode_on_host(clip, inside_T)
        # start -2, 5 frames: inside_T = [F, F, T, T, T], t_N = [2, 3, 4], so frames 0, 1 and 2 are copied.
        frames_N = clip.start + t_N - frames_of_file(whole_index, self.fps).start
        pictures_N = pictures_of_grid(whole_index, self.fps)[frames_N]
        whole_index = require_readable(whole_index, int(pictures_N[-1]))
        index, preparation = closed_gops_only(whole_index), preparation_of(whole_index, self.pictures)
        # The host leaves out what is not reliable.
        is_host = choose_route(index, self._device_type, preparation)[0] == "host"
        if is_host or not are_intact(index, pictures_N).all():
            return self.decode_on_host(clip, inside_T)
        with closing(PacketSource(index)) as packets:
            cut = cut_pictures(index, int(pictures_N[0]), int(pictures_N[-1]), packets)
            source = source_colours(index, packets)
        positions_T = np.full(clip.length, _OUTSIDE, dtype=np.int32)
        seen_N = seen_frames(index, self.fps)[frames_N]
        positions_T[t_N[seen_N]] = cut.positions_of(pictures_N[seen_N])
        valid_T = inside_T.copy()
        valid_T[t_N] = seen_N
        encoded = EncodedClip(
            path=video.path,
            video=clip.video,
            start=clip.start,
            route="decode",
            data=np.frombuffer(cut.data, dtype=np.uint8),
            positions_T=positions_T,
            colours=swscale_colours(source, self.size),
            area=window_of(index, preparation),
        )
        return encoded, valid_T

    def _index_of_clip(self, video: TrainingVideo, frames_N: np.ndarray) -> VideoIndex | None:
        """Index of the file that holds all frames of a clip; None if there are no frames, or they are in two files."""
        for index in indexes_of(video.path, video_stream=video.video_stream) if len(frames_N) else ():
            held = frames_of_file(index, self.fps)
            if held.start <= frames_N[0] and frames_N[-1] < held.stop:
                return index
        return None

    def decode_on_host(self, clip: ClipSpec, inside_T: np.ndarray) -> tuple[EncodedClip, np.ndarray]:
        """Decode a clip by PyAV, in this process.

        Returns:
            The clip for the ``host`` graph, and which of its frames are valid.

        Raises:
            VideoError: PyAV cannot decode it either.
        """
        frames_THWC, valid_T = super()._frames(clip, inside_T)
        encoded = EncodedClip(
            path=self.videos[clip.video].path,
            video=clip.video,
            start=clip.start,
            route="host",
            data=frames_THWC,
            positions_T=np.full(clip.length, _OUTSIDE, dtype=np.int32),
            colours=AffineColours(matrix_33=np.eye(3), offset_3=np.zeros(3)),
        )
        return encoded, valid_T


def inner_window(outer: Window, inner: Window) -> Window:
    """A window of a window, as fractions of the whole picture.

    ::

        outer (0, 0.25, 1, 0.75), inner (0.5, 0, 1, 0.5) -> (0.5, 0.25, 1, 0.5)
    """
    left, top, width, height = outer[0], outer[1], outer[2] - outer[0], outer[3] - outer[1]
    return left + inner[0] * width, top + inner[1] * height, left + inner[2] * width, top + inner[3] * height


class ClipGraph(Graph):
    """From encoded clips and augmentation parameters to normalised frames, ``THWC`` in memory."""

    def __init__(
        self,
        options: GraphOptions,
        route: DecodeRoute,
        *,
        size: tuple[int, int],
        dtype: torch.dtype,
        crop: bool,
        blur: bool,
    ) -> None:
        """A graph for one route; ``crop`` and ``blur``: whether any clip may be cropped or blurred."""
        self._route, self._size, self._crop, self._blur = route, size, crop, blur
        self._is_half = dtype == torch.float16
        super().__init__(options, self.define)

    def define(self) -> Any:
        """The pipeline, not yet built."""
        fn, types = dali().fn, dali().types
        with new_pipeline(self.options) as pipeline:
            video = video_node(self.options) if self._route == "decode" else host_frames_node(self.options)
            window = {}
            if self._crop:
                start, end = (
                    fn.external_source(name=name, dtype=types.FLOAT, ndim=1) for name in ("crop_start", "crop_end")
                )
                window = {"roi_start": start, "roi_end": end, "roi_relative": True}
            video = fn.resize(video, size=self._size[::-1], interp_type=types.INTERP_LINEAR, antialias=True, **window)
            if self._blur:
                sigma = fn.external_source(name="sigma", dtype=types.FLOAT, ndim=0)
                video = fn.gaussian_blur(video, sigma=sigma, window_size=BLUR_TAPS)
            matrix = fn.external_source(name="matrix", dtype=types.FLOAT, ndim=2)
            offset = fn.external_source(name="offset", dtype=types.FLOAT, ndim=1)
            video = fn.coord_transform(video, M=matrix, T=offset, dtype=types.FLOAT)
            mirror = fn.external_source(name="mirror", dtype=types.INT32, ndim=0)
            # FHWC is what channels-last convolutions read; the caller views it as FCHW, without a copy.
            dtype = types.FLOAT16 if self._is_half else types.FLOAT
            video = fn.crop_mirror_normalize(video, mirror=mirror, dtype=dtype, output_layout="FHWC")
            pipeline.set_outputs(video)
        return pipeline

    def submit_clips(self, clips: list[EncodedClip], params: list[AugmentationParams]) -> None:
        """Start a batch; ``params`` are the augmentations of ``clips``."""
        inputs: dict[str, list[np.ndarray]] = {
            # The colours are corrected first, then augmented and normalised: one matrix does all.
            "matrix": [
                (param.matrix_33 @ clip.colours.matrix_33).astype(np.float32)
                for clip, param in zip(clips, params, strict=True)
            ],
            "offset": [
                (param.matrix_33 @ clip.colours.offset_3 + param.offset_3).astype(np.float32)
                for clip, param in zip(clips, params, strict=True)
            ],
            "mirror": [np.array(param.flip, dtype=np.int32) for param in params],
        }
        if self._route == "decode":
            inputs |= {"encoded": [clip.data for clip in clips], "positions": [clip.positions_T for clip in clips]}
        else:
            inputs["frames"] = [clip.data for clip in clips]
        if self._crop:
            windows = [inner_window(clip.area, param.window) for clip, param in zip(clips, params, strict=True)]
            # A window is (left, top, right, bottom); DALI's order is height, width.
            inputs["crop_start"] = [np.array(window[1::-1], dtype=np.float32) for window in windows]
            inputs["crop_end"] = [np.array(window[:1:-1], dtype=np.float32) for window in windows]
        if self._blur:
            inputs["sigma"] = [np.array(max(param.blur_sigma, _MIN_BLUR_SIGMA), dtype=np.float32) for param in params]
        self.submit(inputs)
