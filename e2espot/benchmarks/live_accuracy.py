"""What a shorter look-ahead costs: mAP@1 on labelled matches, offline and as a live stream would score them.

The backbone runs once over each match; heads and suppressions are then run for each latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from e2espot.benchmarks.results import FactTable
from e2espot.core.errors import VideoError
from e2espot.core.events import Event, ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import stream_features
from e2espot.inference.streaming_head import streaming_head
from e2espot.models import Spotter
from e2espot.scoring import evaluate
from e2espot.suppression import Calibration
from e2espot.suppression.causal_calibration import CausalCalibration
from e2espot.video import stream_frames


@dataclass(frozen=True, kw_only=True)
class LabelledMatch:
    """A video and its labels."""

    name: str
    """Name of the match."""
    video: Path
    """The file."""
    labels: tuple[ScoredEvent, ...]
    """Labels of the classes that count."""


@dataclass(frozen=True)
class Setting:
    """How far events may look ahead."""

    name: str
    """For the table."""
    look_ahead: int | None
    """Of the head, in frames; None for all of its window."""
    delay_s: float | None
    """Of the suppression; None for the offline events."""


def accuracy_table(
    spotter: Spotter,
    calibration: Calibration,
    matches: Sequence[LabelledMatch],
    settings: Sequence[Setting],
    classes: LabelSet,
    options: InferenceOptions,
    progress: Callable[[str], None] = lambda _: None,
) -> FactTable:
    """mAP@1 of each setting.

    Args:
        spotter: In evaluation mode.
        calibration: How scores become events.
        matches: What is scored.
        settings: The first one is what the others are compared with.
        classes: Classes that are scored.
        options: How videos are read; ``adapt`` applies to each of them.
        progress: Called with the name of each match that is done.
    """
    predictions: dict[str, dict[str, Sequence[ScoredEvent]]] = {setting.name: {} for setting in settings}
    for match in matches:
        try:
            of_match = _events_of(spotter, calibration, match.video, settings, options)
        except VideoError:  # refused, so scored as empty
            of_match = {}
        for name, events in of_match.items():
            predictions[name][match.name] = [
                ScoredEvent(half=e.half, position_ms=e.position_ms, label=e.label, value=e.confidence)
                for e in events
                if e.label in classes
            ]
        progress(match.name)
    labels = {match.name: match.labels for match in matches}
    for rows in predictions.values():
        for match in matches:
            rows.setdefault(match.name, ())
    scores = {name: evaluate(labels, rows, classes, ("at1",)).mAP("at1") for name, rows in predictions.items()}
    first = scores[settings[0].name]
    return FactTable(
        title=f"mAP@1, {len(matches)} matches, {sum(map(len, labels.values()))} labels",
        columns=("mAP@1", "against " + settings[0].name),
        rows=tuple((name, f"{100 * value:.1f}", f"{100 * (value - first):+.1f}") for name, value in scores.items()),
    )


def _events_of(
    spotter: Spotter, calibration: Calibration, video: Path, settings: Sequence[Setting], options: InferenceOptions
) -> Mapping[str, list[Event]]:
    """Events of each setting in one video."""
    adapted, _ = adapt_to_video(spotter, video, options)
    size = adapted.spec.width, adapted.spec.height
    with torch.inference_mode():
        frames = (
            torch.from_numpy(chunk.frames_THWC)
            for chunk in stream_frames(video, fps=adapted.fps, size=size, pictures=options, **options.opening)
        )
        features = list(stream_features(adapted, frames, options))
        events = {}
        for setting in settings:
            head = streaming_head(adapted, setting.look_ahead)
            rows_TK = np.concatenate([*(head.add(piece) for piece in features), head.finish()])
            live = CausalCalibration(calibration, adapted.label_set, adapted.grid_fps, setting.delay_s)
            events[setting.name] = live.add(rows_TK[:, : len(adapted.label_set)]) + live.finish()
    return events
