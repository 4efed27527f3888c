"""Labelled clips: a folder of short videos, each with a ``NAME.labels.json`` next to it.

The file holds SoccerNet's annotation fields, and what a clip needs beyond them::

    {
     "annotations": [{"gameTime": "1 - 00:05", "position": "5533", "label": "PASS", "certainty": "high", ...}, ...],
     "ball": [{"frame": 166, "xy": [1055.0, 274.0]}, {"frame": 170, "xy": null, "why": "hidden"}, ...],
     "camera": "main", "ball_colour": "white", "ball_px": 11
    }

``frame`` counts the pictures that a player shows, from 0; ``xy`` is the centre of the ball in pixels of the picture.
Everything but ``annotations`` may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.files.json_fields import optional_text, read_bytes, require, require_number
from e2espot.formats.filenames import VIDEO_SUFFIXES
from e2espot.formats.soccernet_json import parse_document, read_row

LABELS_ENDING = ".labels.json"
"""What the name of a clip's label file ends with."""


@dataclass(frozen=True, kw_only=True)
class BallPosition:
    """The centre of the ball in one picture."""

    picture: int
    """Picture of the video, counted as a player shows them, from 0."""
    x: float
    """Pixels of the picture from its left edge."""
    y: float
    """Pixels of the picture from its top edge."""


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """One clip with its labels."""

    name: str
    """Name of the video without its ending."""
    video: Path
    """The video."""
    events: tuple[ScoredEvent, ...]
    """Labels of all classes that are not marked as uncertain."""
    num_uncertain: int
    """Labels left out because their certainty is ``low``."""
    ball: tuple[BallPosition, ...]
    """Positions of the ball, in order; pictures in which it cannot be seen are left out."""
    camera: str
    """Kind of camera, without what follows a bracket, comma or slash; empty if it is not stated."""
    ball_colour: str
    """Colour of the ball, likewise."""
    ball_px: float | None
    """Diameter of the ball in pixels of the picture; None if it is not stated."""


def find_labelled_clips(folders: Sequence[Path]) -> list[LabelledClip]:
    """All labelled clips of the folders, in order of their names within each.

    Raises:
        ConfigurationError: a folder is missing or holds no labelled clip, or two clips have one name.
        AnnotationError: a label file is broken.
    """
    clips: dict[str, LabelledClip] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{folder}: no such folder of labelled clips")
        files = sorted(folder.glob(f"*{LABELS_ENDING}"))
        if not files:
            raise ConfigurationError(f"{folder}: no labelled clips; each video needs a NAME{LABELS_ENDING} next to it")
        for file in files:
            clip = read_labelled_clip(file)
            if clip.name in clips:
                raise ConfigurationError(f"{file}: a second clip named {clip.name!r}; rename it")
            clips[clip.name] = clip
    return list(clips.values())


def read_labelled_clip(file: Path) -> LabelledClip:
    """Read one ``NAME.labels.json`` and find its video.

    Raises:
        AnnotationError: the file breaks the format; the message names entry and field.
        ConfigurationError: there is no video of that name.
    """
    context = str(file)
    content, rows = parse_document(read_bytes(file), "label", context)
    events, num_uncertain = [], 0
    for number, row in enumerate(rows):
        event = read_row(row, f"{context}: annotations[{number}]", kind="label", mode="strict")
        if row.get("certainty") == "low":
            num_uncertain += 1
        else:
            events.append(event)
    entries = require(content, "ball", list, context, default=[])
    positions = [_ball_position(entry, f"{context}: ball[{number}]") for number, entry in enumerate(entries)]
    return LabelledClip(
        name=file.name.removesuffix(LABELS_ENDING),
        video=_video_of(file),
        events=tuple(events),
        num_uncertain=num_uncertain,
        ball=tuple(position for position in positions if position is not None),
        camera=_first_part(optional_text(content, "camera", context)),
        ball_colour=_first_part(optional_text(content, "ball_colour", context)),
        ball_px=None if content.get("ball_px") is None else require_number(content, "ball_px", context),
    )


def _ball_position(entry: Any, context: str) -> BallPosition | None:
    picture = require(entry, "frame", int, context)
    if entry.get("xy") is None:
        return None
    pair = require(entry, "xy", list, context)
    if picture < 0 or len(pair) != 2:
        raise AnnotationError(f"{context}: needs a frame of 0 or more and xy with two numbers")
    numbers = {"x": pair[0], "y": pair[1]}
    return BallPosition(
        picture=picture, x=require_number(numbers, "x", context), y=require_number(numbers, "y", context)
    )


def _video_of(file: Path) -> Path:
    stem = file.name.removesuffix(LABELS_ENDING)
    for ending in VIDEO_SUFFIXES:
        video = file.with_name(stem + ending)
        if video.is_file():
            return video
    raise ConfigurationError(f"{file}: no video {stem}{VIDEO_SUFFIXES[0]} next to it")


def _first_part(text: str) -> str:
    """Name of the group of a clip: ``main (goal end, zoomed in)`` -> ``main``, ``white/green`` -> ``white``."""
    for mark in "(,/":
        text = text.split(mark)[0]
    return text.strip()
