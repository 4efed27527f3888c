"""Scores of labelled games under a spotter, computed by the pipeline that inference uses.

Spotter -> spot_video -> Scores -> fit_calibration -> Calibration -> events -> Report
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

from e2espot.core.annotated import AnnotatedRanges, inside
from e2espot.core.annotated_classes import AnnotatedClasses, annotated_somewhere, of_classes
from e2espot.core.coverage import ReadCoverage, intersect_coverage, ranges_of_mask
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.picture_options import PictureOptions
from e2espot.core.scores import Scores
from e2espot.core.timeline import frame_of_position_ms, position_ms_of_frame
from e2espot.files.atomic import write_atomically
from e2espot.formats.game import Video
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.inference.spot_features import spot_features
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.scoring import Report, evaluate_events
from e2espot.scoring.baseline import fit_periodic_baseline
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.training.data import LabelledGame
from e2espot.training.fit_calibration import first_calibration, fit_calibration
from e2espot.video import Backend, BackendOption

DEFAULT_METRICS = ("at1", "at2", "at3", "at4", "at5")
"""What a finished run reports."""


@dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """A finished run on its valid games, which also chose its epoch and calibration."""

    spotter: Report
    """mAP of the best epoch under ``calibration``."""
    baseline: Report
    """mAP of evenly spaced events, fitted on the train games."""
    calibration: Calibration
    """The calibration that was stored with the run."""


def score_games(
    spotter: Spotter,
    games: list[LabelledGame],
    reader: BackendOption | Backend = "auto",
    pictures: PictureOptions | None = None,
) -> dict[str, dict[int, Scores]]:
    """Scores by game and half; what was not annotated gets no events, as if it could not be read."""
    # Not adapted, so that an epoch is judged by its weights alone.
    options = InferenceOptions(reader=reader, adapt="none", **asdict(pictures or PictureOptions()))
    return {
        game.game.name: {
            video.half: _where_annotated(
                _scores_of(spotter, video, options),
                game.annotated.get(video.half),
            )
            for video in game.game.videos
        }
        for game in games
    }


def _scores_of(spotter: Spotter, video: Video, options: InferenceOptions) -> Scores:
    if spotter.spec.features is not None:
        # What is doubtful about them was reported before the first epoch.
        return spot_features(spotter, video.path, warns=False)
    return spot_video(spotter, video.path, replace(options, video_stream=video.video_stream))


def _where_annotated(scores: Scores, annotated: AnnotatedRanges | None) -> Scores:
    if annotated is None:
        return scores
    num_frames = len(scores.scores_TK)
    coverage = ReadCoverage(ranges=ranges_of_mask(annotated.mask(num_frames, scores.fps)))
    return replace(scores, coverage=intersect_coverage([scores.coverage, coverage], num_frames))


def labels_of(games: list[LabelledGame], fps: Fraction | None = None) -> dict[str, list[Event]]:
    """Labels by game, on a grid of ``fps``, by default that of each game."""
    return {game.game.name: [_on_grid(event, game.fps, fps or game.fps) for event in game.events] for game in games}


def classes_of(games: list[LabelledGame]) -> dict[str, AnnotatedClasses]:
    """The annotated classes by game."""
    return {game.game.name: game.classes for game in games}


def _on_grid(event: Event, old: Fraction, new: Fraction) -> Event:
    if old == new:
        return event
    return replace(event, frame=frame_of_position_ms(position_ms_of_frame(event.frame, old), new), fps=new)


def score_predictions(
    scores: dict[str, dict[int, Scores]],
    games: list[LabelledGame],
    calibration: Calibration,
    label_set: LabelSet,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Report:
    """mAP@1 to mAP@5, or other metrics, of scores under a calibration, on the grid of the scores.

    Predictions of classes that a game does not annotate do not count; classes that no game annotates are left out.
    """
    predictions = {
        name: [
            event
            for half, half_scores in halves.items()
            for event in apply_calibration(calibration, half_scores, half=half)
        ]
        for name, halves in scores.items()
    }
    # Scores may be on a finer grid than the labels: those of a run with double_rate_output.
    fps = next(half_scores.fps for halves in scores.values() for half_scores in halves.values())
    return _report(games, labels_of(games, fps), predictions, label_set, fps, metrics)


def metric_title(metric: str) -> str:
    """A metric in logs: ``at1`` -> ``mAP@1``, ``loose`` -> ``loose mAP``."""
    return f"mAP@{metric[2:]}" if metric.startswith("at") else f"{metric} mAP"


def _report(
    games: list[LabelledGame],
    labels: dict[str, list[Event]],
    predictions: dict[str, list[Event]],
    label_set: LabelSet,
    fps: Fraction,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Report:
    classes = classes_of(games)
    counted = {name: of_classes(events, classes.get(name)) for name, events in predictions.items()}
    known = annotated_somewhere(label_set, classes.values())
    report = evaluate_events(labels, counted, known, metrics, fps)
    return replace(report, unannotated=tuple(name for name in label_set.names if name not in known))


def baseline_report(
    train: list[LabelledGame],
    games: list[LabelledGame],
    label_set: LabelSet,
    fps: Fraction,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Report:
    """mAP@1 to mAP@5, or other metrics, on ``games`` of the periodic baseline fitted on ``train``."""
    lengths = {game.game.name: game.num_frames for game in train}
    baseline = fit_periodic_baseline(labels_of(train), lengths, label_set, fps)
    predictions = {game.game.name: inside(baseline.predict(game.num_frames, fps), game.annotated) for game in games}
    return _report(games, labels_of(games), predictions, label_set, fps, metrics)


def finish_run(
    folder: Path,
    train: list[LabelledGame],
    valid: list[LabelledGame],
    device: str,
    reader: BackendOption | Backend = "auto",
    pictures: PictureOptions | None = None,
    metric: str = "at1",
) -> ValidationResult:
    """Fit the calibration of the best epoch on the valid games, store it with the run, and score both.

    Args:
        folder: The run.
        train: Games that the periodic baseline is fitted on.
        valid: Games that the calibration is fitted on, and that are scored.
        device: cpu or cuda.
        reader: What decodes the videos.
        pictures: How their pictures may be prepared.
        metric: What the calibration is fitted to.
    """
    metrics = DEFAULT_METRICS if metric in DEFAULT_METRICS else (*DEFAULT_METRICS, metric)
    spotter = load_spotter(folder, device)
    scores = score_games(spotter, valid, reader, pictures)
    calibration = fit_calibration(
        scores,
        labels_of(valid, spotter.grid_fps),
        spotter.label_set,
        classes_of(valid),
        metric=metric,
        start=first_calibration(spotter.spec),
    )
    write_atomically(folder / "calibration.json", (json.dumps(calibration.to_json(), indent=1) + "\n").encode())
    return ValidationResult(
        spotter=score_predictions(scores, valid, calibration, spotter.label_set, metrics),
        baseline=baseline_report(train, valid, spotter.label_set, spotter.fps, metrics),
        calibration=calibration,
    )
