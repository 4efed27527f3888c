"""What is done with one video: the same in this process as on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2espot.core.coverage import ReadCoverage
from e2espot.core.errors import VideoError
from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.formats.games import Video
from e2espot.inference.predict import InferenceOptions, average_scores, spot_video
from e2espot.models import Spotter
from e2espot.sources.remote import VideoCache
from e2espot.suppression.calibration import Calibration, apply_calibration

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that whoever spots a video must know; it can be sent to another machine."""

    spotters: tuple[Spotter, ...]
    """An ensemble whose scores are averaged, or one."""
    calibration: Calibration
    """How scores become events."""
    options: InferenceOptions
    """How videos are read and run through the spotters."""
    copies: VideoCache
    """Where videos from stores are kept."""
    keep_scores: bool = False
    """Whether the scores are wanted as well as the events."""


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """What was found in a video."""

    video: Video
    """The video."""
    events: tuple[Event, ...]
    """Its events, as frames of the spotters' grid."""
    scores: Scores | None
    """The scores of every frame where they were wanted."""
    coverage: ReadCoverage | None = None
    """What could be read of the video; None for all of it."""


@dataclass(frozen=True, kw_only=True)
class VideoFailure:
    """A video nobody could spot."""

    video: Video
    """The video."""
    error: VideoError
    """Why."""


def predict_video(job: Job, video: Video, progress: Progress | None = None) -> VideoResult:
    """Spot one video.

    Raises:
        VideoError: it cannot be read.
        ConfigurationError: an ensemble whose members speak of different classes; no room for a copy.
    """
    found: list[Scores] = []
    with _at_hand(job, video) as path:
        for number, spotter in enumerate(job.spotters):
            found.append(spot_video(spotter, path, job.options, progress=_part(progress, number, len(job.spotters))))
    scores = average_scores(found)
    events = apply_calibration(job.calibration, scores, half=video.half)
    kept = scores if job.keep_scores else None
    return VideoResult(video=video, events=tuple(events), scores=kept, coverage=scores.coverage)


@contextmanager
def _at_hand(job: Job, video: Video) -> Iterator[Path]:
    if video.url is None:
        yield video.path
    else:
        with job.copies.local_copy(video.url) as path:
            yield path


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one spotter as that of the whole ensemble."""
    if progress is None:
        return None
    return lambda done, total: progress(done + total * number, total * count)
