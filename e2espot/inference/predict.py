"""One pass over a match: video in, class scores of every frame out, in bounded memory.

    chunks (decoded) -> pieces -> backbone, once per frame -> features -> overlapping windows -> head -> mean

The backbone processes each frame once, piece by piece, and its features equal those of the whole
video at once (``models.streaming``). The temporal head reads the features in windows of
``clip_len`` frames that overlap by half; where windows overlap, their probabilities are averaged
(``streaming_head``).

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
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.scores import Scores
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.options import InferenceOptions
from e2espot.inference.score_stream import FeatureStream, ScoreStream
from e2espot.models.spotter import Spotter

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
    chunks = _blackened(frames_of_video(spotter, path, options, missing), seen_K)
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
        yield from stream_ball_maps(spotter, frames_of_video(spotter, Path(path), options, []), options)


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


def frames_of_video(spotter: Spotter, path: Path, options: InferenceOptions, missing: list[range]) -> Iterator[Tensor]:
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
    stream = ScoreStream(spotter, options)
    rows: list[np.ndarray] = []
    with torch.inference_mode():
        for chunk_THWC in chunks_THWC:
            rows.append(stream.add(chunk_THWC))
            if progress is not None:
                progress(stream.done, num_frames)
        rows.append(stream.finish())
    if stream.done != num_frames:
        raise AssertionError(f"{stream.done} features for {num_frames} frames")
    if progress is not None:
        progress(num_frames, num_frames)
    return np.concatenate(rows)


def stream_features(spotter: Spotter, chunks_THWC: Iterable[Tensor], options: InferenceOptions) -> Iterator[Tensor]:
    """Yield backbone features ``(t, D)`` in fp32, piece by piece, equal to those of the whole video at once.

    Beyond the ends of the video the input is the normalised zero, as in training.
    """
    features = FeatureStream(spotter, options)
    for chunk_THWC in chunks_THWC:
        yield from features.add(chunk_THWC)
    yield from features.finish()


def stream_ball_maps(spotter: Spotter, chunks_THWC: Iterable[Tensor], options: InferenceOptions) -> Iterator[Tensor]:
    """Yield the heat map of the ball of each frame, logits ``(t, H / 8, W / 8)`` in fp32, piece by piece.

    Raises:
        ConfigurationError: the backbone has no such map.
    """
    features = FeatureStream(spotter, dataclasses.replace(options, cuda_graphs=False))
    for chunk_THWC in chunks_THWC:
        for _ in features.add(chunk_THWC):
            yield features.heat_THW
    for _ in features.finish():
        yield features.heat_THW
