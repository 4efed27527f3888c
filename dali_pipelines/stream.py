"""A whole match by DALI, in order, every frame once.

The file is cut where decoding can begin into runs of a few hundred frames; several runs are
decoded side by side, so that all decoders of a GPU work on one match. Which frames a run
holds is arithmetic on the index; what comes back is counted against it.

Shapes: T frames, K frames of the grid, H x W as asked for.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dali_pipelines.graph import Graph, GraphOptions, brief, dali, decoded, new_pipeline
from dali_pipelines.routes import colour_correction, dali_index, road_of
from e2espot.core.errors import VideoError
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video import Presentation, open_reader, pictures_of_grid, stream_frames
from e2espot.video.packets import PacketSource
from e2espot.video.stream_copy import cut_pictures

_LOG = logging.getLogger(__name__)
_RUN_BYTES = 256 << 20
_LONGEST_RUN, _SHORTEST_RUN = 256, 16


@dataclass(frozen=True, kw_only=True)
class MatchStream:
    """What is read, and how."""

    path: Path
    """The file."""
    size: tuple[int, int]
    """Width and height of the frames."""
    options: GraphOptions
    """Device and bounds; ``batch_size`` runs are decoded side by side."""
    fps: Fraction = DEFAULT_FPS
    """Frames per second of the grid."""
    chunk_len: int = 64
    """Frames of a chunk; the last may be shorter."""
    allow_truncated: bool = False
    """Take a file that breaks off as far as it goes."""
    missing: list[range] = field(default_factory=list)
    """Filled while reading: frames nobody could decode, given as zeros in their places."""

    def chunks(self) -> Iterator[Tensor]:
        """Every frame of the match once, in order: uint8 RGB ``THWC`` on the device.

        Raises:
            VideoError: see ``index_video``.
            ConfigurationError: DALI is not installed, or cannot read the file on this device.
        """
        presentation = dali_index(self.path, allow_truncated=self.allow_truncated)
        road, reason = road_of(presentation, self.options.device.type)
        if road == "host":
            _LOG.info("%s: decoded by the CPU: %s", self.path, reason)
            host = stream_frames(
                self.path,
                fps=self.fps,
                size=self.size,
                chunk_len=self.chunk_len,
                allow_truncated=self.allow_truncated,
            )
            for chunk in host:
                yield torch.from_numpy(chunk.frames_THWC).to(self.options.device)
            return
        pictures_K = pictures_of_grid(presentation, self.fps)
        runs = plan_runs(presentation.start_picture_S, pictures_K, longest_run(presentation))
        yield from rechunked(_Runs(self, presentation, pictures_K).frames(runs), self.chunk_len, len(pictures_K))


def longest_run(presentation: Presentation) -> int:
    """Frames of a run, bounded by what its pictures weigh."""
    weight = presentation.width * presentation.height * 3
    return max(_SHORTEST_RUN, min(_LONGEST_RUN, _RUN_BYTES // weight))


def plan_runs(start_picture_S: np.ndarray, pictures_K: np.ndarray, longest: int) -> list[range]:
    """Runs of at most ``longest`` frames that together are all frames, broken where decoding can begin.

    A stretch without such a place that is longer is broken inside; what lies before the break is
    then decoded again.

    Args:
        start_picture_S: First picture of each segment.
        pictures_K: Picture of each frame, not decreasing.
        longest: Most frames of a run.
    """
    num_frames = len(pictures_K)
    borders = [*np.unique(np.searchsorted(pictures_K, start_picture_S)).tolist(), num_frames]
    runs, first = [], 0
    for here, after in pairwise(borders):
        if after - first > longest and here > first:
            runs.append(range(first, here))
            first = here
        while after - first > longest:
            runs.append(range(first, first + longest))
            first += longest
    if first < num_frames:
        runs.append(range(first, num_frames))
    return runs


def rechunked(pieces: Iterator[Tensor], chunk_len: int, num_frames: int) -> Iterator[Tensor]:
    """Pieces of any length as chunks of ``chunk_len``, the last shorter.

    Raises:
        AssertionError: they do not add up to ``num_frames``.
    """
    held: Tensor | None = None
    given = 0
    for piece in pieces:
        held = piece if held is None else torch.cat((held, piece))
        while len(held) >= chunk_len:
            given += chunk_len
            yield held[:chunk_len]
            held = held[chunk_len:]
    if held is not None and len(held):
        given += len(held)
        yield held
    if given != num_frames:
        raise AssertionError(f"{given} frames came for {num_frames}")


class RunGraph(Graph):
    """From cuts to uint8 frames of the size asked for, in the stream's own colours."""

    def __init__(self, options: GraphOptions, size: tuple[int, int], matrix: str) -> None:
        """A graph for one file."""
        self._size, self._matrix = size, matrix
        super().__init__(options, self.define)

    def define(self) -> Any:
        """The pipeline, not yet built."""
        fn, types = dali().fn, dali().types
        with new_pipeline(self.options) as pipeline:
            video = decoded(self.options)
            video = fn.resize(video, size=self._size[::-1], interp_type=types.INTERP_LINEAR, antialias=True)
            correction = colour_correction(self._matrix)
            if not np.allclose(correction, np.eye(3)):
                video = fn.coord_transform(video, M=correction.ravel().tolist(), dtype=types.UINT8)
            pipeline.set_outputs(video)
        return pipeline


class _Runs:
    """Decodes runs, a batch of them at a time, the next batches under way meanwhile."""

    def __init__(self, stream: MatchStream, presentation: Presentation, pictures_K: np.ndarray) -> None:
        self._stream, self._index, self._pictures_K = stream, presentation, pictures_K
        self._source = PacketSource(presentation)
        self._graph = RunGraph(stream.options, stream.size, presentation.matrix)
        self._waiting: deque[list[range]] = deque()

    def frames(self, runs: list[range]) -> Iterator[Tensor]:
        """Frames of all runs in order, one tensor a run."""
        side_by_side = self._stream.options.batch_size
        try:
            for place in range(0, len(runs), side_by_side):
                batch = runs[place : place + side_by_side]
                self._waiting.append(batch)
                self._feed(batch)
                if len(self._waiting) >= self._stream.options.prefetch:
                    yield from self._take()
            while self._waiting:
                yield from self._take()
        finally:
            self._graph.reset()
            self._source.close()

    def _feed(self, batch: list[range]) -> None:
        cuts, places = [], []
        for run in batch:
            pictures_T = self._pictures_K[run.start : run.stop]
            cut = cut_pictures(self._index, int(pictures_T[0]), int(pictures_T[-1]), self._source)
            cuts.append(np.frombuffer(cut.data, dtype=np.uint8))
            places.append(cut.places(pictures_T).astype(np.int32))
        self._graph.feed({"encoded": cuts, "places": places})

    def _take(self) -> Iterator[Tensor]:
        try:
            given = self._graph.take()
        except RuntimeError as error:
            yield from self._recover(error)
            return
        for run, frames_THWC in zip(self._waiting.popleft(), given, strict=True):
            yield self._counted(run, frames_THWC)

    def _counted(self, run: range, frames_THWC: Tensor) -> Tensor:
        if len(frames_THWC) != len(run):
            raise AssertionError(f"{self._index.path}: {len(frames_THWC)} frames came for {run}")
        return frames_THWC

    def _recover(self, error: RuntimeError) -> Iterator[Tensor]:
        """Give all runs under way, one by one in a graph built anew."""
        _LOG.warning("%s: DALI stopped (%s); going on run by run", self._index.path, brief(error))
        self._graph.reset()
        while self._waiting:
            for run in self._waiting.popleft():
                yield self._counted(run, self._alone(run))

    def _alone(self, run: range) -> Tensor:
        """One run by DALI, else by PyAV, else as zeros that are reported as missing."""
        stream, device = self._stream, self._stream.options.device
        try:
            self._feed([run])
            return self._graph.take()[0]
        except RuntimeError as error:
            self._graph.reset()
            _LOG.warning("%s: DALI cannot decode frames %d to %d (%s)", stream.path, run.start, run.stop, brief(error))
        try:
            reader = open_reader(stream.path, fps=stream.fps, size=stream.size, allow_truncated=stream.allow_truncated)
            with reader:
                return torch.from_numpy(reader.read(run)).to(device)
        except VideoError as error:
            _LOG.warning("%s; frames %d to %d count as missing", error, run.start, run.stop)
        stream.missing.append(run)
        width, height = stream.size
        return torch.zeros(len(run), height, width, 3, dtype=torch.uint8, device=device)
