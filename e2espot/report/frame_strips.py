"""Strips of frames around single frames of a video, as JPEG."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np

from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.picture_options import PictureOptions
from e2espot.core.wording import counted
from e2espot.formats.filenames import VIDEO_SUFFIXES

_LOG = logging.getLogger(__name__)

STEPS = (-8, -4, 0, 4, 8)
"""Offsets of the frames of a strip from its centre, in frames of the metric's grid."""
_MAX_WIDTH = 320
"""Largest width of a frame in a strip, in pixels."""


@dataclass(frozen=True, order=True, kw_only=True)
class FrameKey:
    """A frame of one half of a game: the centre of a strip."""

    game: str
    """Name of the game."""
    half: int
    """1 or 2."""
    frame: int
    """Index on the metric's grid."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The frames around one frame."""

    jpegs: tuple[bytes, ...]
    """One for each of ``STEPS``; outside the video its first or last frame is repeated."""
    width: int
    """Width of each in pixels."""
    height: int
    """Height of each in pixels."""


def find_videos(root: Path, games: Iterable[str], resolution: str) -> dict[tuple[str, int], Path]:
    """Find the videos of games, in a dataset folder or as loose videos named like the games.

    Args:
        root: Folder, or the video of the only game.
        games: Names of the games.
        resolution: Which of a game's videos is taken.

    Returns:
        (game, half) -> path.

    Raises:
        ConfigurationError: no such folder, or none of the games has a video there.
    """
    from e2espot.formats.games import find_games, is_dataset
    from e2espot.formats.one_video import game_of_video, is_video_file

    wanted = set(games)
    if is_video_file(root):
        if len(wanted) > 1:
            raise ConfigurationError(
                f"{root} is one video, and there are {len(wanted)} games; give a folder with the videos of all",
                option="videos",
            )
        return {(name, video.half): video.path for name in wanted for video in game_of_video(root).videos}
    if not is_dataset(root):
        raise ConfigurationError(f"{root}: no such folder of videos, and no video")
    videos = {
        (video.game, video.half): video.path
        for game in find_games(root, resolution=resolution)
        for video in game.videos
        if video.game in wanted
    }
    for game in wanted - {name for name, _ in videos}:
        for suffix in VIDEO_SUFFIXES:
            path = root / f"{game}{suffix}"
            # The names come from files: none may lead out of the folder.
            if ".." not in Path(game).parts and path.is_file():
                videos.setdefault((game, 1), path)
    if not videos:
        raise ConfigurationError(
            f"{root}: no {resolution} video of {counted(len(wanted), 'game')}; give another folder or resolution",
            option="videos",
        )
    return videos


def cut_strips(
    videos: Mapping[tuple[str, int], Path],
    keys: Iterable[FrameKey],
    framerate: int,
    progress: Callable[[int], object] | None = None,
) -> dict[FrameKey, Strip]:
    """Cut a strip around each frame.

    A frame whose video is unknown gets no strip. Frames of a broken video get none either, with a warning.

    Args:
        videos: (game, half) -> path.
        keys: Centres of the strips.
        framerate: Rate of the grid.
        progress: Called with the number of further strips that are done.
    """
    keys_by_video: dict[tuple[str, int], list[FrameKey]] = {}
    for key in sorted(set(keys)):
        keys_by_video.setdefault((key.game, key.half), []).append(key)
    strips: dict[FrameKey, Strip] = {}
    for video, keys_of_video in keys_by_video.items():
        path = videos.get(video)
        try:
            if path is not None:
                strips |= _cut_video(path, keys_of_video, framerate)
        except VideoError as error:
            _LOG.warning("no strips of frames: %s", error)
        if progress is not None:
            progress(len(keys_of_video))
    return strips


def _cut_video(path: Path, keys: list[FrameKey], framerate: int) -> dict[FrameKey, Strip]:
    from e2espot.video import open_reader, probe

    fps = Fraction(framerate)
    info = probe(path, fps, allow_truncated=True)
    if info.num_frames == 0:
        return {}
    width = min(_MAX_WIDTH, info.width)
    height = max(1, round(info.height * width / info.width))
    strips = {}
    # With its bars, as a player shows it.
    pictures = PictureOptions(crop_bars="off")
    with open_reader(path, fps=fps, size=(width, height), allow_truncated=True, pictures=pictures) as reader:
        for key in keys:
            # frame 3 of a video of 100 frames: -5 -1 3 7 11 -> 0 0 3 7 11
            frames = np.clip(key.frame + np.array(STEPS), 0, info.num_frames - 1)
            pictures_THWC = reader.read(frames.tolist())
            strips[key] = Strip(jpegs=tuple(map(_jpeg, pictures_THWC)), width=width, height=height)
    return strips


def _jpeg(picture_HWC: np.ndarray) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture_HWC).save(buffer, "JPEG", quality=72, optimize=True)
    return buffer.getvalue()
