"""How good a spotter is on filmed matches that it has never seen: labelled clips, scored on the ordinary path.

Nothing here trains or fits anything on the clips; the periodic baseline alone is fitted on them, and so has an
advantage that the spotter lacks.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from e2espot.core.adaptation import Adaptation
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.events import Event, ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, num_frames_of_duration
from e2espot.formats.labelled_clips import LabelledClip
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.ball_peak import peak_positions
from e2espot.inference.exported import ExportedSpotter
from e2espot.inference.job import Job, predict_video, single_video
from e2espot.inference.predict import ball_maps_of_video
from e2espot.models import Spotter
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.ball_smoothing import BLOCK_S, smoothed_maps
from e2espot.scoring.baseline import fit_periodic_baseline
from e2espot.suppression import apply_calibration
from e2espot.video import VideoIndex, index_of, pictures_of_grid

CLASSES = LabelSet(("PASS", "DRIVE"))
"""Classes that are scored: the others are too rare in clips."""
BALL_TOLERANCES = (1 / 50, 1 / 40)
"""Largest distance between ball and label at which the ball counts as localised, in widths of the picture."""


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What a spotter makes of one clip."""

    clip: LabelledClip
    """The clip."""
    labels: tuple[ScoredEvent, ...]
    """Its labels of the classes that count."""
    predictions: tuple[ScoredEvent, ...]
    """The events that the spotter predicts; none for a clip that is refused."""
    picture_height: int | None
    """Height of its pictures in pixels; None if the clip is refused."""
    num_frames: int
    """Frames of its 25 fps grid; 0 if the clip is refused."""
    peak_error_B: np.ndarray | None
    """Distance of the map's peak from each labelled ball, in widths; infinite if the clip is refused. None for a
    backbone without a map."""
    linked_error_B: np.ndarray | None
    """The same for the peak of the map that is smoothed over time, by which the ball is linked from frame to frame."""
    refusal: str = ""
    """Why the clip cannot be read; empty if it can."""


def run_on_clips(
    job: Job, clips: Sequence[LabelledClip], progress: Callable[[int, int], None] | None = None
) -> list[ClipResult]:
    """Predict every clip as ``infer`` does. A clip that cannot be read has no predictions, and its ball is lost.

    Raises:
        ConfigurationError: the spotter lacks a class that is scored.
    """
    lacking = [name for name in CLASSES.names if name not in job.spotters[0].label_set.names]
    if lacking:
        raise ConfigurationError(f"this spotter has no class {lacking[0]}; the clips are scored on PASS and DRIVE")
    results = []
    for number, clip in enumerate(clips):
        results.append(_run_on_clip(job, clip))
        if progress is not None:
            progress(number + 1, len(clips))
    return results


def _run_on_clip(job: Job, clip: LabelledClip) -> ClipResult:
    labels = tuple(event for event in clip.events if event.label in CLASSES)
    has_map = _sees_ball(job.spotters[0])
    try:
        index = index_of(clip.video, video_stream=job.options.video_stream)
        adapted, adaptations = _adapt_job(job, clip)
        scores = predict_video(adapted, single_video(clip.video)).scores
        assert scores is not None  # kept, by ``_adapt_job``
        events = apply_calibration(job.calibration, dataclasses.replace(scores, adaptations=adaptations))
        peak_B, linked_B = _ball_errors(adapted, clip, index) if has_map else (None, None)
    except VideoError as error:
        lost_B = np.full(len(clip.ball), np.inf) if has_map else None
        return ClipResult(
            clip=clip,
            labels=labels,
            predictions=(),
            picture_height=None,
            num_frames=0,
            peak_error_B=lost_B,
            linked_error_B=lost_B,
            refusal=str(error),
        )
    return ClipResult(
        clip=clip,
        labels=labels,
        predictions=tuple(scored(event) for event in events if event.label in CLASSES),
        picture_height=index.height,
        num_frames=num_frames_of_duration(index.duration_s, DEFAULT_FPS),
        peak_error_B=peak_B,
        linked_error_B=linked_B,
    )


def _sees_ball(spotter: Spotter | ExportedSpotter) -> bool:
    return not isinstance(spotter, ExportedSpotter) and isinstance(spotter.backbone, SmallBackbone)


def _adapt_job(job: Job, clip: LabelledClip) -> tuple[Job, tuple[Adaptation, ...]]:
    """The job with its spotters adapted to the clip as ``predict_video`` would adapt them: once for events and ball.

    It keeps scores, and they do not know how it was adapted; that is the second of what is returned.
    """
    adapted = [
        (spotter, None) if isinstance(spotter, ExportedSpotter) else adapt_to_video(spotter, clip.video, job.options)
        for spotter in job.spotters
    ]
    options = dataclasses.replace(job.options, adapt="none", size="trained")
    spotters = tuple(spotter for spotter, _ in adapted)
    adaptations = tuple(adaptation for _, adaptation in adapted if adaptation is not None)
    return dataclasses.replace(job, spotters=spotters, options=options, keep_scores=True), adaptations


def _ball_errors(job: Job, clip: LabelledClip, index: VideoIndex) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the peaks from the labelled positions, in widths of the picture: maps alone, and smoothed ones."""
    if not clip.ball:
        return np.empty(0), np.empty(0)
    outside = [ball.picture for ball in clip.ball if ball.picture >= index.num_pictures]
    if outside:
        raise ConfigurationError(
            f"{clip.name}: the ball is labelled in picture {outside[0]}, and a player shows {index.num_pictures}"
        )
    spotter = copy.copy(job.spotters[0])
    assert not isinstance(spotter, ExportedSpotter)
    spotter.spec = dataclasses.replace(spotter.spec, smooth_ball=False)
    heat_THW = torch.cat(list(ball_maps_of_video(spotter, clip.video, job.options))).cpu()
    smoothed_THW = smoothed_maps(heat_THW, float(spotter.fps), round(BLOCK_S * spotter.fps))
    pictures_T = pictures_of_grid(index, spotter.fps)
    picture_B = np.array([ball.picture for ball in clip.ball])
    label_B2 = np.array([[ball.x / index.width, ball.y / index.height] for ball in clip.ball])
    aspect = index.height / index.width
    return (
        _distances(peak_positions(heat_THW.numpy())[_nearest(index, pictures_T, picture_B)], label_B2, aspect),
        _distances(_at_pictures(peak_positions(smoothed_THW.numpy()), index, pictures_T, picture_B), label_B2, aspect),
    )


def _distances(positions_B2: np.ndarray, labels_B2: np.ndarray, aspect: float) -> np.ndarray:
    """Distances in widths of the picture; positions are fractions of its width and height."""
    difference_B2 = positions_B2 - labels_B2
    distances_B: np.ndarray = np.hypot(difference_B2[:, 0], aspect * difference_B2[:, 1])
    return distances_B


def _nearest(index: VideoIndex, pictures_T: np.ndarray, picture_B: np.ndarray) -> np.ndarray:
    """The frame whose picture is nearest in time to each labelled picture: most pictures are in no frame."""
    # 25 pictures a second on a 12.5 fps grid: frames show pictures 1, 3, 5; label in picture 4 -> picture 3, frame 1
    times_P = index.pts_P.astype(np.float64)
    nearest_B: np.ndarray = np.abs(times_P[pictures_T][:, None] - times_P[picture_B]).argmin(0)
    return nearest_B


def _at_pictures(
    positions_T2: np.ndarray, index: VideoIndex, pictures_T: np.ndarray, picture_B: np.ndarray
) -> np.ndarray:
    """Positions at the times of the labelled pictures, between those of the frames around them."""
    times_P = index.pts_P.astype(np.float64)
    columns = [np.interp(times_P[picture_B], times_P[pictures_T], positions_T2[:, axis]) for axis in (0, 1)]
    return np.stack(columns, axis=1)


def baseline_predictions(results: Sequence[ClipResult]) -> dict[str, list[ScoredEvent]]:
    """Events of the periodic baseline, fitted on these very clips; none in a clip that is refused."""
    frames = {result.clip.name: {1: result.num_frames} for result in results}
    labels = {result.clip.name: [_on_grid(event) for event in result.labels] for result in results}
    baseline = fit_periodic_baseline(labels, frames, CLASSES, DEFAULT_FPS)
    return {
        name: [scored(event) for event in baseline.predict(lengths, DEFAULT_FPS)] for name, lengths in frames.items()
    }


def _on_grid(event: ScoredEvent) -> Event:
    return Event(frame=frame_of_position_ms(event.position_ms, DEFAULT_FPS), label=event.label, half=event.half)


def scored(event: Event) -> ScoredEvent:
    """An event as the metric takes it."""
    return ScoredEvent(half=event.half, position_ms=event.position_ms, label=event.label, value=event.confidence)


def groups_of(result: ClipResult) -> Mapping[str, str]:
    """Kind of group -> the group that a clip belongs to."""
    clip, height = result.clip, result.picture_height
    return {
        "ball colour": clip.ball_colour or "not stated",
        "ball size": _size_group(clip.ball_px),
        "camera": clip.camera or "not stated",
        "picture height": "refused" if height is None else _bounded(height, (360, 719, 1079), "lines"),
    }


def _size_group(ball_px: float | None) -> str:
    return "not stated" if ball_px is None else _bounded(ball_px, (6, 10, 13), "px")


def _bounded(value: float, bounds: Sequence[int], unit: str) -> str:
    """``7`` within ``(6, 10, 13)`` -> ``7 to 10 px``."""
    lows = [0, *(bound + 1 for bound in bounds)]
    position = sum(value > bound for bound in bounds)
    if position == 0:
        return f"up to {bounds[0]} {unit}"
    return (
        f"{lows[position]} {unit} and more"
        if position == len(bounds)
        else f"{lows[position]} to {bounds[position]} {unit}"
    )
