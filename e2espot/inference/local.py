"""One video after another, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from e2espot.core.errors import VideoError
from e2espot.formats.games import Video
from e2espot.inference.job import VideoFailure, VideoResult, Job, predict_video


def run_local(job: Job, videos: Iterable[Video]) -> Iterator[VideoResult | VideoFailure]:
    """Spot videos in order, with a bar of frames for each; a game that lacks one half is not looked at further."""
    failed: set[str] = set()
    for video in videos:
        if video.game in failed:
            continue
        with tqdm(desc=f"{video.game} ({video.path.name})", unit="frame", disable=None) as bar:

            def show(done: int, total: int, bar: tqdm[Any] = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                found: VideoResult | VideoFailure = predict_video(job, video, show)
            except VideoError as error:  # one bad file takes one game
                found = VideoFailure(video=video, error=error)
                failed.add(video.game)
        yield found
