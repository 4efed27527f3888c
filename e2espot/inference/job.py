"""Prediction of one video: the same code in this process, on a Ray worker and for ``spot``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.core.adaptation import Adaptation
from e2espot.core.coverage import ReadCoverage
from e2espot.core.errors import ConfigurationError, VideoError, first_line
from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.formats.feature_files import is_feature_file, open_features
from e2espot.formats.feature_lengths import check_against_video
from e2espot.formats.game import Video
from e2espot.inference.exported import ExportedSpotter, load_exported, spot_exported
from e2espot.inference.exported_spec import is_exported
from e2espot.inference.options import InferenceOptions
from e2espot.inference.video_scores import average_scores
from e2espot.sources.remote import VideoCache, is_url, redact, result_name, scrub
from e2espot.suppression.calibration import Calibration, apply_calibration, read_calibration
from e2espot.video.parts import indexes_of, stem_of
from e2espot.video.preparation import Preparation, preparation_of

if TYPE_CHECKING:
    from e2espot.models import Spotter

Progress = Callable[[int, int], None]
"""Called with (done, total), in frames or bytes."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that is needed to predict a video; it can be sent to another machine."""

    spotters: tuple[Spotter | ExportedSpotter, ...]
    """One spotter, or an ensemble whose scores are averaged."""
    calibration: Calibration
    """How scores become events."""
    options: InferenceOptions
    """How videos are read and run through the spotters."""
    cache: VideoCache
    """Local copies of videos from object stores."""
    keep_scores: bool = False
    """Whether the result holds the scores as well as the events."""

    def to(self, device: str) -> Job:
        """The same with its spotters on ``device``; exported ones stay on the CPU."""
        spotters = (
            spotter if isinstance(spotter, ExportedSpotter) else spotter.to(device) for spotter in self.spotters
        )
        return replace(self, spotters=tuple(spotters))


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """Prediction for one video."""

    video: Video
    """The video."""
    events: tuple[Event, ...]
    """Its events, on the output grid of the spotters."""
    scores: Scores | None
    """The scores of every frame; None unless the job keeps them."""
    coverage: ReadCoverage | None = None
    """What was read of the video; None for all of it."""
    adaptations: tuple[Adaptation, ...] = ()
    """How each spotter was adapted to the video; empty if they were not."""
    prepared: tuple[tuple[str, Preparation], ...] = ()
    """(name of the file, how its pictures were prepared), for the files of the video whose pictures are not plain."""


@dataclass(frozen=True, kw_only=True)
class VideoFailure:
    """A video that failed."""

    video: Video
    """The video."""
    error: VideoError
    """The reason."""
    traceback: str | None = None
    """The traceback of an exception that this library does not expect; None for a bad file."""


def unexpected_failure(video: Video, error: BaseException, traceback: str) -> VideoFailure:
    """A failure by an exception that says nothing about the file: a bug or lack of memory, in any library.

    Args:
        video: The video.
        error: The exception.
        traceback: Its traceback, with line breaks.
    """
    url = video.url or ""
    reason = scrub(f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__, url)
    name = redact(url) if url else video.path
    return VideoFailure(
        video=video, error=VideoError(f"{name}: failed unexpectedly ({reason})"), traceback=scrub(traceback, url)
    )


def load_job(
    runs: Sequence[Path],
    *,
    device: str,
    options: InferenceOptions,
    cache: VideoCache,
    keep_scores: bool = False,
) -> Job:
    """Load the spotters of an ensemble, and the calibration of the first run.

    Args:
        runs: Run folders, folders of exported spotters, or ``.safetensors`` files. A file has no calibration and gets
            the default one.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``auto``.
        options: How videos are read and run through the spotters.
        cache: Local copies of videos from object stores.
        keep_scores: Whether results hold the scores as well as the events.

    Raises:
        CheckpointError: there is no run at the path, or it is damaged.
        ConfigurationError: this machine has no such device.
    """
    spotters = tuple(load_exported(run) if is_exported(run) else _load_run(run, device) for run in runs)
    first = spotters[0]
    if device.startswith("cuda") and any(isinstance(spotter, ExportedSpotter) for spotter in spotters):
        raise ConfigurationError(f"device is {device}; exported spotters run on the CPU", option="device")
    return Job(
        spotters=spotters,
        calibration=first.calibration
        if isinstance(first, ExportedSpotter)
        else read_calibration(runs[0], first.label_set),
        options=options,
        cache=cache,
        keep_scores=keep_scores,
    )


def _load_run(run: Path, device: str) -> Spotter:
    from e2espot.core.device import parse_device
    from e2espot.models import load_spotter

    return load_spotter(run, parse_device(device))


def spot_video(
    spotter: Spotter | ExportedSpotter, path: Path, options: InferenceOptions, *, progress: Progress | None = None
) -> Scores:
    """The scores of a video by a spotter of either kind; torch is imported only for one that needs it."""
    if isinstance(spotter, ExportedSpotter):
        return spot_exported(spotter, path, options, progress=progress)
    from e2espot.inference.predict import spot_video

    return spot_video(spotter, path, options, progress=progress)


def single_video(source: str | Path, *, half: int = 1) -> Video:
    """A video outside any dataset, as a game named after its file.

    Args:
        source: Path of a file, those of one match joined by ``+``, or URL of a file in an object store.
        half: Half of the match that the video shows.

    Raises:
        ConfigurationError: the path or URL has no file name to name the results after.
    """
    if is_url(str(source)):
        name = result_name(str(source))
        return Video(game=name, half=half, path=Path(name), url=str(source))
    path = Path(source)
    name = stem_of(path)
    if not name.strip(".") or "/" in name:
        raise ConfigurationError(f"{source}: results are named after the file, and this is not a name; rename it")
    return Video(game=name, half=half, path=path)


def predict_video(
    job: Job, video: Video, progress: Progress | None = None, copy_progress: Progress | None = None
) -> VideoResult:
    """Predict the events of one video.

    Args:
        job: Spotters, calibration and options.
        video: A local file, or one in an object store, which is copied first.
        progress: Called with (frames done, frames in all) of the whole ensemble.
        copy_progress: Called with (bytes copied, bytes in all); never for a local file or a copy that exists.

    Raises:
        VideoError: the video cannot be read.
        ConfigurationError: the members of the ensemble differ in classes or rate, or the copy is too large.
    """
    from e2espot.video.parts import one_state

    members: list[Scores] = []
    options = job.options
    with ExitStack() as stack:
        path = stack.enter_context(local_path(job.cache, video, copy_progress))
        reads_frames = not is_feature_file(path)
        if reads_frames:
            stack.enter_context(one_state(path, **options.opening))
        for index, spotter in enumerate(job.spotters):
            report = _member_progress(progress, index, len(job.spotters))
            members.append(spot_video(spotter, path, job.options, progress=report))
        prepared = _prepared_files(job.options, path) if reads_frames else ()
        if not reads_frames:
            check_against_video(open_features(path), members[0].fps)
    scores = average_scores(members)
    events = apply_calibration(job.calibration, scores, half=video.half)
    return VideoResult(
        video=video,
        events=tuple(events),
        scores=scores if job.keep_scores else None,
        coverage=scores.coverage,
        adaptations=scores.adaptations,
        prepared=prepared,
    )


def _prepared_files(options: InferenceOptions, path: Path) -> tuple[tuple[str, Preparation], ...]:
    """See ``VideoResult.prepared``. Known since the video was read: nothing is decoded for it."""
    indexes = indexes_of(path, **options.opening)
    prepared = [(index.path.name, preparation_of(index, options)) for index in indexes]
    return tuple((name, preparation) for name, preparation in prepared if not preparation.is_plain)


@contextmanager
def local_path(cache: VideoCache, video: Video, copy_progress: Progress | None) -> Iterator[Path]:
    """Path of a video, of a copy in ``cache`` if it is in an object store."""
    if video.url is None:
        yield video.path
    else:
        with cache.local_copy(video.url, copy_progress) as path:
            yield path


def _member_progress(progress: Progress | None, index: int, count: int) -> Progress | None:
    """Convert the progress of one member into that of the whole ensemble."""
    if progress is None:
        return None
    # member 1 of 2, 30 of 100 frames -> 130 of 200
    return lambda done, total: progress(done + total * index, total * count)
