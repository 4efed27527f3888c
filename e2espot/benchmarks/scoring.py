"""Suppression compared with its definition, and scoring compared with SoccerNet's evaluator."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2espot.benchmarks.results import BenchResults, Target
from e2espot.benchmarks.timing import InProcess, Subprocess, Work, interleaved
from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event, ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import game_time, position_ms_of_frame
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE
from e2espot.formats.soccernet_json import Kind, parse_document, read_rows
from e2espot.scoring import METRICS, evaluate
from e2espot.suppression.nms import soft_nms


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Size of the problem."""

    minutes: int = 90
    """Length of the match whose scores are suppressed."""
    games: int = 7
    """Games to score."""
    predictions: int = 2000
    """Predictions per game."""
    repeats: int = 3
    """Measured rounds."""


def sequential_nms(score_T: np.ndarray, window: int, floor: float) -> tuple[list[int], list[float]]:
    """Soft-NMS by its definition: one argmax and one vectorised decay per event.

    Returns:
        Frames and confidences of the events, the most confident first.
    """
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


_CLASSES = 12


def bench_suppress(settings: ScoreSettings) -> BenchResults:
    """Time soft-NMS with a candidate at every frame, for twelve classes; its definition for one of them."""
    rng = np.random.default_rng(0)
    scores_TK = rng.uniform(1e-3, 0.2, (settings.minutes * 1500, _CLASSES)) ** 1.5 + 1e-3
    for column in range(_CLASSES):
        scores_TK[rng.integers(0, len(scores_TK), settings.minutes * 12), column] = 0.9
    first_T = np.ascontiguousarray(scores_TK[:, 0])

    def definition() -> int:
        sequential_nms(first_T, 20, 1e-3)
        return 1

    def fast() -> int:
        for column in range(_CLASSES):
            soft_nms(scores_TK[:, column], window=20, floor=1e-3)
        return _CLASSES

    frames, _ = sequential_nms(first_T, 20, 1e-3)
    if sorted(soft_nms(first_T, window=20, floor=1e-3)[0].tolist()) != sorted(frames):
        raise AssertionError("suppression and its definition differ")
    variants = [
        InProcess(name=f"the definition, one argmax per event (one class of {_CLASSES})", work=definition),
        InProcess(name=f"e2espot, {_CLASSES} classes", work=fast),
    ]
    title = f"soft-NMS, {settings.minutes} minutes, {len(frames)} events remain per class"
    table = interleaved(title, "class", variants, settings.repeats)
    target = Target(
        what=f"soft-NMS, {settings.minutes} minutes, {_CLASSES} classes",
        baseline="a loop that follows its definition, extrapolated from one class",
        target="50x",
        least=50,
        measured=table.ratio("the definition", "e2espot"),
    )
    return BenchResults(tables=[table], targets=[target])


_LABEL_SET = LabelSet(("PASS", "DRIVE"))


def games_to_score(settings: ScoreSettings) -> tuple[dict[str, list[Event]], dict[str, list[Event]]]:
    """Labels and predictions by game, from a fixed seed."""
    rng = np.random.default_rng(0)

    def events(count: int, confident: bool) -> list[Event]:
        frames = np.sort(rng.choice(45 * 1500, count, replace=False))
        return [
            Event(
                frame=int(frame),
                label=_LABEL_SET.names[int(rng.integers(2))],
                confidence=float(rng.uniform()) if confident else 1.0,
            )
            for frame in frames
        ]

    names = [f"league/season/game {number}" for number in range(settings.games)]
    labels = {name: events(600, confident=False) for name in names}
    return labels, {name: events(settings.predictions, confident=True) for name in names}


def e2espot_scoring(settings: ScoreSettings) -> Work:
    """All seven metrics by this library, from zip files like the baseline."""
    labels_zip, predictions_zip = _archives(settings)

    def entries(archive: Path, kind: Kind) -> dict[str, list[ScoredEvent]]:
        by_game = {}
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                _, rows = parse_document(files.read(name), kind, name)
                by_game[name.rpartition("/")[0]] = read_rows(rows, name, kind=kind, mode="official")
        return by_game

    def work() -> int:
        evaluate(entries(labels_zip, "label"), entries(predictions_zip, "prediction"), _LABEL_SET, tuple(METRICS))
        return 1

    return work


def soccernet_scoring(settings: ScoreSettings) -> Work:
    """All seven metrics by the SoccerNet package, from zip files."""
    os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported; its bars would break up the tables on a terminal
    from SoccerNet.Evaluation import ActionSpotting

    labels_zip, predictions_zip = _archives(settings)

    def work() -> int:
        for metric in METRICS:
            ActionSpotting.evaluate(
                SoccerNet_path=str(labels_zip),
                Predictions_path=str(predictions_zip),
                prediction_file=RESULTS_FILE,
                label_files=BALL_LABEL_FILE,
                dataset=None,
                framerate=25,
                metric=metric,
                EVENT_DICTIONARY={name: number for number, name in enumerate(_LABEL_SET.names)},
            )
        return 1

    return work


def bench_evaluate(settings: ScoreSettings) -> BenchResults:
    """Time all seven metrics over two classes, each evaluator in its own process.

    Raises:
        ConfigurationError: the SoccerNet package is not installed.
    """
    if importlib.util.find_spec("SoccerNet") is None:
        raise ConfigurationError('scoring is compared with the SoccerNet package; pip install "e2espot[soccernet]"')
    variants = [
        Subprocess("the SoccerNet package", soccernet_scoring, settings),
        Subprocess("e2espot", e2espot_scoring, settings),
    ]
    title = f"all seven metrics, {settings.games} games, {settings.predictions} predictions each, zips to figures"
    table = interleaved(title, "evaluation", variants, settings.repeats, warm_up=False)
    soccernet, e2espot = table.rows
    assert soccernet.grown_mb is not None and e2espot.grown_mb is not None
    time = Target(
        what=f"scoring, seven metrics, {settings.games} games",
        baseline="the SoccerNet package",
        target="50x",
        least=50,
        measured=table.ratio("the SoccerNet", "e2espot"),
    )
    memory = Target(
        what="memory of scoring, beyond the interpreter with its imports",
        baseline="the SoccerNet package",
        target="at most 0.1x",
        most=0.1,
        measured=e2espot.grown_mb / soccernet.grown_mb,
    )
    return BenchResults(tables=[table], targets=[time, memory])


def _archives(settings: ScoreSettings) -> tuple[Path, Path]:
    folder = Path(tempfile.mkdtemp())
    labels, predictions = games_to_score(settings)
    _write(folder / "labels.zip", labels, "annotations", BALL_LABEL_FILE)
    _write(folder / "predictions.zip", predictions, "predictions", RESULTS_FILE)
    return folder / "labels.zip", folder / "predictions.zip"


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
