"""Suppression beside its definition, and scoring beside SoccerNet's evaluator."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2espot.benchmarks.timing import Table, Variant, interleaved
from e2espot.errors import ConfigurationError
from e2espot.events import Event, LabelSet
from e2espot.scoring import METRICS, evaluate_events
from e2espot.suppression import soft_nms
from e2espot.timeline import game_time, position_ms_of_frame


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How much is suppressed and scored."""

    minutes: int = 30
    """Length of the one-class match that is suppressed."""
    games: int = 7
    """Games that are scored."""
    predictions: int = 2000
    """Predictions of a game."""
    repeats: int = 3
    """Measured rounds."""


def sequential_nms(score_T: np.ndarray, window: int, floor: float) -> tuple[list[int], list[float]]:
    """The definition: one argmax and one vectorised decay for every event kept."""
    current = score_T.astype(np.float64).copy()
    decay = (np.arange(-window, window + 1) / window) ** 2
    frames: list[int] = []
    confidences: list[float] = []
    while True:
        best = int(current.argmax())
        if current[best] < floor:
            return frames, confidences
        frames.append(best)
        confidences.append(float(current[best]))
        first, end = max(0, best - window), min(len(current), best + window + 1)
        current[first:end] *= decay[first - best + window : end - best + window]
        current[best] = -1


def bench_suppress(settings: ScoreSettings) -> list[Table]:
    """Soft-NMS with a candidate at every frame."""
    rng = np.random.default_rng(0)
    score_T = rng.uniform(1e-3, 0.2, settings.minutes * 1500) ** 1.5 + 1e-3
    score_T[rng.integers(0, len(score_T), settings.minutes * 12)] = 0.9

    def definition() -> int:
        sequential_nms(score_T, 20, 1e-3)
        return settings.minutes

    def ours() -> int:
        soft_nms(score_T, window=20, floor=1e-3)
        return settings.minutes

    frames, _ = sequential_nms(score_T, 20, 1e-3)
    if soft_nms(score_T, window=20, floor=1e-3)[0].tolist() != frames:
        raise AssertionError("suppression and its definition differ")
    variants = [
        Variant(name="the definition: one argmax an event", work=definition),
        Variant(name="e2espot", work=ours),
    ]
    title = f"soft-NMS, {settings.minutes} minutes, one class, {len(frames)} events kept"
    return [interleaved(title, "minute", variants, settings.repeats)]


def bench_evaluate(settings: ScoreSettings) -> list[Table]:
    """All seven metrics over two classes.

    Raises:
        ConfigurationError: the SoccerNet package is not installed.
    """
    try:
        from SoccerNet.Evaluation import ActionSpotting
    except ImportError:
        raise ConfigurationError(
            "scoring is timed beside the SoccerNet package: pip install -e '.[soccernet]'"
        ) from None
    label_set, rng = LabelSet(("PASS", "DRIVE")), np.random.default_rng(0)

    def events(count: int, confident: bool) -> list[Event]:
        frames = np.sort(rng.choice(45 * 1500, count, replace=False))
        return [
            Event(
                frame=int(frame),
                label=label_set.names[int(rng.integers(2))],
                confidence=float(rng.uniform()) if confident else 1.0,
            )
            for frame in frames
        ]

    names = [f"league/season/game {number}" for number in range(settings.games)]
    labels = {name: events(600, confident=False) for name in names}
    predictions = {name: events(settings.predictions, confident=True) for name in names}

    def ours() -> int:
        evaluate_events(labels, predictions, label_set, tuple(METRICS))
        return 1

    with tempfile.TemporaryDirectory() as folder:
        truth, found = Path(folder) / "labels.zip", Path(folder) / "predictions.zip"
        _write(truth, labels, "annotations", "Labels-ball.json")
        _write(found, predictions, "predictions", "results_spotting.json")

        def theirs() -> int:
            for metric in METRICS:
                ActionSpotting.evaluate(
                    SoccerNet_path=str(truth),
                    Predictions_path=str(found),
                    prediction_file="results_spotting.json",
                    label_files="Labels-ball.json",
                    dataset=None,
                    framerate=25,
                    metric=metric,
                    EVENT_DICTIONARY={"PASS": 0, "DRIVE": 1},
                )
            return 1

        variants = [Variant(name="the SoccerNet package", work=theirs), Variant(name="e2espot", work=ours)]
        title = f"all seven metrics, {settings.games} games, {settings.predictions} predictions each"
        return [interleaved(title, "evaluation", variants, 1, warm_up=False)]


def _write(path: Path, games: dict[str, list[Event]], key: str, file: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, events in games.items():
            rows = [
                {
                    "gameTime": game_time(position_ms_of_frame(event.frame)),
                    "label": event.label,
                    "position": str(position_ms_of_frame(event.frame)),
                    "half": "1",
                    "confidence": str(event.confidence),
                    "visibility": "visible",
                }
                for event in events
            ]
            archive.writestr(f"{name}/{file}", json.dumps({"UrlLocal": name, key: rows}))
