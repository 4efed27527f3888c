"""What less look-ahead costs: mAP@1 on labelled footage, offline and as a live stream would score it.

The backbone runs once over each video, twice where the map of the ball is smoothed: with later frames and without.
Heads and suppressions are then run for each setting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from e2espot.benchmarks.real_clips import CLASSES, scored
from e2espot.benchmarks.results import FactTable
from e2espot.core.adaptation import unlikeness
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.events import Event, ScoredEvent
from e2espot.files.json_fields import read_bytes
from e2espot.formats.games import find_games
from e2espot.formats.labelled_clips import LabelledClip, find_labelled_clips
from e2espot.formats.soccernet_json import parse_document, read_rows
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.job import Job
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import stream_features
from e2espot.inference.streaming_head import streaming_head
from e2espot.live.latency import look_ahead_within, plan_latency
from e2espot.models import Spotter
from e2espot.scoring import evaluate
from e2espot.suppression import Calibration
from e2espot.suppression.causal_calibration import CausalCalibration
from e2espot.video import stream_frames

LOOK_AHEADS_S = (4.0, 2.0, 1.0, 0.5)
"""Seconds after a frame that the head sees; suppression and rivals as offline."""
LATENCIES_S = (4.0, 3.0, 2.0, 1.5, 1.0)
"""Seconds from a picture to its events, as ``live --latency`` divides them; the shipped spotter needs 0.9."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Videos that are scored together."""

    name: str
    """What they are, for titles."""
    videos: tuple[LabelledVideo, ...]
    """The videos."""

    @property
    def num_events(self) -> int:
        """Labels that count."""
        return sum(len(video.labels) for video in self.videos)


@dataclass(frozen=True, kw_only=True)
class LabelledVideo:
    """One video with the labels that count, all of them of the first half."""

    name: str
    """A name of its own."""
    path: Path
    """The video."""
    labels: tuple[ScoredEvent, ...]
    """Labels of the classes that are scored."""


def find_footage(folders: Sequence[Path]) -> list[Footage]:
    """The test split of each dataset, and all labelled clips together.

    Args:
        folders: Datasets with a ``splits.json``, and folders of labelled clips.

    Raises:
        ConfigurationError: a folder is neither.
        AnnotationError: a label file is broken.
    """
    datasets = [folder for folder in folders if (folder / "splits.json").is_file()]
    footage = [Footage(name=f"test split of {folder}", videos=_test_videos(folder)) for folder in datasets]
    others = [folder for folder in folders if folder not in datasets]
    if others:
        clips = find_labelled_clips(others)
        footage.append(Footage(name="labelled clips", videos=tuple(map(_video_of_clip, clips))))
    return footage


def _test_videos(dataset: Path) -> tuple[LabelledVideo, ...]:
    videos = []
    for game in find_games(dataset, split="test"):
        if game.labels_path is None:
            raise ConfigurationError(f"{game.folder}: no labels; the test split is scored on them")
        _, rows = parse_document(read_bytes(game.labels_path), "label", str(game.labels_path))
        events = read_rows(rows, str(game.labels_path), kind="label", mode="strict")
        for video in game.videos:
            labels = [event for event in events if event.half == video.half and event.label in CLASSES]
            videos.append(_labelled(f"{game.name} {video.half}", video.path, labels))
    return tuple(videos)


def _video_of_clip(clip: LabelledClip) -> LabelledVideo:
    return _labelled(clip.name, clip.video, [event for event in clip.events if event.label in CLASSES])


def _labelled(name: str, path: Path, labels: Sequence[ScoredEvent]) -> LabelledVideo:
    return LabelledVideo(name=name, path=path, labels=tuple(dataclasses.replace(event, half=1) for event in labels))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How far scores and events may look ahead."""

    kind: Literal["offline", "look-ahead", "latency"]
    """Which table it belongs to; offline to both."""
    seconds: float
    """The look-ahead or latency; infinite offline."""
    look_ahead_s: float | None = None
    """The most that the head sees; None for what it sees offline."""
    delay_s: float | None = None
    """Of the suppression; None for the offline events."""


OFFLINE = Setting(kind="offline", seconds=float("inf"))
"""What ``infer`` gives: all scores known."""


def settings_of(spotter: Spotter, calibration: Calibration) -> list[Setting]:
    """Offline, then each look-ahead of the head alone, then each latency that this spotter can keep."""
    settings = [OFFLINE]
    for seconds in LOOK_AHEADS_S:
        settings.append(Setting(kind="look-ahead", seconds=seconds, look_ahead_s=seconds))
    for seconds in LATENCIES_S:
        with suppress(ConfigurationError):
            look_ahead_s, delay_s, _ = plan_latency(spotter, calibration, seconds)
            settings.append(Setting(kind="latency", seconds=seconds, look_ahead_s=look_ahead_s, delay_s=delay_s))
    return settings


def score_settings(
    job: Job, footage: Footage, progress: Callable[[int, int], None] = lambda *_: None
) -> dict[Setting, float]:
    """mAP@1 of PASS and DRIVE for each setting. A video that is refused counts as empty.

    Args:
        job: One spotter, its calibration, and how videos are read; ``adapt`` applies to each whole video.
        footage: What is scored.
        progress: Called with the number of videos done, and of all.
    """
    (spotter,) = job.spotters
    if not isinstance(spotter, Spotter):
        raise ConfigurationError("the look-ahead of an exported spotter is fixed; name the run", option="run")
    settings = settings_of(spotter, job.calibration)
    predictions: dict[Setting, dict[str, Sequence[ScoredEvent]]] = {setting: {} for setting in settings}
    for number, video in enumerate(footage.videos):
        events: Mapping[Setting, list[Event]] = {setting: [] for setting in settings}
        with suppress(VideoError):
            events = _events_of(spotter, job.calibration, video.path, settings, job.options)
        for setting in settings:
            predictions[setting][video.name] = [scored(event) for event in events[setting] if event.label in CLASSES]
        progress(number + 1, len(footage.videos))
    labels = {video.name: video.labels for video in footage.videos}
    return {setting: evaluate(labels, rows, CLASSES, ("at1",)).mAP("at1") for setting, rows in predictions.items()}


def accuracy_tables(footage: Footage, scores: Mapping[Setting, float]) -> list[FactTable]:
    """One table by look-ahead of the head, one by latency."""
    offline = scores[OFFLINE]
    tables = []
    for kind in ("look-ahead", "latency"):
        rows = [(s, value) for s, value in scores.items() if s.kind in (kind, "offline")]
        tables.append(
            FactTable(
                title=f"{kind}, {footage.name}, {footage.num_events} events",
                columns=("mAP@1", "against offline"),
                rows=tuple(
                    ("offline" if s == OFFLINE else f"{s.seconds:g} s", f"{100 * v:.1f}", f"{100 * (v - offline):+.1f}")
                    for s, v in rows
                ),
            )
        )
    return tables


def _events_of(
    spotter: Spotter, calibration: Calibration, video: Path, settings: Sequence[Setting], options: InferenceOptions
) -> dict[Setting, list[Event]]:
    """Events of each setting in one video."""
    adapted, adaptation = adapt_to_video(spotter, video, options)
    size = adapted.spec.width, adapted.spec.height
    strength = 0.0 if adaptation is None else unlikeness(adaptation.distance)
    features: dict[bool, torch.Tensor] = {}
    with torch.inference_mode():
        for causal in (False, True) if adapted.spec.smooth_ball else (False,):
            frames = (
                torch.from_numpy(chunk.frames_THWC)
                for chunk in stream_frames(video, fps=adapted.fps, size=size, pictures=options, **options.opening)
            )
            # In one piece: which rows are final when does not matter, and the head then has fewer and longer batches.
            causal_options = dataclasses.replace(options, causal_ball=causal)
            features[causal] = torch.cat(list(stream_features(adapted, frames, causal_options)))
        return {
            setting: _events_of_features(
                adapted, calibration, features.get(setting.look_ahead_s is not None, features[False]), setting, strength
            )
            for setting in settings
        }


def _events_of_features(
    spotter: Spotter, calibration: Calibration, features_TD: torch.Tensor, setting: Setting, strength: float
) -> list[Event]:
    options = InferenceOptions(look_ahead=look_ahead_within(spotter, setting.look_ahead_s))
    head = streaming_head(spotter, options.look_ahead_frames(spotter.fps))
    rows_TK = np.concatenate([head.add(features_TD), head.finish()])
    count = len(spotter.label_set)
    live = CausalCalibration(calibration, spotter.label_set, spotter.grid_fps, setting.delay_s, unlikeness=strength)
    return live.add(rows_TK[:, :count], right_T=rows_TK[:, count] if spotter.spec.team else None) + live.finish()
