"""Suppression beside its definition, and scoring beside SoccerNet's evaluator."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2espot.benchmarks.results import Findings, Target
from e2espot.benchmarks.timing import Apart, Here, Work, interleaved
from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Entry, Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import game_time, position_ms_of_frame
from e2espot.formats.soccernet import entries_for_scoring, entries_in
from e2espot.scoring import METRICS, evaluate
from e2espot.suppression.nms import soft_nms


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How much is suppressed and scored."""

    minutes: int = 90
    """Length of the match that is suppressed."""
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


_CLASSES = 12


def bench_suppress(settings: ScoreSettings) -> Findings:
    """Soft-NMS with a candidate at every frame of a match, in twelve classes; the definition in one of them."""
    rng = np.random.default_rng(0)
    scores_TK = rng.uniform(1e-3, 0.2, (settings.minutes * 1500, _CLASSES)) ** 1.5 + 1e-3
    for column in range(_CLASSES):
        scores_TK[rng.integers(0, len(scores_TK), settings.minutes * 12), column] = 0.9
    first_T = np.ascontiguousarray(scores_TK[:, 0])

    def definition() -> int:
        sequential_nms(first_T, 20, 1e-3)
        return 1

    def ours() -> int:
        for column in range(_CLASSES):
            soft_nms(scores_TK[:, column], window=20, floor=1e-3)
        return _CLASSES

    frames, _ = sequential_nms(first_T, 20, 1e-3)
    if sorted(soft_nms(first_T, window=20, floor=1e-3)[0].tolist()) != sorted(frames):
        raise AssertionError("suppression and its definition differ")
    variants = [
        Here(name=f"the definition, one argmax an event (one class of {_CLASSES})", work=definition),
        Here(name=f"e2espot, {_CLASSES} classes", work=ours),
    ]
    title = f"soft-NMS, {settings.minutes} minutes, {len(frames)} events kept a class"
    table = interleaved(title, "class", variants, settings.repeats)
    target = Target(
        road=f"soft-NMS, {settings.minutes} minutes, {_CLASSES} classes",
        against="the definition, extrapolated from one class",
        promised="50x",
        least=50,
        measured=table.ratio("the definition", "e2espot"),
    )
    return Findings(tables=[table], targets=[target])


_LABEL_SET = LabelSet(("PASS", "DRIVE"))


def games_to_score(settings: ScoreSettings) -> tuple[dict[str, list[Event]], dict[str, list[Event]]]:
    """Labels and predictions of some games, always the same."""
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


def our_scoring(settings: ScoreSettings) -> Work:
    """All seven metrics by this library, from zips on disk as the other's."""
    truth, found = _archives(settings)

    def entries(archive: Path, key: str) -> dict[str, list[Entry]]:
        labels, found = key == "annotations", {}
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                rows = entries_in(files.read(name).decode(), key, name)
                found[name.rpartition("/")[0]] = entries_for_scoring(rows, name, labels=labels)
        return found

    def work() -> int:
        evaluate(entries(truth, "annotations"), entries(found, "predictions"), _LABEL_SET, tuple(METRICS))
        return 1

    return work


def their_scoring(settings: ScoreSettings) -> Work:
    """All seven metrics by the SoccerNet package."""
    from SoccerNet.Evaluation import ActionSpotting

    truth, found = _archives(settings)

    def work() -> int:
        for metric in METRICS:
            ActionSpotting.evaluate(
                SoccerNet_path=str(truth),
                Predictions_path=str(found),
                prediction_file="results_spotting.json",
                label_files="Labels-ball.json",
                dataset=None,
                framerate=25,
                metric=metric,
                EVENT_DICTIONARY={name: number for number, name in enumerate(_LABEL_SET.names)},
            )
        return 1

    return work


def bench_evaluate(settings: ScoreSettings) -> Findings:
    """All seven metrics over two classes, each evaluator in a process of its own.

    Raises:
        ConfigurationError: the SoccerNet package is not installed.
    """
    if importlib.util.find_spec("SoccerNet") is None:
        raise ConfigurationError("scoring is timed beside the SoccerNet package: pip install -e '.[soccernet]'")
    variants = [Apart("the SoccerNet package", their_scoring, settings), Apart("e2espot", our_scoring, settings)]
    title = f"all seven metrics, {settings.games} games, {settings.predictions} predictions each, zips to figures"
    table = interleaved(title, "evaluation", variants, 1, warm_up=False)
    theirs, ours = table.rows
    assert theirs.grown_mb is not None and ours.grown_mb is not None
    time = Target(
        road=f"scoring, seven metrics, {settings.games} games",
        against="the SoccerNet package",
        promised="50x",
        least=50,
        measured=table.ratio("the SoccerNet", "e2espot"),
    )
    memory = Target(
        road="memory of scoring above the imported interpreter",
        against="the SoccerNet package",
        promised="at most 0.1x",
        most=0.1,
        measured=ours.grown_mb / theirs.grown_mb,
    )
    return Findings(tables=[table], targets=[time, memory])


def _archives(settings: ScoreSettings) -> tuple[Path, Path]:
    folder = Path(tempfile.mkdtemp())
    labels, predictions = games_to_score(settings)
    _write(folder / "labels.zip", labels, "annotations", "Labels-ball.json")
    _write(folder / "predictions.zip", predictions, "predictions", "results_spotting.json")
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
