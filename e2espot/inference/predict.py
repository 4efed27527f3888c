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
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from e2espot.core.errors import ConfigurationError
from e2espot.core.scores import Scores
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.options import InferenceOptions
from e2espot.inference.score_stream import FeatureStream, ScoreStream
from e2espot.inference.video_scores import VideoToScore, average_scores, blackened, host_chunks, scores_of_video
from e2espot.inference.views import score_chunks
from e2espot.models.spotter import Spotter

if TYPE_CHECKING:
    from e2espot.core.adaptation import Adaptation

__all__ = [
    "average_scores",
    "ball_maps_of_video",
    "frames_of_video",
    "score_frames",
    "spot_video",
    "stream_ball_maps",
    "stream_features",
]


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
    _check_input(spotter, Path(path))
    if spotter.spec.features is not None:
        from e2espot.inference.spot_features import spot_features

        return spot_features(spotter, Path(path), progress=progress)
    return scores_of_video(_TorchNetwork(spotter), Path(path), options or InferenceOptions(), progress)


class _TorchNetwork:
    """A spotter as ``scores_of_video`` takes it."""

    def __init__(self, spotter: Spotter) -> None:
        self._spotter = spotter
        self.label_set, self.fps, self.grid_factor = spotter.label_set, spotter.fps, spotter.grid_factor
        self.has_team = spotter.spec.team

    def adapt(self, path: Path, options: InferenceOptions) -> tuple[_TorchNetwork, Adaptation | None]:
        spotter, adaptation = adapt_to_video(self._spotter, path, options)
        return _TorchNetwork(spotter), adaptation

    def score(
        self, video: VideoToScore, options: InferenceOptions, progress: Callable[[int, int], None] | None
    ) -> np.ndarray:
        chunks = blackened(frames_of_video(self._spotter, video.path, options, video.missing), video.seen_T, _blacken)
        return score_frames(self._spotter, chunks, video.num_frames, options, progress=progress)


def _check_input(spotter: Spotter, path: Path) -> None:
    """Refuse features where a spotter sees frames."""
    if spotter.spec.features is None and path.suffix.lower() == ".npy":
        raise ConfigurationError(f"{path}: features, and this run sees the frames of videos; give the video itself")


def _blacken(chunk_THWC: Tensor, frames_T: np.ndarray) -> Tensor:
    chunk_THWC = chunk_THWC.clone()
    chunk_THWC[torch.from_numpy(frames_T).to(chunk_THWC.device)] = 0
    return chunk_THWC


def ball_maps_of_video(spotter: Spotter, path: str | Path, options: InferenceOptions) -> Iterator[Tensor]:
    """Yield the heat map of the ball for every frame of a video file, as ``stream_ball_maps`` does.

    Raises:
        VideoError: as :func:`spot_video`.
        ConfigurationError: the backbone has no such map.
    """
    spotter, _ = adapt_to_video(spotter, Path(path), options)
    with torch.inference_mode():
        yield from stream_ball_maps(spotter, frames_of_video(spotter, Path(path), options, []), options)


def frames_of_video(spotter: Spotter, path: Path, options: InferenceOptions, missing: list[range]) -> Iterator[Tensor]:
    """Decode all frames of a video in order, by the backend that serves the file and the device.

    Frames that do not decode end the video with an error, or are zeros and added to ``missing`` if
    ``options.allow_truncated``, whatever the backend.

    Yields:
        uint8 RGB ``THWC``, on the host, or on the spotter's device if that decodes.
    """
    from e2espot.video import choose_backend

    device = next(spotter.parameters()).device
    size = (spotter.spec.width, spotter.spec.height)
    skipped = missing if options.allow_truncated else None
    backend = choose_backend(options.reader, device.type)
    if backend == "dali" and options.source_fps is not None:
        backend = "pyav"  # pictures of raw streams are found by counting from the beginning
    if backend == "dali":
        from dali_pipelines.graph import GraphOptions
        from dali_pipelines.routes import is_decodable
        from dali_pipelines.stream import MatchStream

        if is_decodable(path, device.type, pictures=options, **options.opening):
            yield from MatchStream(
                path=path,
                size=size,
                options=GraphOptions(device=device, batch_size=2, prefetch=options.read_ahead),
                fps=spotter.fps,
                chunk_len=options.frames_per_chunk(device.type),
                allow_truncated=options.allow_truncated,
                video_stream=options.video_stream,
                missing=skipped,
                pictures=options,
            ).chunks()
            return
        backend = "pyav"
    for chunk_THWC in host_chunks(path, spotter.fps, size, options, backend, skipped, device.type):
        yield torch.from_numpy(chunk_THWC)


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
    with torch.inference_mode():
        return score_chunks(ScoreStream(spotter, options), chunks_THWC, num_frames, progress)


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
