"""How good a spotter is on labelled games, found by the very road that inference takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import frame_of_position_ms, position_ms_of_frame
from e2espot.files.atomic import write_atomically
from e2espot.inference.predict import InferenceOptions, spot_video
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.scoring import Report, evaluate_events
from e2espot.scoring.baseline import fit_periodic_baseline
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.training.data import LabelledGame
from e2espot.training.fit_calibration import fit_calibration
from e2espot.video import Backend, BackendOption


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A finished run on its valid games."""

    spotter: Report
    """With the calibration that was fitted on these games."""
    baseline: Report
    """Even spacing, fitted on the train games."""
    calibration: Calibration
    """What was stored with the run."""


def score_games(
    spotter: Spotter, games: list[LabelledGame], reader: BackendOption | Backend = "auto"
) -> dict[str, dict[int, Scores]]:
    """Scores of each half of each game."""
    options = InferenceOptions(reader=reader)
    return {
        game.game.name: {video.half: spot_video(spotter, video.path, options) for video in game.game.videos}
        for game in games
    }


def labels_of(games: list[LabelledGame], fps: Fraction | None = None) -> dict[str, list[Event]]:
    """Labels by game, on a grid of ``fps`` or on the games' own."""
    return {game.game.name: [_on_grid(event, game.fps, fps or game.fps) for event in game.events] for game in games}


def _on_grid(event: Event, old: Fraction, new: Fraction) -> Event:
    if old == new:
        return event
    return replace(event, frame=frame_of_position_ms(position_ms_of_frame(event.frame, old), new))


def report_on(
    scores: dict[str, dict[int, Scores]], games: list[LabelledGame], calibration: Calibration, label_set: LabelSet
) -> Report:
    """mAP@1..5 of scores under a calibration."""
    predictions = {
        name: [event for half, found in halves.items() for event in apply_calibration(calibration, found, half=half)]
        for name, halves in scores.items()
    }
    fps = next(found.fps for halves in scores.values() for found in halves.values())
    return evaluate_events(labels_of(games, fps), predictions, label_set, fps=fps)


def baseline_report(train: list[LabelledGame], games: list[LabelledGame], label_set: LabelSet, fps: Fraction) -> Report:
    """mAP@1..5 on ``games`` of the periodic baseline fitted on ``train``."""
    lengths = {game.game.name: game.num_frames for game in train}
    baseline = fit_periodic_baseline(labels_of(train), lengths, label_set, fps)
    guesses = {game.game.name: baseline.predict(game.num_frames, fps) for game in games}
    return evaluate_events(labels_of(games), guesses, label_set, fps=fps)


def conclude(
    folder: Path,
    train: list[LabelledGame],
    valid: list[LabelledGame],
    device: str,
    reader: BackendOption | Backend = "auto",
) -> Verdict:
    """Fit the best epoch's calibration on the valid games, store it with the run, and judge both."""
    spotter = load_spotter(folder, device)
    scores = score_games(spotter, valid, reader)
    calibration = fit_calibration(scores, labels_of(valid, spotter.grid_fps), spotter.label_set)
    write_atomically(folder / "calibration.json", (json.dumps(calibration.to_json(), indent=1) + "\n").encode())
    return Verdict(
        spotter=report_on(scores, valid, calibration, spotter.label_set),
        baseline=baseline_report(train, valid, spotter.label_set, spotter.fps),
        calibration=calibration,
    )
