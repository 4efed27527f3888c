"""Strips of frames around single moments, as JPEG."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np

from e2espot.core.errors import ConfigurationError, VideoError

_LOG = logging.getLogger(__name__)

STEPS = (-8, -4, 0, 4, 8)
"""Frames of a strip, from the moment, at the grid of the metric."""
_WIDTH = 320


@dataclass(frozen=True, order=True, kw_only=True)
class FrameKey:
    """A frame of one half of a game."""

    game: str
    half: int
    frame: int


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The frames around a moment."""

    jpegs: tuple[bytes, ...]
    """One a step of ``STEPS``; a step outside the video repeats its first or last frame."""
    width: int
    height: int


def find_videos(root: Path, games: Iterable[str], resolution: str) -> dict[tuple[str, int], Path]:
    """(game, half) -> its video: of a dataset folder, or loose videos named like the games.

    Raises:
        ConfigurationError: no such folder, or none of the games has a video there.
    """
    from e2espot.formats.games import find_games

    if not root.is_dir():
        raise ConfigurationError(f"{root}: no such folder of videos")
    wanted = set(games)
    found = {
        (video.game, video.half): video.path
        for game in find_games(root, resolution=resolution)
        for video in game.videos
        if video.game in wanted
    }
    for game in wanted - {name for name, _ in found}:
        for suffix in (".mp4", ".mkv", ".webm", ".mov", ".avi"):
            path = root / f"{game}{suffix}"
            if ".." not in Path(game).parts and path.is_file():
                found.setdefault((game, 1), path)
    if not found:
        raise ConfigurationError(
            f"{root}: no {resolution} video of any of the {len(wanted)} games; check --videos and --resolution"
        )
    return found


def cut_strips(
    videos: Mapping[tuple[str, int], Path],
    moments: Iterable[FrameKey],
    framerate: int,
    progress: Callable[[int], object] | None = None,
) -> dict[FrameKey, Strip]:
    """Frames around each moment whose video is there and readable; a broken video costs its strips and a warning."""
    by_video: dict[tuple[str, int], list[FrameKey]] = {}
    for moment in sorted(set(moments)):
        by_video.setdefault((moment.game, moment.half), []).append(moment)
    strips: dict[FrameKey, Strip] = {}
    for key, mine in by_video.items():
        path = videos.get(key)
        try:
            if path is not None:
                strips |= _cut(path, mine, framerate)
        except VideoError as error:
            _LOG.warning("no pictures: %s", error)
        if progress is not None:
            progress(len(mine))
    return strips


def _cut(path: Path, moments: list[FrameKey], framerate: int) -> dict[FrameKey, Strip]:
    from e2espot.video import open_reader, probe

    fps = Fraction(framerate)
    info = probe(path, fps, allow_truncated=True)
    if info.num_frames == 0:
        return {}
    width = min(_WIDTH, info.width)
    height = max(1, round(info.height * width / info.width))
    strips = {}
    with open_reader(path, fps=fps, size=(width, height), allow_truncated=True) as reader:
        for moment in moments:
            frames = np.clip(moment.frame + np.array(STEPS), 0, info.num_frames - 1)
            pictures_THWC = reader.read(frames.tolist())
            strips[moment] = Strip(jpegs=tuple(map(_jpeg, pictures_THWC)), width=width, height=height)
    return strips


def _jpeg(picture_HWC: np.ndarray) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture_HWC).save(buffer, "JPEG", quality=72, optimize=True)
    return buffer.getvalue()
