"""From a run and a video to events, in one call: the same events as ``e2espot infer RUN VIDEO``."""

from __future__ import annotations

from pathlib import Path

from e2espot.core.events import Event
from e2espot.inference.job import Job, Progress, load_job, predict_video, single_video
from e2espot.inference.options import InferenceOptions
from e2espot.models import Spotter
from e2espot.sources.remote import default_cache
from e2espot.suppression.calibration import UNCALIBRATED


def spot(
    run_or_spotter: str | Path | Spotter,
    video: str | Path,
    options: InferenceOptions | None = None,
    *,
    half: int = 1,
    progress: Progress | None = None,
) -> list[Event]:
    """Predict the events of one video.

    The calibration of a run folder (suppression, time shift and score map) is applied, as the
    command does. A ``.safetensors`` file and a ``Spotter`` have none; their scores become events
    by the default suppression.

    Args:
        run_or_spotter: Run folder, ``.safetensors`` file, or a spotter in evaluation mode. A spotter stays on
            its device; a run is loaded onto CUDA where there is a GPU, else onto the CPU.
        video: Path of a video, or URL of one in an object store.
        options: How the video is read and processed.
        half: Half of the match that the video shows; the events carry it.
        progress: Called with (frames done, frames in all).

    Returns:
        Events in order of time, on the output grid of the spotter (``Spotter.grid_fps``).

    Raises:
        VideoError: the video is missing, unreadable, or breaks off.
        CheckpointError: there is no run at the path, or it is damaged.
    """
    options = options or InferenceOptions()
    if isinstance(run_or_spotter, Spotter):
        job = Job(spotters=(run_or_spotter,), calibration=UNCALIBRATED, options=options, cache=default_cache())
    else:
        job = load_job([Path(run_or_spotter)], device="auto", options=options, cache=default_cache())
    return list(predict_video(job, single_video(video, half=half), progress).events)
