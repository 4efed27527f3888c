"""What a shorter latency costs: mAP@1 on labelled clips, offline and as a live stream would score them.

The backbone runs once over each clip; heads and suppressions are then run for each latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from e2espot.benchmarks.real_clips import CLASSES, scored
from e2espot.benchmarks.results import FactTable
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.events import Event, ScoredEvent
from e2espot.formats.labelled_clips import LabelledClip
from e2espot.inference.adapt import adapt_to_video
from e2espot.inference.job import Job
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import stream_features
from e2espot.inference.streaming_head import streaming_head
from e2espot.live.spotter import plan_latency
from e2espot.models import Spotter
from e2espot.scoring import evaluate
from e2espot.suppression import Calibration
from e2espot.suppression.causal_calibration import CausalCalibration
from e2espot.video import stream_frames


@dataclass(frozen=True)
class Setting:
    """How far scores and events may look ahead."""

    name: str
    """For the table."""
    look_ahead: int | None
    """Of the head, in frames; None for all of its window."""
    delay_s: float | None
    """Of the suppression; None for the offline events."""


def settings_of(spotter: Spotter, calibration: Calibration, latencies_s: Sequence[float]) -> list[Setting]:
    """Offline, then each latency as ``live --latency`` divides it among head and suppression."""
    settings = [Setting("offline", None, None)]
    for latency_s in latencies_s:
        look_ahead_s, delay_s, _ = plan_latency(spotter, calibration, latency_s)
        settings.append(Setting(f"latency {latency_s:g} s", round(look_ahead_s * float(spotter.fps)), delay_s))
    return settings


def accuracy_table(
    job: Job,
    clips: Sequence[LabelledClip],
    latencies_s: Sequence[float],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> FactTable:
    """mAP@1 of PASS and DRIVE for each latency, compared with whole clips. A clip that is refused counts as empty.

    Args:
        job: One spotter, its calibration, and how videos are read; ``adapt`` applies to each clip.
        clips: What is scored.
        latencies_s: Seconds from a picture to the events in it.
        progress: Called with the number of clips done, and of all.
    """
    (spotter,) = job.spotters
    if not isinstance(spotter, Spotter):
        raise ConfigurationError("exported spotters have whole windows; name the run", option="run")
    settings = settings_of(spotter, job.calibration, latencies_s)
    predictions: dict[str, dict[str, Sequence[ScoredEvent]]] = {setting.name: {} for setting in settings}
    for number, clip in enumerate(clips):
        events: Mapping[str, list[Event]] = {setting.name: [] for setting in settings}
        with suppress(VideoError):
            events = _events_of(spotter, job.calibration, clip.video, settings, job.options)
        for name in predictions:
            predictions[name][clip.name] = [scored(event) for event in events[name] if event.label in CLASSES]
        progress(number + 1, len(clips))
    labels = {clip.name: [event for event in clip.events if event.label in CLASSES] for clip in clips}
    scores = {name: evaluate(labels, rows, CLASSES, ("at1",)).mAP("at1") for name, rows in predictions.items()}
    first = scores[settings[0].name]
    return FactTable(
        title=f"mAP@1 by latency, {len(clips)} clips, {sum(map(len, labels.values()))} events",
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
