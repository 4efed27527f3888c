"""E2E-Spot's files: ``class.txt`` and a JSON file a split, events on whole frames."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, position_ms_of_frame
from e2espot.files.json_fields import (
    LATEST_MS,
    checked_facts,
    dump_json,
    each,
    load_json,
    read_bytes,
    rest,
    take,
    take_fps,
    take_number,
    take_path,
    take_text,
)
from e2espot.formats.interchange import Collection, Losses, Moment, Recording

CLASS_FILE = "class.txt"
_SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test", "challenge": "challenge"}
_COMMENT = re.compile(r"(left|right|home|away|not applicable|); (visible|not shown|)")
_LONGEST = 1 << 30


def read_e2e_spot(source: Path, *, predictions: bool) -> Collection:
    """Read a folder of ``class.txt`` and ``train.json``, ``val.json`` and so on, or one such file, gzipped or not.

    Raises:
        AnnotationError: names the file, the entry and the field.
        ConfigurationError: no such files.
    """
    folder = source if source.is_dir() else source.parent
    paths = [source] if source.is_file() else [folder / f"{split}.json" for split in _SPLITS]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise ConfigurationError(f"{source}: no {', '.join(f'{split}.json' for split in _SPLITS)} there")
    recordings: list[Recording] = []
    for path in paths:
        content = load_json(_unpacked(path), str(path))
        if not isinstance(content, list):
            raise AnnotationError(f"{path}: it must be a list of videos")
        split = _SPLITS.get(path.name.split(".")[0], "")
        recordings += [
            replace(recording, split=split)
            for recording in each(
                content, "videos", str(path), lambda entry, where: _read_video(entry, where, predictions)
            )
        ]
    seen: set[tuple[str, int]] = set()
    for recording in recordings:
        if (recording.game, recording.half) in seen:
            raise AnnotationError(f"{source}: video {recording.game}/{recording.half} is listed twice")
        seen.add((recording.game, recording.half))
    return Collection(recordings=tuple(recordings), classes=_read_classes(folder), predictions=predictions)


def _unpacked(path: Path) -> bytes:
    data = read_bytes(path)
    if path.suffix != ".gz":
        return data
    unpacking = zlib.decompressobj(wbits=31)
    try:
        out = unpacking.decompress(data, _LONGEST)
    except zlib.error as error:
        raise AnnotationError(f"{path}: not gzip ({error})") from None
    if not unpacking.eof:
        raise AnnotationError(f"{path}: gzip that breaks off, or unpacks to more than {_LONGEST} bytes")
    return out


def _read_classes(folder: Path) -> tuple[str, ...]:
    path = folder / CLASS_FILE
    if not path.is_file():
        return ()
    try:
        names = [line.strip() for line in read_bytes(path).decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 text ({error})") from None
    if len(set(names)) < len(names):
        raise AnnotationError(f"{path}: a class is listed twice")
    return tuple(names)


def _read_video(entry: Any, where: str, predictions: bool) -> Recording:
    name = take_path(entry, "video", where)
    head, _, tail = name.rpartition("/")
    game, half = (head, int(tail)) if head and tail in ("1", "2") else (name, 1)
    fps = take_fps(entry, where)
    events = take(entry, "events", list, where)
    if "num_events" in entry and entry["num_events"] != len(events):
        raise AnnotationError(f"{where}: field 'num_events' is {entry['num_events']!r}; there are {len(events)} events")
    return Recording(
        game=game,
        half=half,
        moments=each(events, "events", where, lambda event, place: _read_event(event, place, fps, predictions)),
        facts=checked_facts(rest(entry, "video", "events", "num_events"), where),
    )


def _read_event(event: Any, where: str, fps: Fraction, predictions: bool) -> Moment:
    frame = take(event, "frame", int, where)
    if not 0 <= frame <= frame_of_position_ms(LATEST_MS, fps):
        raise AnnotationError(
            f"{where}: field 'frame' is {frame}; expected 0 to {frame_of_position_ms(LATEST_MS, fps)}"
        )
    more = rest(event, "frame", "label", "comment", "score")
    team = visibility = ""
    comment = take(event, "comment", str, where, "")
    if said := _COMMENT.fullmatch(comment):
        team, visibility = said[1], said[2]
    elif comment:
        more["comment"] = comment
    return Moment(
        label=take_text(event, "label", where),
        position_ms=position_ms_of_frame(frame, fps),
        confidence=take_number(event, "score", where) if predictions or "score" in event else None,
        team=team,
        visibility=visibility,
        more=more,
    )


def e2e_spot_files(
    collection: Collection,
    target: Path,
    losses: Losses,
    probe: Callable[[Recording], Mapping[str, Any]] = lambda recording: {},
) -> dict[Path, bytes]:
    """``class.txt`` and a file a split; times become frames.

    Args:
        collection: What to write.
        target: The folder they go to.
        losses: Told what has no place in the format.
        probe: Says ``num_frames``, ``fps``, ``width`` and ``height`` of a video, as far as it can.

    Raises:
        ConfigurationError: the target is a file.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; E2E-Spot's data set is a folder")
    losses.add_fields(collection.about, "dataset")
    names = collection.class_names() if collection.classes else tuple(sorted(collection.class_names()))
    splits: dict[str, list[dict[str, Any]]] = {}
    for recording in sorted(collection.recordings, key=lambda recording: (recording.game, recording.half)):
        split = "val" if recording.split == "valid" else recording.split or "all"
        splits.setdefault(split, []).append(_video(recording, {**probe(recording), **recording.facts}, losses))
    files = {target / f"{split}.json": dump_json(videos) for split, videos in splits.items()}
    return {target / CLASS_FILE: "\n".join(names).encode(), **files}


def _video(recording: Recording, facts: Mapping[str, Any], losses: Losses) -> dict[str, Any]:
    fps = Fraction(str(facts.get("fps", DEFAULT_FPS)))
    events = sorted((_event(moment, fps, losses) for moment in recording.moments), key=lambda event: event["frame"])
    last = max((event["frame"] for event in events), default=-1)
    if "num_frames" not in facts:
        losses.add("num_frames not known, as there is no video: written as if the last event were the end")
    elif last >= facts["num_frames"]:
        losses.add("video with events past its last frame (E2E-Spot warns of them)")
    losses.add_fields(rest(recording.about, "UrlLocal"), "game")
    losses.add_fields(rest(facts, "fps", "num_frames", "width", "height", "id"), "video")
    return {
        "video": f"{recording.game}/{recording.half}",
        "num_frames": facts.get("num_frames", last + 1),
        "num_events": len(events),
        "events": events,
        "fps": float(fps) if fps.denominator > 1 else int(fps),
        "width": facts.get("width", 398),
        "height": facts.get("height", 224),
    }


def _event(moment: Moment, fps: Fraction, losses: Losses) -> dict[str, Any]:
    frame = frame_of_position_ms(moment.position_ms, fps)
    if position_ms_of_frame(frame, fps) != moment.position_ms:
        losses.add("time rounded to the frame it lies in")
    more = dict(moment.more)
    comment = more.pop("comment", f"{moment.team}; {moment.visibility}")
    losses.add_fields(more, "event")
    score = {} if moment.confidence is None else {"score": moment.confidence}
    return {"frame": frame, "label": moment.label, "comment": comment, **score}
