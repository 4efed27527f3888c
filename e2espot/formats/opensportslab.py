"""OpenSportsLab's JSON 2.0: one file, a sample a video; and SN-GAR's action spotting, a dialect of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import game_time, parse_game_time
from e2espot.files.json_fields import (
    checked_facts,
    checked_path,
    dump_json,
    each,
    load_json,
    read_bytes,
    rest,
    take,
    take_fps,
    take_ms,
    take_number,
    take_text,
    take_word,
)
from e2espot.formats.interchange import Collection, Losses, Moment, Recording

HEAD = "action"
SN_GAR_CLASSES = (
    *("PASS", "HEADER", "HIGH PASS", "OUT", "CROSS", "THROW IN", "SHOT"),
    *("PLAYER SUCCESSFUL TACKLE", "FREE KICK", "GOAL"),
)
"""The ten classes of SN-GAR's action spotting, in its order."""
_VIDEO_TYPES = ("video", "video_mp4")
_SPLITS = {"val": "valid", "validation": "valid"}
_DEFAULTS: dict[str, Any] = {"task": "action_spotting", "modalities": ["video"], "metadata": {}}
_ABOUT_GAME = "soccernet"
"""Key of a sample's metadata under which the fields of SoccerNet's file travel."""


def read_opensportslab(source: Path, *, predictions: bool) -> Collection:
    """Read a file, or the files of a folder, one a split.

    The older results of one video (``{"predictions": [...], "fps": ...}``) are read too.

    Raises:
        AnnotationError: names the file, the entry and the field.
        ConfigurationError: no such files.
    """
    paths = [source] if source.is_file() else sorted(source.glob("*.json"))
    if not paths:
        raise ConfigurationError(f"{source}: no JSON file there")
    recordings: list[Recording] = []
    classes: list[str] = []
    about: dict[str, Any] = {}
    for path in paths:
        content = load_json(read_bytes(path), str(path))
        if isinstance(content, dict) and "data" not in content and "predictions" in content:
            recordings.append(_read_results(content, path))
            continue
        metadata = take(content, "metadata", dict, str(path), {})
        split = _split_named(str(metadata.get("split") or path.stem.split("_")[-1]))
        recordings += each(
            take(content, "data", list, str(path)),
            "data",
            str(path),
            lambda sample, where, split=split: _read_sample(sample, where, split, predictions),  # type: ignore[misc]
        )
        classes += [name for name in _classes_of(content, str(path)) if name not in classes]
        about = about or _about(content)
    _refuse_twins(recordings, source)
    return Collection(recordings=tuple(recordings), classes=tuple(classes), about=about, predictions=predictions)


def _split_named(text: str) -> str:
    name = _SPLITS.get(text, text)
    return name if name in ("train", "valid", "test", "challenge") else ""


def _classes_of(content: Any, where: str) -> list[str]:
    """Classes of the one head whose events are points in time."""
    heads = take(content, "labels", dict, where, {})
    used = {str(event.get("head", HEAD)) for event in _all_events(content)} or set(heads)
    names: list[str] = []
    for head in heads:
        if head in used:
            listed = take(take(heads, head, dict, f"{where}: labels"), "labels", list, f"{where}: labels.{head}")
            names += each(listed, "labels", f"{where}: labels.{head}", _class_name)
    return names


def _about(content: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the whole, classes of heads without events in time included."""
    used = {str(event.get("head", HEAD)) for event in _all_events(content)}
    others = {head: listed for head, listed in (content.get("labels") or {}).items() if used and head not in used}
    about = {**rest(content, "data", "labels", "version"), **({"labels": others} if others else {})}
    about["metadata"] = {
        name: value
        for name, value in (content.get("metadata") or {}).items()
        if not (name == "split" and _split_named(str(value))) and (name, value) != ("type", "predictions")
    }
    return {name: value for name, value in about.items() if value != _DEFAULTS.get(name)}


def _class_name(value: Any, where: str) -> str:
    return take_text({"name": value}, "name", where)


def _all_events(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    samples = [sample for sample in content["data"] if isinstance(sample, dict)]
    return [event for sample in samples for event in sample.get("events") or [] if isinstance(event, dict)]


def _read_sample(sample: Any, where: str, split: str, predictions: bool) -> Recording:
    metadata = take(sample, "metadata", dict, where, {})
    inputs = take(sample, "inputs", list, where, [])
    video = next((entry for entry in inputs if isinstance(entry, dict) and entry.get("type") in _VIDEO_TYPES), None)
    path = take_text(video, "path", f"{where}: inputs") if video is not None else ""
    name = sample.get("id", sample.get("game_id", PurePosixPath(path).with_suffix("").as_posix() if path else ""))
    if not isinstance(name, str) or not name:
        raise AnnotationError(f"{where}: field 'id' is {name!r}; expected text, or an input with a path")
    game, half = _game_and_half(name, metadata, where)
    from_soccernet = isinstance(metadata.get(_ABOUT_GAME), dict)
    events = each(
        take(sample, "events", list, where, []),
        "events",
        where,
        lambda event, place: _read_event(event, place, half, from_soccernet, predictions),
    )
    facts: dict[str, Any] = rest(sample, "id", "events", "metadata", "split", "inputs")
    if "id" in sample and name != f"{game}/{half}":
        facts["id"] = name
    if video is not None and "fps" in video:
        take_fps(video, f"{where}: inputs")
        facts["fps"] = video["fps"]
    if inputs != [_input(path, facts)]:
        facts["inputs"] = inputs
    facts |= rest(metadata, "game", "half", _ABOUT_GAME)
    return Recording(
        game=game,
        half=half,
        split=_split_named(str(sample.get("split", split))),
        moments=events,
        video=path,
        facts=checked_facts(facts, f"{where}: metadata"),
        about=metadata[_ABOUT_GAME] if from_soccernet else {},
    )


def _game_and_half(name: str, metadata: Mapping[str, Any], where: str) -> tuple[str, int]:
    """A sample is a half of a game when it says so, or by its name."""
    if isinstance(metadata.get("game"), str) and metadata.get("half") in (1, 2):
        return checked_path(metadata["game"], f"{where}: field 'game'"), int(metadata["half"])
    head, _, tail = name.rpartition("/")
    if head and tail in ("1", "2"):
        return checked_path(head, f"{where}: field 'id'"), int(tail)
    return checked_path(name, f"{where}: field 'id'"), 1


def _read_event(event: Any, where: str, half: int, from_soccernet: bool, predictions: bool) -> Moment:
    if isinstance(event, dict) and "position_ms" in event:
        position_ms = take_ms(event, "position_ms", where)
    elif isinstance(event, dict) and "position" in event:
        position_ms = take_ms(event, "position", where)
    else:
        position_ms = _clock_ms(event, where)
    confidence = None
    score = next((name for name in ("confidence", "confidence_score") if isinstance(event, dict) and name in event), "")
    if score:
        confidence = take_number(event, score, where)
    elif predictions:
        raise AnnotationError(f"{where}: field 'confidence' is missing; every prediction has one")
    more = rest(
        event,
        *("label", "position_ms", "position", "gameTime", "team", "visibility", "confidence", "confidence_score"),
    )
    if more.get("head") == HEAD:
        del more["head"]
    clock = event.get("gameTime", game_time(position_ms, half))
    if clock != game_time(position_ms, half):
        more["gameTime" if from_soccernet else "matchTime"] = clock
    return Moment(
        label=take_text(event, "label", where),
        position_ms=position_ms,
        confidence=confidence,
        team=take_word(event, "team", where),
        visibility=take_word(event, "visibility", where),
        more=more,
    )


def _clock_ms(event: Any, where: str) -> int:
    """Without a position, the clock has to do; older results write it without a half."""
    clock = take_text(event, "gameTime", where)
    try:
        _, seconds = parse_game_time(clock if " - " in clock else f"1 - {clock}")
    except AnnotationError:
        raise AnnotationError(f"{where}: no 'position_ms', and field 'gameTime' is {clock!r}") from None
    return 1000 * seconds


def _read_results(content: Mapping[str, Any], path: Path) -> Recording:
    """Results of one video as OpenSportsLab's first library wrote them."""
    name = str(content.get("Url") or content.get("UrlLocal") or path.stem)
    game, half = _game_and_half(PurePosixPath(name).with_suffix("").as_posix(), {}, str(path))
    rows = take(content, "predictions", list, str(path))
    moments = each(rows, "predictions", str(path), lambda row, where: _read_event(row, where, half, False, True))
    facts = checked_facts(rest(content, "predictions", "Url", "UrlLocal"), str(path))
    return Recording(game=game, half=half, moments=moments, facts=facts)


def _refuse_twins(recordings: list[Recording], source: Path) -> None:
    seen: set[tuple[str, int]] = set()
    for recording in recordings:
        if (recording.game, recording.half) in seen:
            raise AnnotationError(f"{source}: two samples are half {recording.half} of {recording.game!r}")
        seen.add((recording.game, recording.half))


def opensportslab_files(collection: Collection, target: Path, losses: Losses) -> dict[Path, bytes]:
    """One file, or in a folder one a split; nothing is lost."""
    return _files(_with_paths(collection, losses), target, _document)


def _with_paths(collection: Collection, losses: Losses) -> Collection:
    """A sample needs a video's path: where none is known, the one SoccerNet's layout has."""
    halved = {recording.game for recording in collection.recordings if recording.half == 2}
    recordings = []
    for recording in collection.recordings:
        if not recording.video and "inputs" not in recording.facts:
            losses.add("path of a video not known: written as SoccerNet's layout has it")
            name = f"{recording.half}_224p.mkv" if recording.game in halved else "224p.mp4"
            recording = replace(recording, video=f"{recording.game}/{name}")
        recordings.append(recording)
    return replace(collection, recordings=tuple(recordings))


def sn_gar_files(collection: Collection, target: Path, losses: Losses) -> dict[Path, bytes]:
    """SN-GAR's dialect: its ten classes, games by id, the match clock as time of the game."""
    recordings = []
    for recording in collection.recordings:
        for moment in recording.moments:
            if moment.label not in SN_GAR_CLASSES:
                losses.add(f"event of class {moment.label!r} (SN-GAR has ten others)")
        if recording.half == 2:
            losses.add(
                "second half of a game in two videos (SN-GAR has one video a game): written as a game of its own"
            )
        losses.add_fields(rest(recording.about, "UrlLocal"), "game")
        losses.add_fields(rest(recording.facts, "fps", "inputs", "game_id", "id"), "video")
        kept = tuple(moment for moment in recording.moments if moment.label in SN_GAR_CLASSES)
        recordings.append(replace(recording, moments=kept))
    kept_all = replace(collection, recordings=tuple(recordings), classes=SN_GAR_CLASSES)
    return _files(kept_all, target, _sn_gar_document)


def _files(collection: Collection, target: Path, document: Callable[[Collection], dict[str, Any]]) -> dict[Path, bytes]:
    parts = {target: collection.recordings}
    if target.suffix != ".json":
        parts = {}
        for split in dict.fromkeys(recording.split for recording in collection.recordings):
            path = target / (f"annotations_{split}.json" if split else "annotations.json")
            parts[path] = tuple(recording for recording in collection.recordings if recording.split == split)
    classes = collection.class_names()
    return {
        path: dump_json(document(replace(collection, recordings=recordings, classes=classes)))
        for path, recordings in parts.items()
    }


def _document(collection: Collection) -> dict[str, Any]:
    splits = {recording.split for recording in collection.recordings}
    metadata = dict(collection.about.get("metadata") or {})
    if len(splits) == 1 and splits != {""}:
        metadata["split"] = next(iter(splits))
    if collection.predictions:
        metadata["type"] = "predictions"
    return {
        "version": "2.0",
        **_DEFAULTS,
        **collection.about,
        "metadata": metadata,
        "labels": {
            HEAD: {"type": "single_label", "labels": list(collection.classes)},
            **(collection.about.get("labels") or {}),
        },
        "data": [_sample(recording) for recording in collection.recordings],
    }


def _sample(recording: Recording) -> dict[str, Any]:
    facts = dict(recording.facts)
    inputs = facts.pop("inputs", [_input(recording.video, facts)])
    facts.pop("fps", None)
    name = facts.pop("id", f"{recording.game}/{recording.half}")
    metadata: dict[str, Any] = {"game": recording.game, "half": recording.half, **facts}
    if recording.about:
        metadata[_ABOUT_GAME] = dict(recording.about)
    return {
        "id": name,
        **({"split": recording.split} if recording.split else {}),
        "inputs": inputs,
        "events": [_event(moment, recording.half) for moment in recording.moments],
        "metadata": metadata,
    }


def _input(video: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "video", "path": video, **({"fps": facts["fps"]} if "fps" in facts else {})}


def _event(moment: Moment, half: int) -> dict[str, Any]:
    more = dict(moment.more)
    event: dict[str, Any] = {
        "head": more.pop("head", HEAD),
        "label": moment.label,
        "position_ms": moment.position_ms,
        "gameTime": more.pop("matchTime", None) or more.pop("gameTime", None) or game_time(moment.position_ms, half),
    }
    event |= {name: value for name, value in (("team", moment.team), ("visibility", moment.visibility)) if value}
    if moment.confidence is not None:
        # One name for OpenSportsLab's library, one for its annotation tool.
        event |= {"confidence": moment.confidence, "confidence_score": moment.confidence}
    return {**event, **more}


def _sn_gar_document(collection: Collection) -> dict[str, Any]:
    samples = []
    for recording in collection.recordings:
        name = recording.game if recording.half == 1 else f"{recording.game}/{recording.half}"
        game_id = str(recording.facts.get("game_id", name))
        path = recording.video or f"{recording.split or 'videos'}/{game_id}.mp4"
        fps = {"fps": recording.facts["fps"]} if "fps" in recording.facts else {}
        samples.append(
            {
                "game_id": game_id,
                "split": recording.split,
                "inputs": recording.facts.get("inputs") or [{"type": "video_mp4", "path": path, **fps}],
                "events": [_event(moment, recording.half) for moment in recording.moments],
            }
        )
    return {**_document(collection), "data": samples}
