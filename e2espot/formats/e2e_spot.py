"""E2E-Spot's dataset: ``class.txt`` and one JSON file for each split, with events on whole frames."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import DEFAULT_FPS, HALVES, MAX_DURATION_MS, frame_of_position_ms, position_ms_of_frame
from e2espot.core.version import VERSION_FIELD
from e2espot.core.wording import counted
from e2espot.files.json_fields import (
    check_video_metadata,
    dump_json,
    load_json,
    parse_each,
    read_bytes,
    remaining_fields,
    require,
    require_fps,
    require_number,
    require_path,
    require_text,
)
from e2espot.formats.interchange import (
    AnnotatedVideo,
    Annotation,
    AnnotationSet,
    DroppedFields,
    first_duplicate,
    without_videos,
)

CLASS_FILE = "class.txt"
"""Class names, one per line, next to the files of the splits."""
_SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test", "challenge": "challenge"}
"""File name without ``.json`` -> split."""
_WITHOUT_SPLIT = "all"
"""File name without ``.json`` of the videos that are in no split."""
_FILE_SPLITS = {"valid": "val"}
"""Split -> file name without ``.json``, where that is another."""
_COMMENT = re.compile(r"(left|right|home|away|not applicable|); (visible|not shown|)")
"""Team and visibility, such as ``left; visible``; each may be empty."""
_MAX_UNPACKED_BYTES = 1 << 30


def read_e2e_spot(source: Path, *, predictions: bool) -> AnnotationSet:
    """Read a folder of ``class.txt`` and ``train.json``, ``val.json`` and so on, or one such file, gzipped or not.

    Videos without a split are in ``all.json``.

    Raises:
        AnnotationError: a broken file; the message names file, entry and field.
        ConfigurationError: no such file.
    """
    folder = source if source.is_dir() else source.parent
    paths = [source] if source.is_file() else [folder / f"{split}.json" for split in (*_SPLITS, _WITHOUT_SPLIT)]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise ConfigurationError(f"{source}: no {', '.join(f'{split}.json' for split in _SPLITS)} there")
    videos: list[AnnotatedVideo] = []
    stated: list[str] = []
    for path in paths:
        content = load_json(_unpack(path), str(path))
        if not isinstance(content, list):
            raise AnnotationError(f"{path}: it must be a list of videos")
        split = _SPLITS.get(path.name.split(".")[0], "")
        stated.append(split)
        videos += [
            replace(video, split=split)
            for video in parse_each(
                content, "videos", str(path), lambda entry, context: _read_video(entry, context, predictions)
            )
        ]
    if (duplicate := first_duplicate(videos)) is not None:
        game, half = duplicate
        raise AnnotationError(f"{source}: video {game}/{half} is listed twice")
    return AnnotationSet(
        videos=tuple(videos),
        classes=_read_classes(folder),
        predictions=predictions,
        empty_splits=() if source.is_file() else without_videos(stated, videos),
    )


def _unpack(path: Path) -> bytes:
    data = read_bytes(path)
    if path.suffix != ".gz":
        return data
    decompressor = zlib.decompressobj(wbits=31)  # 31 expects gzip's header
    try:
        content = decompressor.decompress(data, _MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise AnnotationError(f"{path}: not gzip ({error})") from None
    if not decompressor.eof:
        raise AnnotationError(f"{path}: truncated gzip, or it unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
    return content


def _read_classes(folder: Path) -> tuple[str, ...]:
    path = folder / CLASS_FILE
    if not path.is_file():
        return ()
    try:
        names = [line.strip() for line in read_bytes(path).decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 text ({error})") from None
    if len(set(names)) < len(names):
        raise AnnotationError(f"{path}: a class is listed twice")
    return tuple(names)


def _read_video(entry: Any, context: str, predictions: bool) -> AnnotatedVideo:
    name = require_path(entry, "video", context)
    # "league/season/game/2" -> half 2 of "league/season/game"; another name is a game in one video
    head, _, tail = name.rpartition("/")
    game, half = (head, int(tail)) if head and tail in map(str, HALVES) else (name, 1)
    name_without_half = {"video": name} if game == name else {}
    if "num_frames" in entry and "events" not in entry:
        raise AnnotationError(
            f"{context}: no events; lists of videos such as T-DEED's of SoccerNet hold none, as their labels are the "
            "files Labels-ball.json or Labels-v2.json of the games: name the folder of these"
        )
    fps = require_fps(entry, context)
    events = require(entry, "events", list, context)
    if "num_events" in entry and entry["num_events"] != len(events):
        raise AnnotationError(
            f"{context}: field 'num_events' is {entry['num_events']!r}; the list has {counted(len(events), 'event')}"
        )
    return AnnotatedVideo(
        game=game,
        half=half,
        annotations=parse_each(
            events, "events", context, lambda event, context: _read_event(event, context, fps, predictions)
        ),
        metadata=check_video_metadata(
            {**name_without_half, **remaining_fields(entry, "video", "events", "num_events")}, context
        ),
    )


def _read_event(event: Any, context: str, fps: Fraction, predictions: bool) -> Annotation:
    frame, last_frame = require(event, "frame", int, context), frame_of_position_ms(MAX_DURATION_MS, fps)
    if not 0 <= frame <= last_frame:
        raise AnnotationError(f"{context}: field 'frame' is {frame}; expected 0 to {last_frame}")
    extra = remaining_fields(event, "frame", "label", "comment", "score")
    team = visibility = ""
    comment = require(event, "comment", str, context, "")
    if match := _COMMENT.fullmatch(comment):
        team, visibility = match[1], match[2]
    elif comment:
        extra["comment"] = comment
    return Annotation(
        label=require_text(event, "label", context),
        position_ms=position_ms_of_frame(frame, fps),  # frame 29 at 25 fps -> 1180, the middle of the frame
        confidence=require_number(event, "score", context) if predictions or "score" in event else None,
        team=team,
        visibility=visibility,
        extra=extra,
    )


def e2e_spot_files(
    dataset: AnnotationSet,
    target: Path,
    dropped: DroppedFields,
    probe: Callable[[AnnotatedVideo], Mapping[str, Any]] = lambda video: {},
) -> dict[Path, bytes]:
    """Contents of ``class.txt`` and of one file for each split; times become frames.

    Args:
        dataset: The annotations to write.
        target: The folder of the files.
        dropped: Counts what the format cannot hold.
        probe: Returns ``num_frames``, ``width`` and ``height`` of a video, as far as they are known.

    Raises:
        ConfigurationError: the target is a file.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; E2E-Spot's dataset is a folder")
    dropped.add_fields(dataset.metadata, "dataset")
    names = dataset.class_names() if dataset.classes else tuple(sorted(dataset.class_names()))
    splits: dict[str, list[dict[str, Any]]] = {_FILE_SPLITS.get(name, name): [] for name in dataset.empty_splits}
    for video in sorted(dataset.videos, key=lambda video: (video.game, video.half)):
        split = _FILE_SPLITS.get(video.split, video.split) or _WITHOUT_SPLIT
        splits.setdefault(split, []).append(_video_entry(video, {**probe(video), **video.metadata}, dropped))
    files = {target / f"{split}.json": dump_json(videos) for split, videos in splits.items()}
    return {target / CLASS_FILE: "\n".join(names).encode(), **files}


def _video_entry(video: AnnotatedVideo, video_metadata: Mapping[str, Any], dropped: DroppedFields) -> dict[str, Any]:
    fps = Fraction(str(video_metadata.get("fps", DEFAULT_FPS)))
    events = sorted(
        (_event_entry(annotation, fps, dropped) for annotation in video.annotations), key=lambda event: event["frame"]
    )
    last = max((event["frame"] for event in events), default=-1)
    if "num_frames" not in video_metadata:
        dropped.add("num_frames unknown without the video: written as if it ended with the last event")
    elif last >= video_metadata["num_frames"]:
        dropped.add("video with events past its last frame (E2E-Spot warns of them)")
    dropped.add_annotated(video, "E2E-Spot")
    dropped.add_fields(remaining_fields(video.game_metadata, "UrlLocal", VERSION_FIELD), "game")
    dropped.add_fields(remaining_fields(video_metadata, "fps", "num_frames", "width", "height", "id", "video"), "video")
    # A video that had no half in its name is known by that name to the programs that the file came from.
    has_no_half = video.half == 1 and video_metadata.get("video") == video.game
    return {
        "video": video.game if has_no_half else f"{video.game}/{video.half}",
        "num_frames": video_metadata.get("num_frames", last + 1),
        "num_events": len(events),
        "events": events,
        "fps": float(fps) if fps.denominator > 1 else int(fps),
        # Without the video: the size of SoccerNet's 224p files.
        "width": video_metadata.get("width", 398),
        "height": video_metadata.get("height", 224),
    }


def _event_entry(annotation: Annotation, fps: Fraction, dropped: DroppedFields) -> dict[str, Any]:
    # 1160 ms -> frame 29, which reads as 1180 ms: the time has changed, so it is counted
    frame = frame_of_position_ms(annotation.position_ms, fps)
    if position_ms_of_frame(frame, fps) != annotation.position_ms:
        dropped.add("time rounded to its frame")
    extra = dict(annotation.extra)
    comment = extra.pop("comment", f"{annotation.team}; {annotation.visibility}")
    dropped.add_fields(extra, "event")
    score = {} if annotation.confidence is None else {"score": annotation.confidence}
    return {"frame": frame, "label": annotation.label, "comment": comment, **score}
