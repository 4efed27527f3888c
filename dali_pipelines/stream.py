"""A whole match by DALI, in order, every frame once.

The match is divided into runs of a few hundred frames, where decoding can begin. Several runs are decoded at the same
time, so that all decoders of a GPU work on one match::

    segments   |         |         |         |            closed GOPs of the file
    runs       [0 ......... 200) [200 ......... 400) ...  frames; planned by ``plan_runs``
    batches     run 0 and run 1 | run 2 and run 3 | ...   one stream copy a run, decoded side by side
    chunks     [0 .. 64) [64 .. 128) ...                  what the caller gets, by ``rechunk``

Shapes: T = frames, K = frames of the grid, H x W = size asked for.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dali_pipelines.colour import SourceColours, source_colours, swscale_node
from dali_pipelines.graph import Graph, GraphOptions, dali, last_error_line, new_pipeline, video_node
from dali_pipelines.routes import choose_route
from e2espot.core.errors import ConfigurationError
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video import VideoIndex, index_of, pictures_of_grid, require_readable
from e2espot.video.black_bars import Area
from e2espot.video.decoder_process import read_range
from e2espot.video.full_range import CannotBeTaggedError, can_be_tagged
from e2espot.video.index import closed_gops_only, frames_of_file
from e2espot.video.packets import PacketSource
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import Preparation, preparation_of
from e2espot.video.reader import reader_of
from e2espot.video.stream_copy import cut_pictures

_LOG = logging.getLogger(__name__)
_RUN_BYTES = 256 << 20
_MAX_RUN, _MIN_RUN = 256, 16


@dataclass(frozen=True, kw_only=True)
class MatchStream:
    """A match to read by DALI, on the route ``decode``; ``e2espot.video.stream_frames`` reads the others."""

    path: Path
    """The file, or those of one match joined by ``+``."""
    size: tuple[int, int]
    """Width and height of the frames."""
    options: GraphOptions
    """Device and bounds; ``batch_size`` runs are decoded at the same time."""
    fps: Fraction = DEFAULT_FPS
    """Frames per second of the grid."""
    chunk_len: int = 64
    """Frames of a chunk; the last may be shorter."""
    allow_truncated: bool = False
    """Accept a file that ends early, as far as it goes."""
    video_stream: int | None = None
    """Number of the stream among the video streams of the file; None for the one that players choose."""
    missing: list[range] | None = None
    """Extended while reading by the frames that do not decode, which are zeros then; None to raise at the first."""
    pictures: PictureOptions | None = None
    """How pictures may be prepared."""

    def chunks(self) -> Iterator[Tensor]:
        """Yield every frame of the match once, in order: uint8 RGB ``THWC`` on the device.

        Raises:
            VideoError: see ``index_video``; or a range of frames cannot be decoded.
            ConfigurationError: DALI is not installed, or cannot decode the file.
        """
        indexes = indexes_of(self.path, allow_truncated=self.allow_truncated, video_stream=self.video_stream)
        for index in [require_readable(index) for index in indexes]:
            yield from self._chunks_of_file(closed_gops_only(index), preparation_of(index, self.pictures))

    def _chunks_of_file(self, index: VideoIndex, preparation: Preparation) -> Iterator[Tensor]:
        route, reason = choose_route(index, self.options.device.type, preparation)
        if route == "host":
            raise ConfigurationError(
                f"{index.path}: DALI does not decode it: {reason}; choose auto as the reader", option="reader"
            )
        pictures_K = pictures_of_grid(index, self.fps)
        runs = plan_runs(index.start_picture_S, pictures_K, max_run_len(index))
        decoder = _RunDecoder(self, index, preparation, pictures_K)
        yield from rechunk(decoder.frames(runs), self.chunk_len, len(pictures_K))


def max_run_len(index: VideoIndex) -> int:
    """Most frames of a run, bounded by the memory of its pictures."""
    picture_bytes = index.width * index.height * 3
    return max(_MIN_RUN, min(_MAX_RUN, _RUN_BYTES // picture_bytes))


def plan_runs(start_picture_S: np.ndarray, pictures_K: np.ndarray, max_len: int) -> list[range]:
    """Divide all frames into runs of at most ``max_len`` that begin where decoding can begin.

    A segment that is longer is divided inside. What comes before the break is then decoded again. ::

        segments at 0, 10, 20, ..., max_len 35  -> [0, 30) [30, 60) ...       whole segments
        one segment of 100,         max_len 35  -> [0, 35) [35, 70) [70, 100) the second decodes from 0 as well

    Args:
        start_picture_S: First picture of each segment.
        pictures_K: Picture of each frame, not decreasing.
        max_len: Most frames of a run.
    """
    num_frames = len(pictures_K)
    # First frame of each segment; segments between two frames of the grid have none of their own.
    borders = [*np.unique(np.searchsorted(pictures_K, start_picture_S)).tolist(), num_frames]
    runs, first = [], 0
    for border, next_border in pairwise(borders):
        if next_border - first > max_len and border > first:  # the next segment does not fit any more
            runs.append(range(first, border))
            first = border
        while next_border - first > max_len:  # a single segment is too long
            runs.append(range(first, first + max_len))
            first += max_len
    if first < num_frames:
        runs.append(range(first, num_frames))
    return runs


def rechunk(tensors: Iterator[Tensor], chunk_len: int, num_frames: int) -> Iterator[Tensor]:
    """Yield tensors of any length as chunks of ``chunk_len``, the last shorter.

    Raises:
        AssertionError: they do not add up to ``num_frames``.
    """
    pending: Tensor | None = None
    num_given = 0
    for tensor in tensors:
        pending = tensor if pending is None else torch.cat((pending, tensor))
        while len(pending) >= chunk_len:
            num_given += chunk_len
            yield pending[:chunk_len]
            pending = pending[chunk_len:]
    if pending is not None and len(pending):
        num_given += len(pending)
        yield pending
    if num_given != num_frames:
        raise AssertionError(f"{num_given} frames were decoded, {num_frames} were planned")


class RunGraph(Graph):
    """From stream copies to uint8 frames of the size asked for, in the colours of the other readers."""

    def __init__(
        self, options: GraphOptions, size: tuple[int, int], source: SourceColours, area: Area | None = None
    ) -> None:
        """A graph for one file, whose pictures are ``source``; ``area`` is the part of them that is scaled."""
        self._size, self._source, self._area = size, source, area
        super().__init__(options, self.define)

    def define(self) -> Any:
        """The pipeline, not yet built."""
        with new_pipeline(self.options) as pipeline:
            video, source = video_node(self.options), self._source
            if self._area is not None:
                area = self._area
                video = dali().fn.slice(
                    video, start=(area.top, area.left), shape=(area.height, area.width), axis_names="HW"
                )
                source = replace(source, size=(area.width, area.height))
            video = swscale_node(video, source, self._size)
            pipeline.set_outputs(video)
        return pipeline


class _RunDecoder:
    """Decodes runs, a batch of them at a time, with the next batches in flight."""

    def __init__(
        self, stream: MatchStream, index: VideoIndex, preparation: Preparation, pictures_K: np.ndarray
    ) -> None:
        self._stream, self._index, self._preparation, self._pictures_K = stream, index, preparation, pictures_K
        self._source = PacketSource(index)
        colours = source_colours(index, self._source)
        self._colours = replace(colours, is_tagged_full=not colours.full_range and self._can_be_tagged())
        self._graph = RunGraph(stream.options, stream.size, self._colours, preparation.area)
        self._in_flight: deque[list[range]] = deque()

    def frames(self, runs: list[range]) -> Iterator[Tensor]:
        """Yield the frames of all runs in order, one tensor a run."""
        batch_size = self._stream.options.batch_size
        try:
            for i in range(0, len(runs), batch_size):
                batch = runs[i : i + batch_size]
                self._in_flight.append(batch)
                try:
                    self._submit(batch)
                except CannotBeTaggedError as error:
                    yield from self._recover(error)
                    continue
                if len(self._in_flight) >= self._stream.options.prefetch:
                    yield from self._next_batch()
            while self._in_flight:
                yield from self._next_batch()
        finally:
            self._graph.reset()
            self._source.close()

    def _can_be_tagged(self) -> bool:
        """Whether copies of the file can be tagged as full range, judged by its first picture.

        On a GPU, DALI takes the range from NVDEC's parser, which reads it from the headers of H.264 and HEVC. Whether
        it does for VP9 has not been measured.
        """
        on_gpu = self._stream.options.device.type == "cuda"
        if not can_be_tagged(self._index) or (on_gpu and self._index.codec_name == "vp9"):
            return False
        try:
            cut_pictures(self._index, 0, 0, self._source, tag_full_range=True)
        except CannotBeTaggedError:
            return False
        return True

    def _submit(self, batch: list[range]) -> None:
        containers, positions = [], []
        for run in batch:
            pictures_T = self._pictures_K[run.start : run.stop]
            first, last = int(pictures_T[0]), int(pictures_T[-1])
            cut = cut_pictures(self._index, first, last, self._source, tag_full_range=self._colours.is_tagged_full)
            containers.append(np.frombuffer(cut.data, dtype=np.uint8))
            positions.append(cut.positions_of(pictures_T).astype(np.int32))
        self._graph.submit({"encoded": containers, "positions": positions})

    def _next_batch(self) -> Iterator[Tensor]:
        try:
            results = self._graph.next_result()
        except RuntimeError as error:
            yield from self._recover(error)
            return
        for run, frames_THWC in zip(self._in_flight.popleft(), results, strict=True):
            yield self._checked(run, frames_THWC)

    def _checked(self, run: range, frames_THWC: Tensor) -> Tensor:
        if len(frames_THWC) != len(run):
            raise AssertionError(f"{self._index.path}: {len(frames_THWC)} frames were decoded for {run}")
        return frames_THWC

    def _recover(self, error: RuntimeError | CannotBeTaggedError) -> Iterator[Tensor]:
        """Decode all runs in flight again, one by one in a new graph, so that only the bad ones fail."""
        _LOG.warning("%s: DALI stopped (%s); going on run by run", self._index.path, last_error_line(error))
        self._graph.reset()
        while self._in_flight:
            for run in self._in_flight.popleft():
                yield self._checked(run, self._decode_alone(run))

    def _decode_alone(self, run: range) -> Tensor:
        """One run by DALI, else by PyAV."""
        try:
            self._submit([run])
            return self._graph.next_result()[0]
        except (RuntimeError, CannotBeTaggedError) as error:
            self._graph.reset()
            _LOG.warning(
                "%s: DALI cannot decode frames %d to %d (%s); PyAV decodes them",
                self._stream.path,
                run.start,
                run.stop,
                last_error_line(error),
            )
        return self._decode_by_pyav(run)

    def _decode_by_pyav(self, run: range) -> Tensor:
        """One run as ``stream_frames`` would give it, with frames that do not decode reported as missing.

        Raises:
            DamagedVideoError: a frame does not decode, and the caller does not ask for missing frames.
        """
        stream = self._stream
        index = replace(
            index_of(self._index.path, allow_truncated=stream.allow_truncated, video_stream=stream.video_stream),
            starts_at_s=self._index.starts_at_s,
        )
        with reader_of(index, fps=stream.fps, size=stream.size, reader="pyav", preparation=self._preparation) as reader:
            frames_THWC, lost = read_range(reader, run, skip_damaged=stream.missing is not None)
        if stream.missing is not None:
            first = frames_of_file(index, stream.fps).start
            stream.missing.extend(range(first + gap.start, first + gap.stop) for gap in lost)
        return torch.from_numpy(frames_THWC).to(stream.options.device)
