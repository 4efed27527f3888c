"""OpenSportsLab's JSON of version 1, which its first library reads: a list of videos with SoccerNet's rows.

::

    {"version": 1, "labels": ["PASS", ...],
     "videos": [{"path_video": "l/s/game/1_224p.mkv", "annotations": [{"gameTime": "1 - 05:07", "label": "PASS"}]}]}

The time of an event counts from the start of its video, whatever half its clock names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError
from e2espot.files.json_fields import (
    check_video_metadata,
    parse_each,
    relative_path,
    remaining_fields,
    require,
    require_text,
)
from e2espot.formats.interchange import AnnotatedVideo, AnnotationSet
from e2espot.formats.opensportslab_events import read_event
from e2espot.formats.video_paths import GamesOfPaths

_PATHS = ("path_video", "path", "path_features")
"""Fields that name the file of a video, the most specific first."""


def is_version_1(content: Any) -> bool:
    """Whether the content of a file has the form of version 1."""
    return isinstance(content, dict) and "data" not in content and isinstance(content.get("videos"), list)


def path_of_version_1(video: Mapping[str, Any]) -> str | None:
    """Path of a video; None if it states none."""
    return next((path for key in _PATHS if isinstance(path := video.get(key), str) and path), None)


def read_version_1(content: Mapping[str, Any], path: Path, games: GamesOfPaths, *, predictions: bool) -> AnnotationSet:
    """Read the content of a file.

    Args:
        content: The content.
        path: The file, for errors.
        games: Names of the games of all paths in it.
        predictions: Whether events must have a confidence.

    Raises:
        AnnotationError: a broken file; the message names file, entry and field.
    """

    def read(video: Any, context: str) -> AnnotatedVideo:
        return _read_video(video, context, games, predictions=predictions)

    labels = require(content, "labels", list, str(path), [])
    return AnnotationSet(
        videos=parse_each(content["videos"], "videos", str(path), read),
        classes=parse_each(
            labels, "labels", str(path), lambda name, context: require_text({"label": name}, "label", context)
        ),
        metadata=remaining_fields(content, "videos", "labels", "version"),
        predictions=predictions,
    )


def _read_video(video: Any, context: str, games: GamesOfPaths, *, predictions: bool) -> AnnotatedVideo:
    file = path_of_version_1(video) if isinstance(video, dict) else require(video, _PATHS[0], str, context)
    if file is None or file not in games:
        raise AnnotationError(f"{context}: no path of its video; expected one of the fields {', '.join(_PATHS)}")
    game, half = games[file]
    list_name = "predictions" if predictions and "predictions" in video else "annotations"
    rows = require(video, list_name, list, context, [])
    return AnnotatedVideo(
        game=relative_path(game, f"{context}: name of the game"),
        half=half,
        annotations=parse_each(
            rows,
            list_name,
            context,
            lambda row, context: read_event(row, context, half, from_soccernet=True, predictions=predictions),
        ),
        video="" if file == video.get("path_features") else file,
        metadata=check_video_metadata(remaining_fields(video, list_name, "path_video", "path"), context),
    )
