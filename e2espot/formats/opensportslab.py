"""Reads OpenSportsLab's JSON 2.0, one sample for each video, and its dialect for SN-GAR's action spotting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES
from e2espot.files.json_fields import (
    check_video_metadata,
    load_json,
    parse_each,
    read_bytes,
    relative_path,
    remaining_fields,
    require,
    require_fps,
    require_text,
)
from e2espot.formats.filenames import files_ending_in
from e2espot.formats.interchange import (
    AnnotatedVideo,
    AnnotationSet,
    first_duplicate,
    without_videos,
)
from e2espot.formats.opensportslab_documents import DEFAULTS, GAME_METADATA, input_entry
from e2espot.formats.opensportslab_events import HEAD, read_event
from e2espot.formats.opensportslab_stretches import annotated_fields, annotated_of_sample
from e2espot.formats.opensportslab_v1 import is_version_1, path_of_version_1, read_version_1
from e2espot.formats.video_paths import GamesOfPaths, games_of_paths

_VIDEO_TYPES = ("video", "video_mp4")
_SPLITS = {"val": "valid", "validation": "valid"}


def read_opensportslab(source: Path, *, predictions: bool) -> AnnotationSet:
    """Read one file, or a folder with one file for each split, of version 2 or 1.

    Also reads the older results of a single video, ``{"predictions": [...], "fps": ...}``. Paths and ids may be
    absolute, or have backslashes.

    Raises:
        AnnotationError: a broken file; the message names file, entry and field.
        ConfigurationError: no such file.
    """
    paths = [source] if source.is_file() else files_ending_in(source, ".json")
    paths = [path for path in paths if path.parent == source] or paths
    if not paths:
        raise ConfigurationError(f"{source}: no JSON file there")
    contents = [(path, load_json(read_bytes(path), str(path))) for path in paths]
    games = games_of_paths(name for _, content in contents for name in _names_in(content))
    parts = [_read_content(content, path, games, predictions) for path, content in contents]
    videos = [video for part in parts for video in part.videos]
    if (duplicate := first_duplicate(videos)) is not None:
        game, half = duplicate
        raise AnnotationError(f"{source}: two samples are half {half} of {game!r}")
    stated = [split for part in parts for split in part.empty_splits]
    return AnnotationSet(
        videos=tuple(videos),
        classes=tuple(dict.fromkeys(name for part in parts for name in part.classes)),
        metadata=next((part.metadata for part in parts if part.metadata), {}),
        predictions=predictions,
        empty_splits=() if source.is_file() else without_videos(stated, videos),
    )


def _read_content(content: Any, path: Path, games: GamesOfPaths, predictions: bool) -> AnnotationSet:
    """The samples of one file; its split is empty if none of them is in it."""
    if isinstance(content, dict) and "data" not in content and "predictions" in content:
        return AnnotationSet(videos=(_read_results(content, path, games),))
    if is_version_1(content):
        first = read_version_1(content, path, games, predictions=predictions)
        split = _split_named(path.stem.split("_")[-1])
        return replace(first, videos=tuple(replace(video, split=split) for video in first.videos))
    metadata = require(content, "metadata", dict, str(path), {})
    split = _split_named(str(metadata.get("split") or path.stem.split("_")[-1]))
    videos = parse_each(
        require(content, "data", list, str(path)),
        "data",
        str(path),
        partial(_read_sample, games=games, split=split, predictions=predictions),
    )
    return AnnotationSet(
        videos=videos,
        classes=tuple(_classes_of(content, str(path))),
        metadata=_dataset_metadata(content),
        empty_splits=without_videos([split], videos),
    )


def _names_in(content: Any) -> list[str]:
    """Every path and id from which the name of a game could be taken."""
    entries = content.get("data", content.get("videos")) if isinstance(content, dict) else None
    samples = [sample for sample in entries if isinstance(sample, dict)] if isinstance(entries, list) else []
    names = [sample.get(key) for sample in samples for key in ("id", "game_id")]
    names += [path_of_version_1(sample) for sample in samples]
    for sample in samples:
        inputs = sample.get("inputs")
        names += [entry.get("path") for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
    if isinstance(content, dict):
        names += [content.get("Url"), content.get("UrlLocal")]
    return [name for name in names if isinstance(name, str)]


def _split_named(text: str) -> str:
    """The split that a text names; empty if it names none."""
    # "validation" -> "valid", "train" -> "train", "annotations" -> ""
    name = _SPLITS.get(text, text)
    return name if name in ("train", "valid", "test", "challenge") else ""


def _classes_of(content: Any, context: str) -> list[str]:
    """Classes of the heads that the events use; of every head if there are no events."""
    heads = require(content, "labels", dict, context, {})
    used = {str(event.get("head", HEAD)) for event in _all_events(content)} or set(heads)
    names: list[str] = []
    for head in heads:
        if head in used:
            listed = require(
                require(heads, head, dict, f"{context}: labels"), "labels", list, f"{context}: labels.{head}"
            )
            names += parse_each(listed, "labels", f"{context}: labels.{head}", _class_name)
    return names


def _dataset_metadata(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the dataset, and the classes of heads that no event uses."""
    used = {str(event.get("head", HEAD)) for event in _all_events(content)}
    others = {head: listed for head, listed in (content.get("labels") or {}).items() if used and head not in used}
    fields = {**remaining_fields(content, "data", "labels", "version"), **({"labels": others} if others else {})}
    # Split and type are written again from the annotations, so they are not kept as fields.
    fields["metadata"] = {
        name: value
        for name, value in (content.get("metadata") or {}).items()
        if not (name == "split" and _split_named(str(value))) and (name, value) != ("type", "predictions")
    }
    return {name: value for name, value in fields.items() if value != DEFAULTS.get(name)}


def _class_name(value: Any, context: str) -> str:
    return require_text({"name": value}, "name", context)


def _all_events(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    samples = [sample for sample in content["data"] if isinstance(sample, dict)]
    return [event for sample in samples for event in sample.get("events") or [] if isinstance(event, dict)]


def _read_sample(sample: Any, context: str, games: GamesOfPaths, split: str, predictions: bool) -> AnnotatedVideo:
    metadata = require(sample, "metadata", dict, context, {})
    inputs = require(sample, "inputs", list, context, [])
    video = next((entry for entry in inputs if isinstance(entry, dict) and entry.get("type") in _VIDEO_TYPES), None)
    path = require_text(video, "path", f"{context}: inputs") if video is not None else ""
    name = sample.get("id", sample.get("game_id", path))
    if not isinstance(name, str) or not name:
        raise AnnotationError(f"{context}: field 'id' is {name!r}; expected text, or an input with a path")
    game, half = _game_and_half(name, metadata, context, games)
    from_soccernet = isinstance(metadata.get(GAME_METADATA), dict)
    events = parse_each(
        require(sample, "events", list, context, []),
        "events",
        context,
        lambda event, context: read_event(event, context, half, from_soccernet=from_soccernet, predictions=predictions),
    )
    video_metadata: dict[str, Any] = remaining_fields(sample, "id", "events", "metadata", "split", "inputs")
    if "id" in sample and name != f"{game}/{half}":
        video_metadata["id"] = name
    if video is not None and "fps" in video:
        require_fps(video, f"{context}: inputs")
        video_metadata["fps"] = video["fps"]
    if inputs != [input_entry(path, video_metadata)]:
        video_metadata["inputs"] = inputs
    video_metadata |= remaining_fields(metadata, "game", "half", GAME_METADATA)
    annotated = annotated_of_sample(sample, metadata, context)
    # Fields that say no more than ``annotated`` are written again from it; excluded, for one, says more.
    for name, value in annotated_fields(annotated).items():
        if video_metadata.get(name) == value:
            del video_metadata[name]
    return AnnotatedVideo(
        game=game,
        half=half,
        split=_split_named(str(sample.get("split", split))),
        annotations=events,
        annotated=annotated,
        video=path,
        metadata=check_video_metadata(video_metadata, f"{context}: metadata"),
        game_metadata=metadata[GAME_METADATA] if from_soccernet else {},
    )


def _game_and_half(name: str, metadata: Mapping[str, Any], context: str, games: GamesOfPaths) -> tuple[str, int]:
    """Game and half of a sample: from its metadata, else a name that ends in ``/1`` to ``/5``, or a path."""
    if isinstance(metadata.get("game"), str) and metadata.get("half") in HALVES:
        return relative_path(metadata["game"], f"{context}: field 'game'"), int(metadata["half"])
    game, half = games.get(name, (name, 1))
    head, _, tail = game.rpartition("/")
    if head and tail in map(str, HALVES):
        game, half = head, int(tail)
    return relative_path(game, f"{context}: field 'id'"), half


def _read_results(content: Mapping[str, Any], path: Path, games: GamesOfPaths) -> AnnotatedVideo:
    """Results of one video, in the form of OpenSportsLab's first library."""
    name = str(content.get("Url") or content.get("UrlLocal") or path.stem)
    game, half = _game_and_half(name, {}, str(path), games)
    rows = require(content, "predictions", list, str(path))
    annotations = parse_each(
        rows,
        "predictions",
        str(path),
        lambda row, context: read_event(row, context, half, from_soccernet=False, predictions=True),
    )
    video_metadata = check_video_metadata(remaining_fields(content, "predictions", "Url", "UrlLocal"), str(path))
    return AnnotatedVideo(game=game, half=half, annotations=annotations, metadata=video_metadata)
