"""FOOTPASS, SoccerNet's player-centric set of 2026: who does what at which frame, one JSON file for each split.

    {"keys": ["game_18_H1", "game_18_H2"],
     "events": {"game_18_H1": [[frame, team, jersey, class, bbox, replay], ...], ...}}       predictions: [..., score]

A match is one video at 25 frames a second, ``game_18.mp4``, on which the frames of the second half are counted on. Team
is 0 for the side that plays on the left and 1 for the right. ``replay`` is 1 if the broadcast shows no player at that
frame: the event happened, and cannot be seen. Around such events nothing is annotated, as far as a spotter can know::

    frames      ....x......r..r....x......      x: seen, r: under a replay
    annotated   =======)        [=========
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import DEFAULT_FPS, MAX_DURATION_MS, frame_of_position_ms, position_ms_of_frame
from e2espot.files.json_fields import dump_json, load_json, parse_each, read_bytes, relative_path, require
from e2espot.formats.annotated_field import CLASSES_FIELD
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields, without_videos
from e2espot.formats.video_links import likely_video

FOOTPASS_CLASSES = (
    *("DRIVE", "PASS", "CROSS", "THROW IN", "SHOT", "HEADER"),
    *("PLAYER SUCCESSFUL TACKLE", "BALL PLAYER BLOCK"),
)
"""SoccerNet's names of the eight classes: drive, pass, cross, throw-in, shot, header, tackle, block. The first is 1."""
_TEAMS = ("left", "right")
_SPLITS = {"val": "valid", "validation": "valid"}
_FILE_SPLITS = {"valid": "val"}
_VIDEO_FOLDERS = ("../videos", "videos", ".")
"""Where its repository has the videos, from the folder of the labels."""
_KEY = re.compile(r"(.+)_H([12])")
_AROUND_REPLAY_MS = 2000
"""How far a replay is taken to reach beyond the events under it; an event that is seen ends it earlier."""
_FIELD_RANGES = {
    "frame": (0, frame_of_position_ms(MAX_DURATION_MS, DEFAULT_FPS)),
    "team": (0, 1),
    "jersey": (-1, 999),
    "class": (1, len(FOOTPASS_CLASSES)),
    "bbox": (0, 1),
    "replay": (0, 1),
}
"""Field of a row that is a whole number -> smallest and largest value."""


@dataclass(frozen=True, kw_only=True)
class _Half:
    """One key of a file."""

    game: str
    """Name of the match."""
    number: int
    """1 or 2."""
    split: str
    """Split of its file."""
    annotations: tuple[Annotation, ...]
    """Its events on the time line of the match."""


def read_footpass(source: Path, *, predictions: bool) -> AnnotationSet:
    """Read one file, or a folder with one ``playbyplay_SPLIT.json`` for each split.

    Args:
        source: File or folder.
        predictions: True for predictions, whose rows end in a score; False for labels.

    Raises:
        AnnotationError: a broken file; the message names file, key and row.
        ConfigurationError: no such file.
    """
    paths = [source] if source.is_file() else sorted(source.glob("playbyplay_*.json"))
    if not paths:
        raise ConfigurationError(f"{source}: no playbyplay_SPLIT.json there")
    games: dict[str, list[_Half]] = {}
    for path in paths:
        for half in _read_file(path, predictions):
            of_game = games.setdefault(half.game, [])
            if any(half.number == other.number for other in of_game):
                raise AnnotationError(f"{path}: a second {half.game}_H{half.number}; list every half once")
            of_game.append(half)
    root = source.parent if source.is_file() else source
    videos = tuple(
        AnnotatedVideo(
            game=game,
            split=halves[0].split,
            annotations=tuple(annotation for half in halves for annotation in half.annotations),
            annotated=None if predictions else _annotated_of(halves),
            video="" if predictions else likely_video(root, _VIDEO_FOLDERS, game),
            metadata={} if predictions else {"fps": int(DEFAULT_FPS)},
            game_metadata={} if predictions else {CLASSES_FIELD: list(FOOTPASS_CLASSES)},
        )
        for game, halves in games.items()
    )
    empty = () if source.is_file() else without_videos(map(_split_of, paths), videos)
    return AnnotationSet(videos=videos, predictions=predictions, empty_splits=empty)


def _split_of(path: Path) -> str:
    """The split that a file is named after; empty if it is named otherwise."""
    name = path.stem.rpartition("_")[2]
    return _SPLITS.get(name, name if name in ("train", "test", "challenge") else "")


def _read_file(path: Path, predictions: bool) -> list[_Half]:
    content, context = load_json(read_bytes(path), str(path)), str(path)
    keys = require(content, "keys", list, context)
    events = require(content, "events", dict, context)
    halves = []
    for key in keys:
        match = _KEY.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            raise AnnotationError(f"{context}: key {key!r:.60}; expected a name such as game_18_H1")
        number = int(match[2])
        rows = require(events, key, list, f"{context}: events", [])
        halves.append(
            _Half(
                game=relative_path(match[1], f"{context}: name of the match"),
                number=number,
                split=_split_of(path),
                annotations=parse_each(
                    rows, key, f"{context}: events", partial(_event, half=number, predictions=predictions)
                ),
            )
        )
    return halves


def _event(row: Any, context: str, half: int, predictions: bool) -> Annotation:
    fields = _fields_of_row(row, context, predictions)
    replay = {} if "replay" not in fields else {"visibility": ("visible", "not shown")[fields["replay"]]}
    score = fields.get("score")
    return Annotation(
        label=FOOTPASS_CLASSES[fields["class"] - 1],
        position_ms=position_ms_of_frame(fields["frame"], DEFAULT_FPS),
        confidence=None if score is None else float(score),
        team=_TEAMS[fields["team"]],
        extra={"period": half, **{name: fields[name] for name in ("jersey", "bbox") if name in fields}},
        **replay,
    )


def _fields_of_row(row: Any, context: str, predictions: bool) -> dict[str, Any]:
    """The values of a row by name, each within its range; a row of labels may end after the class."""
    last = ("score",) if predictions else ("bbox", "replay")
    names = ("frame", "team", "jersey", "class", *last)
    least = len(names) if predictions else 4
    if not isinstance(row, list) or not least <= len(row) <= len(names):
        raise AnnotationError(f"{context}: is {row!r:.60}; expected a list of {', '.join(names)}")
    fields = dict(zip(names, row, strict=False))
    for name, (smallest, largest) in _FIELD_RANGES.items():
        value = fields.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise AnnotationError(f"{context}: {name} is {value!r:.40}; expected {smallest} to {largest}")
    score = fields.get("score")
    if predictions and (isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) < 1e300):
        raise AnnotationError(f"{context}: score is {score!r:.40}; expected a number")
    return fields


def _annotated_of(halves: Sequence[_Half]) -> AnnotatedRanges | None:
    """What can be learnt from of a match: without replays, and without a half that the files do not have."""
    events = [event for half in halves for event in half.annotations]
    return _annotated(events, is_whole={half.number for half in halves} == {1, 2})


def _is_read_back(video: AnnotatedVideo) -> bool:
    """Whether the annotated stretches of a video are those that its events give when they are read again."""
    return any(video.annotated == _annotated(video.annotations, is_whole=is_whole) for is_whole in (True, False))


def _annotated(annotations: Sequence[Annotation], *, is_whole: bool) -> AnnotatedRanges | None:
    events = sorted(annotations, key=lambda event: event.position_ms)
    start_ms, stop_ms = 0, MAX_DURATION_MS
    if events and not is_whole:
        # Where the other half begins is not stated; all that is sure is the time between two labels.
        start_ms, stop_ms = events[0].position_ms, events[-1].position_ms + 1
    bounds = [start_ms]
    # An event that is seen, far before and far after the match, so that every replay lies between two of them.
    times_ms = [-MAX_DURATION_MS, *(event.position_ms for event in events), 2 * MAX_DURATION_MS]
    hidden = [False, *(event.visibility == "not shown" for event in events), False]
    for is_replay, run in groupby(range(len(times_ms)), hidden.__getitem__):
        if is_replay:
            indexes = list(run)
            first, last = indexes[0], indexes[-1]
            # From halfway to the event that is seen before to halfway to the one after, at most 2 s to either side.
            bounds += [
                max(times_ms[first] - _AROUND_REPLAY_MS, (times_ms[first - 1] + times_ms[first] + 1) // 2),
                min(times_ms[last] + _AROUND_REPLAY_MS, (times_ms[last] + times_ms[last + 1]) // 2 + 1),
            ]
    bounds.append(stop_ms)
    if bounds == [0, MAX_DURATION_MS]:
        return None
    return merge_ranges(
        (max(first, start_ms), min(last, stop_ms)) for first, last in zip(bounds[::2], bounds[1::2], strict=True)
    )


def footpass_files(
    dataset: AnnotationSet, target: Path, half_starts_ms: Sequence[int], dropped: DroppedFields
) -> dict[Path, bytes]:
    """One file, or a folder with one for each split.

    Args:
        dataset: What to write.
        target: A name that ends in ``.json``, or a folder.
        half_starts_ms: Where each half starts on the time line of the match, for events that do not say.
        dropped: Counts what is left out or filled in.

    Raises:
        ConfigurationError: the target is a file with another ending, or half 2 has a video of its own and its start on
            the time line of the match is unknown.
    """
    in_folder = target.suffix != ".json"
    if in_folder and target.is_file():
        raise ConfigurationError(f"{target} is a file; give a folder, or a name that ends in .json")
    dropped.add_fields(dataset.metadata, "dataset")
    files: dict[str, dict[str, list[list[Any]]]] = {split: {} for split in dataset.empty_splits if in_folder}
    for video in dataset.videos:
        if video.annotated is not None and not _is_read_back(video):
            dropped.add_annotated(video, "FOOTPASS")
        split = video.split if in_folder else ""
        halves = files.setdefault(split, {})
        for key, rows in _halves(video, dataset.predictions, half_starts_ms, dropped).items():
            halves.setdefault(key, []).extend(rows)
        known = ("UrlLocal", CLASSES_FIELD)
        dropped.add_fields({name: value for name, value in video.game_metadata.items() if name not in known}, "game")
        dropped.add_fields({name: value for name, value in video.metadata.items() if name != "fps"}, "video")
    documents = {
        split: dump_json({"keys": list(halves), "events": {key: sorted(rows) for key, rows in halves.items()}})
        for split, halves in files.items()
    }
    if not in_folder:
        return {target: documents.get("", dump_json({"keys": [], "events": {}}))}
    names = {split: f"playbyplay_{_FILE_SPLITS.get(split, split) or 'all'}.json" for split in documents}
    return {target / names[split]: data for split, data in documents.items()}


def _halves(
    video: AnnotatedVideo, predictions: bool, half_starts_ms: Sequence[int], dropped: DroppedFields
) -> Mapping[str, list[list[Any]]]:
    """Key -> rows of one video."""
    start_ms = half_starts_ms[video.half - 1] if video.half <= len(half_starts_ms) else None
    if start_ms is None:
        raise ConfigurationError(
            f"{video.game}: half {video.half} has a video of its own; state where it starts on the time line of the "
            "match, such as 0:00,47:12",
            option="half_starts",
        )
    halves: dict[str, list[list[Any]]] = {f"{video.game}_H{video.half}": []}
    for annotation in video.annotations:
        if annotation.label not in FOOTPASS_CLASSES:
            dropped.add(f"event of class {annotation.label!r} (FOOTPASS has eight others)")
            continue
        if annotation.team not in _TEAMS:
            dropped.add("event without a team, left or right (FOOTPASS needs one)")
            continue
        position_ms = start_ms + annotation.position_ms
        period = annotation.extra.get("period")
        if period not in (1, 2):
            period = max(video.half, sum(start <= position_ms for start in half_starts_ms[:2]))
            if len(half_starts_ms) < 2:
                dropped.add("half of an event unknown: written as half 1 (state half_starts, such as 0:00,47:12)")
        jersey = annotation.extra.get("jersey")
        if not isinstance(jersey, int):
            dropped.add("player of an event unknown: written as jersey -1")
            jersey = -1
        frame = frame_of_position_ms(position_ms, DEFAULT_FPS)
        row: list[Any] = [frame, _TEAMS.index(annotation.team), jersey, FOOTPASS_CLASSES.index(annotation.label) + 1]
        if predictions:
            row.append(1.0 if annotation.confidence is None else annotation.confidence)
        else:
            row += [int(annotation.extra.get("bbox") == 1), int(annotation.visibility == "not shown")]
        others = {name: value for name, value in annotation.extra.items() if name not in ("period", "jersey", "bbox")}
        dropped.add_fields(others, "event")
        halves.setdefault(f"{video.game}_H{period}", []).append(row)
    return halves
