"""A game and its videos, whatever layout they are found in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_VIDEO_NAME = re.compile(r"(?:[1-5]_)?[0-9]+p(?:_part[0-9]+)?\.(?:mp4|mkv|webm)")


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video file of a game: the whole game, or one half."""

    game: str
    """Name of the game, as in :class:`Game`."""
    half: int
    """1 or 2, 3 and 4 in extra time, 5 for penalties; a game in one file is half 1."""
    path: Path
    """Path of the file, or those of its parts joined by ``+``; for a video in an object store only its name."""
    url: str | None = None
    """Address in an object store; None for a local file."""
    video_stream: int | None = None
    """Number of the stream among the video streams of the file; None for the one that players choose."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """One game with its videos and labels."""

    name: str
    """Path of its folder, or of its video without the ending, relative to the dataset, with forward slashes."""
    folder: Path
    """Path of its folder; of a game that has none, where it would be."""
    videos: tuple[Video, ...]
    """One file for the game, or one for each half; empty if there is none."""
    labels_path: Path | None
    """The label file; None if there is none."""
    labels_target: Path | None = None
    """Where new labels go; None for the usual file in its folder."""
    split: str = ""
    """The split that the dataset's list or folders name; empty if they name none, as SoccerNet's layout."""


def is_game_video(name: str) -> bool:
    """Whether a file has the name of a game's video, or of a part of one, of any resolution and half.

    Examples: ``224p.mp4``, ``1_720p.mkv``, ``1_720p_part2.mkv``.
    """
    return _VIDEO_NAME.fullmatch(name) is not None
