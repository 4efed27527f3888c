"""Predicts many videos, one after another in this process."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from tqdm import tqdm

from e2espot.core.errors import E2ESpotError, VideoError
from e2espot.formats.game import Video
from e2espot.inference.job import Job, Progress, VideoFailure, VideoResult, predict_video, unexpected_failure

_Result = TypeVar("_Result")


def run_local(job: Job, videos: Iterable[Video]) -> Iterator[VideoResult | VideoFailure]:
    """Predict videos in order; see :func:`run_in_order`."""
    return run_in_order(partial(predict_video, job), videos)


def run_in_order(
    work: Callable[[Video, Progress, Progress], _Result], videos: Iterable[Video]
) -> Iterator[_Result | VideoFailure]:
    """Process videos in order, with a bar of frames for each, and one of bytes where a video is copied first.

    A failed video fails its game, whatever the exception: the other half is not processed.

    Args:
        work: Called with a video, and with what reports frames and copied bytes.
        videos: The videos.

    Raises:
        E2ESpotError: options or weights that concern every game.
    """
    failed_games: set[str] = set()
    for video in videos:
        if video.game in failed_games:
            continue
        name = f"{video.game} ({video.path.name})"
        with _bar(name, unit="frame") as frames, _bar(f"copying {name}", unit="B", unit_scale=True) as copied:
            try:
                result: _Result | VideoFailure = work(video, frames, copied)
            except VideoError as error:  # a bad file costs its game
                result = VideoFailure(video=video, error=error)
            except E2ESpotError:  # options or weights that no game would accept
                raise
            except Exception as error:  # a bug, or too little memory: it costs its game as well
                result = unexpected_failure(video, error, traceback.format_exc())
            if isinstance(result, VideoFailure):
                failed_games.add(video.game)
        yield result


@contextmanager
def _bar(description: str, **options: Any) -> Iterator[Progress]:
    """A progress bar that appears with the first report and closes when all is done."""
    bars: list[tqdm[Any]] = []

    def report(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(desc=description, total=total, disable=None, **options))
        bars[0].update(done - bars[0].n)
        if done >= total:
            bars[0].close()

    try:
        yield report
    finally:
        for bar in bars:
            bar.close()
