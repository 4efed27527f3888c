"""SoccerTrack v2's ball action files, ``bas/ID/ID_12_class_events.json``, with times on the match clock.

The released files differ from their description: the list is named ``actions``, labels are in capitals,
and ``position`` counts from the kick-off of the match, not of the half. Three matches have a third period
that was not filmed; most of its events name no half.

::

    match clock   0:00 ........ 45:00 ........ 90:00
    half 1        |-- video 1 --|
    half 2                      |-- video 2 --|        position_ms = clock_ms - Period.start_ms
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import game_time
from e2espot.files.json_fields import (
    dump_json,
    load_json,
    optional_text,
    read_bytes,
    relative_path,
    remaining_fields,
    require,
    require_ms,
    require_number,
    require_text,
)
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields

_SUFFIX = "_12_class_events.json"
_CLASSES = LABEL_SETS["ball-12"].names
_CLOCK = re.compile(r"(?:(\d) - )?(\d{1,3}):(\d{2})")
_NOMINAL_MS = {1: 0, 2: 2_700_000}
"""Half -> match clock at its kick-off: 0:00 and 45:00."""
_LONGEST_HALF_MS = 3_600_000
_FRAME_MS = 40
"""Length of a frame of SoccerTrack's videos, which have 25 fps."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """The part of the match clock that one half's video covers."""

    start_ms: int
    """Match clock at the first frame of the video, in milliseconds."""
    end_ms: int
    """Match clock at the end of the video, in milliseconds; exclusive."""


Periods = Mapping[str, Mapping[int, Period]]
"""Match id -> half -> the part of the match clock that its video covers."""


def read_periods(path: Path) -> Periods:
    """Read SoccerTrack's ``bas_periods.json``: the match clock at the start and end of each video.

    Raises:
        AnnotationError: a broken file; the message names file and field.
    """
    content = load_json(read_bytes(path), str(path))
    by_match: dict[str, dict[int, Period]] = {}
    for match, fields in require(content, "matches", dict, str(path)).items():
        context = f"{path}: matches.{match}"
        periods = require(fields, "periods", dict, context)
        by_match[str(match)] = {}
        for half in (1, 2):
            period = require(periods, str(half), dict, f"{context}.periods")
            start_ms = round(require_number(period, "t0_ms", f"{context}.periods.{half}"))
            num_frames = require(period, "n_frames", int, f"{context}.periods.{half}")
            by_match[str(match)][half] = Period(start_ms=start_ms, end_ms=start_ms + _FRAME_MS * num_frames)
    return by_match


def _period(periods: Periods, match: str, half: int) -> Period:
    start_ms = _NOMINAL_MS[half]
    nominal = Period(start_ms=start_ms, end_ms=start_ms + _LONGEST_HALF_MS)
    return periods.get(match, {}).get(half, nominal)


def read_soccertrack(source: Path, dropped: DroppedFields, periods: Periods, *, predictions: bool) -> AnnotationSet:
    """Read every event file below a folder, or one.

    Raises:
        AnnotationError: a broken file; the message names file, entry and field.
        ConfigurationError: no such file.
    """
    paths = [source] if source.is_file() else sorted(source.rglob(f"*{_SUFFIX}"))
    if not paths:
        raise ConfigurationError(f"{source}: no *{_SUFFIX} below it")
    videos: list[AnnotatedVideo] = []
    for path in paths:
        match = path.name.removesuffix(_SUFFIX).removesuffix(".json")
        content = load_json(read_bytes(path), str(path))
        key = "actions" if isinstance(content, dict) and "actions" in content else "annotations"
        entries = require(content, key, list, str(path))
        halves: dict[int, list[Annotation]] = {1: [], 2: []}
        for number, entry in enumerate(entries):
            event = _read_event(entry, f"{path}: {key}[{number}]", match, dropped, periods, predictions)
            if event is not None:
                halves[event[0]].append(event[1])
        game_metadata = {
            name: value
            for name, value in remaining_fields(content, key).items()
            if not (name == "UrlLocal" and value == match)
        }
        videos += [
            AnnotatedVideo(game=match, half=half, annotations=tuple(annotations), game_metadata=game_metadata)
            for half, annotations in halves.items()
        ]
    return AnnotationSet(videos=tuple(videos), classes=_CLASSES, predictions=predictions)


def _read_event(
    entry: Any, context: str, match: str, dropped: DroppedFields, periods: Periods, predictions: bool
) -> tuple[int, Annotation] | None:
    """Half and event, or None for an event that was not filmed."""
    clock = require_text(entry, "gameTime", context)
    parsed_clock = _CLOCK.fullmatch(clock)
    if parsed_clock is None:
        raise AnnotationError(f"{context}: field 'gameTime' is {clock!r}; it must look like \"2 - 47:11\"")
    clock_ms, label = require_ms(entry, "position", context), require_text(entry, "label", context).upper()
    if label not in _CLASSES:
        raise AnnotationError(f"{context}: field 'label' is {entry['label']!r}; expected one of {', '.join(_CLASSES)}")
    half = int(parsed_clock[1] or 3)  # "2 - 47:11" -> half 2; "91:30" names no half and is of the third period
    if half not in (1, 2):
        dropped.add("event of a period that was not filmed (its time names no half)")
        return None
    period = _period(periods, match, half)
    if not period.start_ms <= clock_ms < period.end_ms:
        dropped.add(f"event outside the filmed part of half {half}")
        return None
    if half == 2 and clock_ms >= 2 * _NOMINAL_MS[2] and match not in periods:
        dropped.add(
            "event of half 2 past 90:00 kept, though some matches have a third period there: pass the periods file"
        )
    extra = remaining_fields(entry, "gameTime", "position", "label", "team", "visibility", "confidence")
    if clock != game_time(clock_ms, half):
        extra["matchTime"] = clock
    return half, Annotation(
        label=label,
        position_ms=clock_ms - period.start_ms,  # 47:11 of the match, video from 45:00 -> 131000
        confidence=require_number(entry, "confidence", context) if predictions or "confidence" in entry else None,
        team=optional_text(entry, "team", context),
        visibility=optional_text(entry, "visibility", context),
        extra=extra,
    )


def soccertrack_files(
    dataset: AnnotationSet, target: Path, dropped: DroppedFields, periods: Periods
) -> dict[Path, bytes]:
    """Contents of ``bas/ID/ID_12_class_events.json``, in the form of the released files.

    Raises:
        ConfigurationError: the target is a file, or two games have the same id.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; SoccerTrack's layout is a folder")
    dropped.add_fields(dataset.metadata, "dataset")
    files: dict[Path, bytes] = {}
    ordered = sorted(dataset.videos, key=lambda video: (video.game, video.half))
    for game, group in groupby(ordered, key=lambda video: video.game):
        videos = list(group)
        match = relative_path(game, "name of a game").split("/")[-1]
        path = target / "bas" / match / f"{match}{_SUFFIX}"
        if path in files:
            raise ConfigurationError(f"two games end with {match!r}, which would name both; convert them one at a time")
        dropped.add("folders above a game", int("/" in game))
        rows = [
            _row(annotation, video.half, match, dropped, periods)
            for video in videos
            for annotation in video.annotations
        ]
        for video in videos:
            dropped.add_annotated(video, "SoccerTrack")
            dropped.add_fields(video.metadata, "video")
            dropped.add("split of a video", int(bool(video.split)))
        content = {
            "UrlLocal": match,
            **remaining_fields(videos[0].game_metadata, "UrlLocal"),
            "actions": [row for row in rows if row],
        }
        files[path] = dump_json(content)
    return files


def _row(
    annotation: Annotation, half: int, match: str, dropped: DroppedFields, periods: Periods
) -> dict[str, Any] | None:
    if annotation.label.upper() not in _CLASSES:
        dropped.add(f"event of class {annotation.label!r} (SoccerTrack has the twelve of ball-12)")
        return None
    period = _period(periods, match, half)
    clock_ms = annotation.position_ms + period.start_ms
    if clock_ms >= period.end_ms:
        dropped.add(
            "event past the end of its half, so that it is left out when it is read (an hour without a periods file)"
        )
    extra = dict(annotation.extra)
    row: dict[str, Any] = {
        "gameTime": extra.pop("matchTime", game_time(clock_ms, half)),
        "position": str(clock_ms),
        "label": annotation.label.upper(),
        "team": annotation.team,
    }
    row |= {"visibility": annotation.visibility} if annotation.visibility else {}
    row |= {"confidence": annotation.confidence} if annotation.confidence is not None else {}
    return {**row, **extra}
