"""One pass over a match: video in, class scores of every frame out, in bounded memory.

    chunks (decoded) -> pieces -> backbone, once per frame -> features -> overlapping windows -> head -> mean

The backbone processes each frame once, piece by piece, and its features equal those of the whole
video at once (``models.streaming``). The temporal head reads the features in windows of
``clip_len`` frames that overlap by half; where windows overlap, their probabilities are averaged.

Shapes: T frames, H height, W width, C colours, D features, K classes, B batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from e2espot.core.coverage import ReadCoverage, intersect_coverage, ranges_of_mask
from e2espot.core.device import compute_dtype
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.scores import Scores
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.options import InferenceOptions
from e2espot.models.spotter import Spotter, centre_crop, mean_pixel
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.cuda_graph import CudaGraphBackbone

if TYPE_CHECKING:
    from e2espot.video import VideoIndex


def spot_video(
    spotter: Spotter,
    path: str | Path,
    options: InferenceOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Compute the scores of every frame of a video file, on the output grid of the spotter.

    The spotter is adapted to the video first, unless ``options.adapt`` is ``none``; the one given stays as it is.

    Args:
        spotter: In evaluation mode; its device is used.
        path: Any video the reader can open.
        options: How the video is read and processed; the defaults suit most machines.
        progress: Called with (frames done, frames in all).

    Raises:
        VideoError: the file is missing, is not a video, or is damaged and ``allow_truncated`` is off.
        CheckpointError: the weights give scores that are not finite.
    """
    from e2espot.video.clock_gaps import log_gaps
    from e2espot.video.parts import one_state

    options = options or InferenceOptions()
    with one_state(path, **options.opening) as indexes:
        log_gaps(indexes)
        return _spot_indexed(spotter, Path(path), indexes, options, progress)


def _spot_indexed(
    spotter: Spotter,
    path: Path,
    indexes: tuple[VideoIndex, ...],
    options: InferenceOptions,
    progress: Callable[[int, int], None] | None,
) -> Scores:
    from e2espot.video.clock_gaps import seen_frames
    from e2espot.video.reader import match_info

    info = match_info(path, indexes, spotter.fps)
    spotter, adaptation = adapt_to_video(spotter, path, options)
    seen_K = np.concatenate([seen_frames(index, spotter.fps) for index in indexes])
    missing = list(ranges_of_mask(~seen_K))  # extended while the chunks are consumed; complete after score_frames
    chunks = _blackened(_chunks(spotter, path, options, missing), seen_K)
    scores_TK = score_frames(spotter, chunks, info.num_frames, options, progress=progress)
    if not np.isfinite(scores_TK).all():
        raise CheckpointError(
            f"{path}: these weights give scores that are not finite; they are damaged, or their training diverged"
        )
    factor, count = spotter.grid_factor, len(spotter.label_set)
    # Frames that were not decoded are black in the windows of their neighbours. Their own scores mean nothing.
    valid_T = np.ones(len(scores_TK), dtype=bool)
    for frames in missing:
        valid_T[frames.start * factor : frames.stop * factor] = False
    scores_TK[~valid_T] = 0
    if factor > 1:
        # Each frame of the network's grid gave `factor` rows, but a frame may count on one grid and not on the
        # other, since it counts if its middle is before the end of the video. Network at 12.5 fps, factor 2:
        # 0.36 s -> 4 frames, 8 rows; 9 frames at 25 fps, so the last row is repeated
        # 0.37 s -> 5 frames, 10 rows; 9 frames at 25 fps, so the last row is cut
        length = match_info(path, indexes, spotter.grid_fps).num_frames
        rows_T = np.minimum(np.arange(length), len(scores_TK) - 1)
        scores_TK, valid_T = scores_TK[rows_T], valid_T[rows_T]
    is_complete = not info.truncated and bool(valid_T.all())
    return Scores(
        scores_TK=scores_TK[:, :count],
        label_set=spotter.label_set,
        fps=spotter.grid_fps,
        path=path,
        right_T=scores_TK[:, count] if spotter.spec.team else None,
        adaptations=() if adaptation is None else (adaptation,),
        coverage=None
        if is_complete
        else ReadCoverage(ranges=ranges_of_mask(valid_T), declared_duration_s=info.declared_duration_s),
    )


def average_scores(members: list[Scores]) -> Scores:
    """Mean of the scores that the members of an ensemble give one video.

    A frame counts as read only if every member has read it.

    Raises:
        ConfigurationError: the members differ in classes or frame rate.
    """
    first = members[0]
    for other in members[1:]:
        if other.label_set.names != first.label_set.names or other.fps != first.fps:
            raise ConfigurationError(
                f"an ensemble needs runs of the same classes and rate; one has {', '.join(first.label_set.names)} at "
                f"{first.fps} fps, another {', '.join(other.label_set.names)} at {other.fps}"
            )
    mean_TK = np.asarray(np.mean([scores.scores_TK for scores in members], axis=0, dtype=np.float32))
    teams = [scores.right_T for scores in members if scores.right_T is not None]
    right_T = np.asarray(np.mean(teams, axis=0, dtype=np.float32)) if teams else None
    coverage = intersect_coverage([scores.coverage for scores in members], len(mean_TK))
    if coverage is not None:
        mean_TK[~coverage.mask(len(mean_TK))] = 0
    adaptations = tuple(adaptation for scores in members for adaptation in scores.adaptations)
    return dataclasses.replace(first, scores_TK=mean_TK, right_T=right_T, coverage=coverage, adaptations=adaptations)


def ball_maps_of_video(spotter: Spotter, path: str | Path, options: InferenceOptions) -> Iterator[Tensor]:
    """Yield the heat map of the ball for every frame of a video file, as ``stream_ball_maps`` does.

    Raises:
        VideoError: as :func:`spot_video`.
        ConfigurationError: the backbone has no such map.
    """
    spotter, _ = adapt_to_video(spotter, Path(path), options)
    with torch.inference_mode():
        yield from stream_ball_maps(spotter, _chunks(spotter, Path(path), options, []), options)


def _blackened(chunks_THWC: Iterator[Tensor], seen_K: np.ndarray) -> Iterator[Tensor]:
    """The same frames, zeros where ``seen_K`` is False, as frames that do not decode."""
    first = 0
    for chunk_THWC in chunks_THWC:
        not_seen_T = ~seen_K[first : first + len(chunk_THWC)]
        if not_seen_T.any():
            chunk_THWC = chunk_THWC.clone()
            chunk_THWC[torch.from_numpy(not_seen_T).to(chunk_THWC.device)] = 0
        first += len(chunk_THWC)
        yield chunk_THWC


def _chunks(spotter: Spotter, path: Path, options: InferenceOptions, missing: list[range]) -> Iterator[Tensor]:
    """Decode all frames of a video in order, by the backend that serves the file and the device.

    Frames that do not decode end the video with an error, or are zeros and added to ``missing`` if
    ``options.allow_truncated``, whatever the backend.

    Yields:
        uint8 RGB ``THWC``, on the host, or on the spotter's device if that decodes.
    """
    from e2espot.video import choose_backend, stream_frames

    device = next(spotter.parameters()).device
    size = (spotter.spec.width, spotter.spec.height)
    skipped = missing if options.allow_truncated else None
    opening = options.opening
    backend = choose_backend(options.reader, device.type)
    if backend == "dali" and options.source_fps is not None:
        backend = "pyav"  # pictures of raw streams are found by counting from the beginning
    if backend == "dali":
        from dali_pipelines.graph import GraphOptions
        from dali_pipelines.routes import is_decodable
        from dali_pipelines.stream import MatchStream

        named: dict[str, Any] = {"allow_truncated": options.allow_truncated, "video_stream": options.video_stream}
        if is_decodable(path, device.type, pictures=options, **named):
            yield from MatchStream(
                path=path,
                size=size,
                options=GraphOptions(device=device, batch_size=2, prefetch=options.read_ahead),
                fps=spotter.fps,
                chunk_len=options.chunk_len,
                missing=skipped,
                pictures=options,
                **named,
            ).chunks()
            return
        backend = "pyav"
    for chunk in stream_frames(
        path,
        fps=spotter.fps,
        size=size,
        chunk_len=options.chunk_len,
        read_ahead=options.read_ahead,
        reader=backend,
        missing=skipped,
        **opening,
        pictures=options,
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
    """Compute scores from decoded frames.

    Args:
        spotter: In evaluation mode.
        chunks_THWC: uint8 RGB, in order; together they hold ``num_frames`` frames.
        num_frames: Frames of the whole video.
        options: How the frames are processed.
        progress: Called with (frames done, frames in all).

    Returns:
        float32; rows and columns as in ``Spotter.scores``.
    """
    # The views share the decoded chunks but not the state: each has a backbone stream and a head of its own.
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
    """One view of the video, as it is or mirrored, from pixels to scores."""

    def __init__(self, spotter: Spotter, num_frames: int, options: InferenceOptions, *, mirror: bool) -> None:
        self._features = _Features(spotter, options)
        self._window = _WindowedHead(spotter, num_frames)
        self._num_frames, self._mirror, self._has_team = num_frames, mirror, spotter.spec.team
        self.done = 0

    def add(self, chunk_THWC: Tensor) -> None:
        """Process the next frames."""
        self._feed_head(self._features.add(chunk_THWC.flip(2) if self._mirror else chunk_THWC))

    def finish(self) -> np.ndarray:
        """Scores of all frames; rows and columns as in ``Spotter.scores``."""
        self._feed_head(self._features.finish())
        if self.done != self._num_frames:
            raise AssertionError(f"{self.done} features for {self._num_frames} frames")
        scores_TK = self._window.finish()
        if self._mirror and self._has_team:
            # The last column is the probability that the right team acts; in the mirror, right is left.
            scores_TK[:, -1] = 1 - scores_TK[:, -1]
        return scores_TK

    def _feed_head(self, pieces: Iterator[Tensor]) -> None:
        for features_TD in pieces:
            self._window.add(features_TD)
            self.done += len(features_TD)


def stream_features(spotter: Spotter, chunks_THWC: Iterable[Tensor], options: InferenceOptions) -> Iterator[Tensor]:
    """Yield backbone features ``(t, D)`` in fp32, piece by piece, equal to those of the whole video at once.

    Beyond the ends of the video the input is the normalised zero, as in training.
    """
    features = _Features(spotter, options)
    for chunk_THWC in chunks_THWC:
        yield from features.add(chunk_THWC)
    yield from features.finish()


def stream_ball_maps(spotter: Spotter, chunks_THWC: Iterable[Tensor], options: InferenceOptions) -> Iterator[Tensor]:
    """Yield the heat map of the ball of each frame, logits ``(t, H / 8, W / 8)`` in fp32, piece by piece.

    Raises:
        ConfigurationError: the backbone has no such map.
    """
    features = _Features(spotter, dataclasses.replace(options, cuda_graphs=False))
    for chunk_THWC in chunks_THWC:
        for _ in features.add(chunk_THWC):
            yield features.heat_THW
    for _ in features.finish():
        yield features.heat_THW


class _Features:
    """The push form of ``stream_features``: the caller adds chunks and receives the features that are ready."""

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        self._device = next(spotter.parameters()).device
        self._backbone_stream = BackboneStream(spotter.backbone, compute_dtype(self._device, options.precision))
        self._halo = spotter.halo
        graphs = options.cuda_graphs and self._device.type == "cuda"
        self._stream = CudaGraphBackbone(self._backbone_stream) if graphs else self._backbone_stream
        self._piece_len = options.piece_len or _piece_len(self._device)
        self._crop_dim = spotter.spec.crop_dim
        self._shape_HWC: tuple[int, ...] | None = None

    def add(self, chunk_THWC: Tensor) -> Iterator[Tensor]:
        """Push the next frames and yield the features that are ready."""
        chunk_THWC = centre_crop(chunk_THWC, self._crop_dim)
        if self._shape_HWC is None:
            # The stream emits a frame once `halo` frames on both sides of it are in, so pad both ends:
            # halo x padding, T frames, halo x padding -> T features
            self._shape_HWC = tuple(chunk_THWC.shape[1:])
            yield from self._push(self._padding())
        yield from self._push(chunk_THWC.to(self._device, non_blocking=True))

    def finish(self) -> Iterator[Tensor]:
        """Yield the remaining features, those of the last ``halo`` frames."""
        if self._shape_HWC is not None:
            yield from self._push(self._padding())

    @property
    def heat_THW(self) -> Tensor:  # noqa: N802
        """Heat map of the ball for the features yielded last; without CUDA graphs."""
        if self._backbone_stream.heat_THW is None:
            raise ConfigurationError("this backbone has no heat map of the ball; only the small ones have")
        return self._backbone_stream.heat_THW

    def _push(self, frames_THWC: Tensor) -> Iterator[Tensor]:
        for piece_THWC in frames_THWC.split(self._piece_len) if len(frames_THWC) else ():
            features_TD = self._stream.forward_chunk(piece_THWC)
            if len(features_TD):
                yield features_TD

    def _padding(self) -> Tensor:
        """``halo`` frames of the mean colour, which normalisation turns into zeros."""
        assert self._shape_HWC is not None
        return mean_pixel(self._device).expand(self._halo, *self._shape_HWC)


def _piece_len(device: torch.device) -> int:
    """Frames the backbone processes at a time: a short piece stays in a CPU's caches, a GPU takes a whole chunk."""
    return 16 if device.type == "cpu" else 64


class _WindowedHead:
    """Runs the head on overlapping windows of features, each as soon as it is complete.

    With ``clip_len`` 4 a frame is in two windows, and counts most in the one where it is in the middle::

        frames    0 1 2 3 4 5 6 7
        window 0  1 2 2 1            weights
        window 1      1 2 2 1
        window 2          1 2 2 1
        total     1 2 3 3 3 3 2 1    what the sums are divided by

    Only the features from the start of the next window on are held, at most a window and a piece.
    """

    def __init__(self, spotter: Spotter, num_frames: int) -> None:
        self._spotter = spotter
        self._clip_len = min(spotter.spec.clip_len, num_frames)
        self._starts = window_starts(num_frames, self._clip_len)
        columns, self._factor = len(spotter.label_set) + int(spotter.spec.team), spotter.grid_factor
        self._sums_TK = np.zeros((num_frames * self._factor, columns), dtype=np.float32)
        # At the ends of a window the head sees context on one side only, so the weight falls linearly to them
        # and the other window, which has that frame near its middle, decides. The smallest weight is 1, not 0:
        # the first and the last frames of the video are in one window only.
        weights_T = np.minimum(np.arange(1, self._clip_len + 1), np.arange(self._clip_len, 0, -1))
        # One weight for each row of the output grid: factor 2, clip_len 4 -> 1 1 2 2 2 2 1 1
        self._weights_T = weights_T.astype(np.float32).repeat(self._factor)
        self._totals_T = np.zeros(len(self._sums_TK), dtype=np.float32)
        self._features: Tensor | None = None
        self._first = 0
        """Frame of the first feature that is held."""

    def add(self, features_TD: Tensor) -> None:
        """Append the next features and run every window they complete."""
        self._features = features_TD if self._features is None else torch.cat((self._features, features_TD))
        end = self._first + len(self._features)
        # A piece may complete several short windows, or none.
        while self._starts and self._starts[0] + self._clip_len <= end:
            start = self._starts.pop(0)
            offset = start - self._first
            scores_TK = self._spotter.scores(self._features[None, offset : offset + self._clip_len])[0].cpu().numpy()
            rows = slice(start * self._factor, (start + self._clip_len) * self._factor)
            self._sums_TK[rows] += scores_TK * self._weights_T[:, None]
            self._totals_T[rows] += self._weights_T
        # No later window reaches back before the start of the next one.
        # features of frames 2 to 6 held, next window at 4 -> 2 and 3 are dropped
        first_needed = self._starts[0] if self._starts else end
        self._features = self._features[first_needed - self._first :]
        self._first = first_needed

    def finish(self) -> np.ndarray:
        """Averaged probabilities on the output grid, without background; see ``Spotter.scores``."""
        if self._starts:
            raise AssertionError(f"windows at {self._starts} were never completed")
        return self._sums_TK / np.maximum(self._totals_T, 1)[:, None]


def window_starts(num_frames: int, clip_len: int) -> list[int]:
    """Starts of windows that cover all frames and overlap by half; the last window ends with the video."""
    # num_frames = 10, clip_len = 4 -> [0, 2, 4, 6]; num_frames = 11 -> [0, 2, 4, 6, 7]
    if num_frames <= 0:
        return []
    last = max(0, num_frames - clip_len)
    return [*range(0, last, max(1, clip_len // 2)), last]
