"""The scores of a video file, whatever network computes them: which frames count, and on which grid the scores are.

This module imports neither torch nor another engine.

Shapes: T frames of the video, t frames of a chunk, H height, W width, C colours, K classes.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from e2espot.core.adaptation import Adaptation
from e2espot.core.coverage import ReadCoverage, intersect_coverage, ranges_of_mask
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import fps_text
from e2espot.inference.options import InferenceOptions

if TYPE_CHECKING:
    from e2espot.video import Backend, VideoIndex, VideoInfo

_LOG = logging.getLogger(__name__)
F = TypeVar("F", bound=Any)
"""Tensor or array."""


@dataclass(frozen=True, kw_only=True)
class VideoToScore:
    """What a network is given of a video."""

    path: Path
    """The file, or the files of one match."""
    num_frames: int
    """T, on the grid of the network."""
    seen_T: np.ndarray
    """Whether each frame has a picture; the others are black."""
    missing: list[range]
    """Frames without a picture; those that do not decode are added while the chunks are consumed."""


class Network(Protocol):
    """A spotter, whatever computes it."""

    @property
    def label_set(self) -> LabelSet:
        """Classes of the scores."""

    @property
    def fps(self) -> Fraction:
        """Rate of the frames that it sees."""

    @property
    def grid_factor(self) -> int:
        """Rows of the scores per frame."""

    @property
    def has_team(self) -> bool:
        """Whether a last column of the scores is the probability that the right team acts."""

    def adapt(self, path: Path, options: InferenceOptions) -> tuple[Network, Adaptation | None]:
        """The network for this video, and how it was adapted to it."""

    def score(
        self, video: VideoToScore, options: InferenceOptions, progress: Callable[[int, int], None] | None
    ) -> np.ndarray:
        """Scores of every frame, float32 ``(grid_factor * T, columns)``."""


def scores_of_video(
    network: Network, path: Path, options: InferenceOptions, progress: Callable[[int, int], None] | None
) -> Scores:
    """Scores of every frame of a video file, on the output grid of the network.

    Args:
        network: The spotter.
        path: Any video the reader can open.
        options: How the video is read and processed.
        progress: Called with (frames done, frames in all).

    Raises:
        VideoError: the file is missing, is not a video, or is damaged and ``allow_truncated`` is off.
        CheckpointError: the weights give scores that are not finite.
    """
    from e2espot.video.clock_gaps import log_gaps
    from e2espot.video.parts import one_state

    with one_state(path, **options.opening) as indexes:
        log_gaps(indexes)
        return _scores_of_indexed(network, path, indexes, options, progress)


def _scores_of_indexed(
    network: Network,
    path: Path,
    indexes: tuple[VideoIndex, ...],
    options: InferenceOptions,
    progress: Callable[[int, int], None] | None,
) -> Scores:
    from e2espot.video.clock_gaps import seen_frames
    from e2espot.video.reader import match_info

    info = match_info(path, indexes, network.fps)
    _warn_of_few_pictures(path, info, network.fps)
    network, adaptation = network.adapt(path, options)
    seen_T = np.concatenate([seen_frames(index, network.fps) for index in indexes])
    missing = list(ranges_of_mask(~seen_T))  # extended while the chunks are consumed; complete after the scores
    video = VideoToScore(path=path, num_frames=info.num_frames, seen_T=seen_T, missing=missing)
    scores_TK = network.score(video, options, progress)
    if not np.isfinite(scores_TK).all():
        raise CheckpointError(
            f"{path}: these weights give scores that are not finite; they are damaged, or their training diverged"
        )
    factor, count = network.grid_factor, len(network.label_set)
    valid_T = _mask_of_read(len(scores_TK), missing, factor)
    scores_TK[~valid_T] = 0
    if factor > 1:
        rows_T = _rows_of_output(len(scores_TK), match_info(path, indexes, network.fps * factor).num_frames)
        scores_TK, valid_T = scores_TK[rows_T], valid_T[rows_T]
    is_complete = not info.truncated and bool(valid_T.all())
    coverage = ReadCoverage(ranges=ranges_of_mask(valid_T), declared_duration_s=info.declared_duration_s)
    return Scores(
        scores_TK=scores_TK[:, :count],
        label_set=network.label_set,
        fps=network.fps * factor,
        path=path,
        right_T=scores_TK[:, count] if network.has_team else None,
        adaptations=() if adaptation is None else (adaptation,),
        coverage=None if is_complete else coverage,
    )


def _mask_of_read(num_rows: int, missing: list[range], rows_per_frame: int) -> np.ndarray:
    """Whether the frame of each row of the scores was read; bool ``(num_rows,)``.

    Other frames are black in the windows of their neighbours, and their own scores mean nothing.
    """
    valid_T = np.ones(num_rows, dtype=bool)
    for frames in missing:
        valid_T[frames.start * rows_per_frame : frames.stop * rows_per_frame] = False
    return valid_T


def _warn_of_few_pictures(path: Path, info: VideoInfo, fps: Fraction) -> None:
    """Warn of a video without a frame, or with so few pictures a second that most frames repeat one."""
    if not info.num_frames:
        _LOG.warning(
            "%s: lasts %.0f ms, no more than half a frame at %s a second; there is nothing to spot",
            path,
            1000 * info.duration_s,
            fps_text(fps),
        )
    elif info.source_fps < fps / 2:
        _LOG.warning(
            "%s: has %.3g pictures a second, and the spotter looks at %s: most frames repeat a picture, and an event "
            "between two pictures is not seen",
            path,
            info.source_fps,
            fps_text(fps),
        )


def _rows_of_output(num_rows: int, num_frames: int) -> np.ndarray:
    """Row of the network's scores for each frame of the finer output grid; int64 ``(num_frames,)``.

    Each frame of the network's grid gave several rows, but a frame may count on one grid and not on the other, since it
    counts if its middle is before the end of the video. Network at 12.5 fps, 2 rows a frame::

        0.36 s    4 frames, 8 rows      9 frames at 25 fps, so the last row is repeated
        0.37 s    5 frames, 10 rows     9 frames at 25 fps, so the last row is cut
    """
    return np.minimum(np.arange(num_frames), num_rows - 1)


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


def blackened(chunks: Iterator[F], seen_T: np.ndarray, blacken: Callable[[F, np.ndarray], F]) -> Iterator[F]:
    """The same frames, zeros where ``seen_T`` is False, as frames that do not decode.

    Args:
        chunks: uint8 RGB ``(t, H, W, C)``, in order.
        seen_T: Of all frames.
        blacken: A copy of a chunk with zeros in the frames of a mask ``(t,)``.
    """
    first = 0
    for chunk_THWC in chunks:
        not_seen_T = ~seen_T[first : first + len(chunk_THWC)]
        first += len(chunk_THWC)
        yield blacken(chunk_THWC, not_seen_T) if not_seen_T.any() else chunk_THWC


def host_chunks(
    path: Path,
    fps: Fraction,
    size: tuple[int, int],
    options: InferenceOptions,
    backend: Backend,
    missing: list[range] | None,
    device: str = "cpu",
) -> Iterator[np.ndarray]:
    """Yield all frames of a video in order as uint8 RGB ``THWC``, decoded on the CPU.

    Args:
        path: The video.
        fps: Rate of the frames.
        size: Their (width, height).
        options: How the video is read.
        backend: What decodes it, not DALI.
        missing: Frames that do not decode are zeros and added to it; None ends the video with an error there.
        device: Type of device that they are for.
    """
    from e2espot.video import stream_frames

    for chunk in stream_frames(
        path,
        fps=fps,
        size=size,
        chunk_len=options.frames_per_chunk(device),
        read_ahead=options.read_ahead,
        reader=backend,  # type: ignore[arg-type]
        missing=missing,
        **options.opening,
        pictures=options,
    ):
        yield chunk.frames_THWC
