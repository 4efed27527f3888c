"""One pass over a match: video in, class scores of every frame out, in bounded memory.

The trunk sees each frame once, piece by piece, and gives the very features it would give over
the whole video (``models.streaming``). The temporal head then reads the
features in windows of ``clip_len`` with half overlap, and the probabilities are averaged,
each weighted by its distance to the end of its window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from e2espot.core.coverage import ReadCoverage, intersect_coverage, ranges_of_mask
from e2espot.core.device import Precision, compute_dtype
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.scores import Scores
from e2espot.models.spotter import Spotter, mean_level
from e2espot.models.streaming.cuda_graph import GraphedTrunk
from e2espot.models.streaming.trunk_stream import TrunkStream

if TYPE_CHECKING:
    from e2espot.video import Backend, BackendOption


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """How a video is run through a spotter."""

    chunk_len: int = 64
    """Frames that are decoded at a time."""
    piece_len: int | None = None
    """Frames the trunk takes at a time; None for what suits the device."""
    precision: Precision = "auto"
    """Number format of the trunk."""
    cuda_graphs: bool = False
    """On CUDA, record the trunk's work on a piece once and replay it: for GPUs that wait for their CPU."""
    flip: bool = False
    """Look at the mirror image as well and average: better by a little, and twice the work."""
    read_ahead: int = 2
    """Decoded chunks that may wait for the network."""
    reader: BackendOption | Backend = "auto"
    """What decodes the video."""
    allow_truncated: bool = False
    """Take a file that breaks off as far as it goes, and pass over stretches that do not decode."""


def spot_video(
    spotter: Spotter,
    path: str | Path,
    options: InferenceOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Scores of every frame of a video file.

    Args:
        spotter: In evaluation mode; its device is used.
        path: Any video the reader can open.
        options: Speed and memory; the scores do not depend on them beyond rounding.
        progress: Called with (frames done, frames in all).

    Raises:
        VideoError: the file is missing, not a video, or breaks off.
        CheckpointError: weights that give no numbers.
    """
    from e2espot.video import probe

    options = options or InferenceOptions()
    info = probe(Path(path), spotter.fps, allow_truncated=options.allow_truncated)
    missing: list[range] = []
    chunks = _chunks(spotter, Path(path), options, missing)
    scores_TK = score_frames(spotter, chunks, info.num_frames, options, progress=progress)
    if not np.isfinite(scores_TK).all():
        raise CheckpointError(f"{path}: these weights give scores that are not numbers; they are damaged, or diverged")
    factor, count = spotter.grid_factor, len(spotter.label_set)
    valid_T = np.ones(len(scores_TK), dtype=bool)
    for frames in missing:
        valid_T[frames.start * factor : frames.stop * factor] = False
    scores_TK[~valid_T] = 0
    if factor > 1:  # of the last frame a half may be too much, or missing
        length = probe(Path(path), spotter.grid_fps, allow_truncated=options.allow_truncated).num_frames
        places_T = np.minimum(np.arange(length), len(scores_TK) - 1)
        scores_TK, valid_T = scores_TK[places_T], valid_T[places_T]
    whole = not info.truncated and bool(valid_T.all())
    return Scores(
        scores_TK=scores_TK[:, :count],
        label_set=spotter.label_set,
        fps=spotter.grid_fps,
        path=Path(path),
        right_T=scores_TK[:, count] if spotter.spec.team else None,
        coverage=None if whole else ReadCoverage(ranges=ranges_of_mask(valid_T), declared_duration_s=info.promised_s),
    )


def average_scores(found: list[Scores]) -> Scores:
    """Mean of the scores that several spotters gave one video.

    Raises:
        ConfigurationError: they speak of other classes or count frames at another rate.
    """
    first = found[0]
    for other in found[1:]:
        if other.label_set.names != first.label_set.names or other.fps != first.fps:
            raise ConfigurationError(
                f"an ensemble needs runs of the same classes and rate; one has {', '.join(first.label_set.names)} at "
                f"{first.fps} fps, another {', '.join(other.label_set.names)} at {other.fps}"
            )
    mean_TK = np.asarray(np.mean([scores.scores_TK for scores in found], axis=0, dtype=np.float32))
    sides = [scores.right_T for scores in found if scores.right_T is not None]
    right_T = np.asarray(np.mean(sides, axis=0, dtype=np.float32)) if sides else None
    coverage = intersect_coverage([scores.coverage for scores in found], len(mean_TK))
    if coverage is not None:
        mean_TK[~coverage.mask(len(mean_TK))] = 0
    return dataclasses.replace(first, scores_TK=mean_TK, right_T=right_T, coverage=coverage)


def _chunks(spotter: Spotter, path: Path, options: InferenceOptions, missing: list[range]) -> Iterator[Tensor]:
    """All frames of a video in order, uint8 RGB ``THWC``; ``missing`` grows by those nobody could decode."""
    from e2espot.video import choose_backend, stream_frames

    device = next(spotter.parameters()).device
    size, chunk_len = (spotter.spec.width, spotter.spec.height), options.chunk_len
    reader = options.reader if options.reader == "pyav" else choose_backend(options.reader, device.type)
    if reader == "dali":
        from dali_pipelines.graph import GraphOptions
        from dali_pipelines.stream import MatchStream

        yield from MatchStream(
            path=path,
            size=size,
            options=GraphOptions(device=device, batch_size=2, prefetch=options.read_ahead),
            fps=spotter.fps,
            chunk_len=chunk_len,
            allow_truncated=options.allow_truncated,
            missing=missing,
        ).chunks()
        return
    for chunk in stream_frames(
        path,
        fps=spotter.fps,
        size=size,
        chunk_len=chunk_len,
        read_ahead=options.read_ahead,
        reader="decord" if reader == "decord" else "auto",
        allow_truncated=options.allow_truncated,
        missing=missing if options.allow_truncated else None,
    ):
        yield torch.from_numpy(chunk.frames_THWC)


def score_frames(
    spotter: Spotter,
    chunks_THWC: Iterable[Tensor],
    num_frames: int,
    options: InferenceOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Scores, as columns of ``Spotter.scores``, of uint8 RGB chunks that together hold ``num_frames`` frames."""
    views = [
        _View(spotter, num_frames, options, mirror=mirror) for mirror in ((False, True) if options.flip else (False,))
    ]
    with torch.inference_mode():
        for chunk_THWC in chunks_THWC:
            for view in views:
                view.add(chunk_THWC)
            if progress is not None:
                progress(views[0].done, num_frames)
        scores = [view.finish() for view in views]
    if progress is not None:
        progress(num_frames, num_frames)
    return np.asarray(np.mean(scores, axis=0, dtype=np.float32))


class _View:
    """One look at the video, as it is or mirrored, from pixels to scores."""

    def __init__(self, spotter: Spotter, num_frames: int, options: InferenceOptions, *, mirror: bool) -> None:
        self._features = _Features(spotter, options)
        self._window = _WindowedHead(spotter, num_frames)
        self._num_frames, self._mirror, self._has_team = num_frames, mirror, spotter.spec.team
        self.done = 0

    def add(self, chunk_THWC: Tensor) -> None:
        """Take the next frames."""
        self._pass_on(self._features.add(chunk_THWC.flip(2) if self._mirror else chunk_THWC))

    def finish(self) -> np.ndarray:
        """Scores of all frames."""
        self._pass_on(self._features.finish())
        if self.done != self._num_frames:
            raise AssertionError(f"{self.done} features for {self._num_frames} frames")
        scores_TK = self._window.finish()
        if self._mirror and self._has_team:
            scores_TK[:, -1] = 1 - scores_TK[:, -1]
        return scores_TK

    def _pass_on(self, pieces: Iterator[Tensor]) -> None:
        for features_TD in pieces:
            self._window.add(features_TD)
            self.done += len(features_TD)


def stream_features(spotter: Spotter, chunks_THWC: Iterable[Tensor], options: InferenceOptions) -> Iterator[Tensor]:
    """Trunk features ``(t, D)`` in fp32, piece after piece, equal to those of the whole video at once.

    Beyond the ends of the video stand normalised zeros, as in training.
    """
    features = _Features(spotter, options)
    for chunk_THWC in chunks_THWC:
        yield from features.add(chunk_THWC)
    yield from features.finish()


class _Features:
    """The trunk's side of ``stream_features``, to be fed from outside."""

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        self._device = next(spotter.parameters()).device
        stream = TrunkStream(spotter.backbone, compute_dtype(self._device, options.precision))
        self._halo = spotter.halo
        self._stream = GraphedTrunk(stream) if options.cuda_graphs and self._device.type == "cuda" else stream
        self._piece_len = options.piece_len or _piece_len(self._device)
        self._crop_dim = spotter.spec.crop_dim
        self._shape_HWC: tuple[int, ...] | None = None

    def add(self, chunk_THWC: Tensor) -> Iterator[Tensor]:
        """Features that can be told after the next frames."""
        chunk_THWC = centre_crop(chunk_THWC, self._crop_dim)
        if self._shape_HWC is None:
            self._shape_HWC = tuple(chunk_THWC.shape[1:])
            yield from self._push(self._nothing())
        yield from self._push(chunk_THWC.to(self._device, non_blocking=True))

    def finish(self) -> Iterator[Tensor]:
        """The features still owed at the end of the video."""
        if self._shape_HWC is not None:
            yield from self._push(self._nothing())

    def _push(self, levels_THWC: Tensor) -> Iterator[Tensor]:
        for piece_THWC in levels_THWC.split(self._piece_len) if len(levels_THWC) else ():
            features_TD = self._stream.push(piece_THWC)
            if len(features_TD):
                yield features_TD

    def _nothing(self) -> Tensor:
        """What is beyond the ends of the video: the mean colour, zero once it is normalised."""
        assert self._shape_HWC is not None
        return mean_level(self._device).expand(self._halo, *self._shape_HWC)


def centre_crop(frames_THWC: Tensor, crop_dim: int) -> Tensor:
    """The square of side ``crop_dim`` in the middle; the whole frame for 0."""
    if not crop_dim:
        return frames_THWC
    top, left = (round((extent - crop_dim) / 2) for extent in frames_THWC.shape[1:3])
    return frames_THWC[:, top : top + crop_dim, left : left + crop_dim]


def _piece_len(device: torch.device) -> int:
    """Frames the trunk takes at a time: few keep a CPU's caches warm; a GPU takes a chunk as it comes."""
    return 16 if device.type == "cpu" else 64


class _WindowedHead:
    """Feeds windows of features to the head as soon as they are complete; keeps one window at a time."""

    def __init__(self, spotter: Spotter, num_frames: int) -> None:
        self._spotter = spotter
        self._clip_len = min(spotter.spec.clip_len, num_frames)
        self._starts = window_starts(num_frames, self._clip_len)
        columns, self._factor = len(spotter.label_set) + int(spotter.spec.team), spotter.grid_factor
        self._sums_TK = np.zeros((num_frames * self._factor, columns), dtype=np.float32)
        # The head knows least at the ends of a window: there the other window's word counts for more.
        self._weights_T = np.minimum(np.arange(1, self._clip_len + 1), np.arange(self._clip_len, 0, -1))
        self._weights_T = self._weights_T.astype(np.float32).repeat(self._factor)
        self._totals_T = np.zeros(len(self._sums_TK), dtype=np.float32)
        self._features: Tensor | None = None
        self._first = 0

    def add(self, features_TD: Tensor) -> None:
        """Take the next features and run every window they complete."""
        self._features = features_TD if self._features is None else torch.cat((self._features, features_TD))
        end = self._first + len(self._features)
        while self._starts and self._starts[0] + self._clip_len <= end:
            start = self._starts.pop(0)
            offset = start - self._first
            scores_TK = self._spotter.scores(self._features[None, offset : offset + self._clip_len])[0].cpu().numpy()
            rows = slice(start * self._factor, (start + self._clip_len) * self._factor)
            self._sums_TK[rows] += scores_TK * self._weights_T[:, None]
            self._totals_T[rows] += self._weights_T
        keep = self._starts[0] if self._starts else end
        self._features = self._features[keep - self._first :]
        self._first = keep

    def finish(self) -> np.ndarray:
        """Averaged probabilities of the written grid, background left out; see ``Spotter.scores``."""
        if self._starts:
            raise AssertionError(f"windows at {self._starts} never came to an end")
        return self._sums_TK / np.maximum(self._totals_T, 1)[:, None]


def window_starts(num_frames: int, clip_len: int) -> list[int]:
    """Starts of windows that cover ``num_frames`` with half overlap; the last one ends at the end."""
    if num_frames <= 0:
        return []
    last = max(0, num_frames - clip_len)
    return [*range(0, last, max(1, clip_len // 2)), last]
