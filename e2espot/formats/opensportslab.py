"""OpenSportsLab's JSON 2.0, one sample for each video, and its dialect for SN-GAR's action spotting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES, game_time
from e2espot.core.version import VERSION_FIELD
from e2espot.files.json_fields import (
    check_video_metadata,
    dump_json,
    load_json,
    optional_text,
    parse_each,
    read_bytes,
    relative_path,
    remaining_fields,
    require,
    require_fps,
    require_ms,
    require_text,
)
from e2espot.formats.annotated_field import CLASSES_FIELD
from e2espot.formats.filenames import files_ending_in
from e2espot.formats.interchange import (
    AnnotatedVideo,
    Annotation,
    AnnotationSet,
    DroppedFields,
    first_duplicate,
    without_videos,
)
from e2espot.formats.opensportslab_events import HEAD, read_event
from e2espot.formats.opensportslab_v1 import is_version_1, path_of_version_1, read_version_1
from e2espot.formats.video_paths import GamesOfPaths, games_of_paths

SN_GAR_CLASSES = (
    *("PASS", "HEADER", "HIGH PASS", "OUT", "CROSS", "THROW IN", "SHOT"),
    *("PLAYER SUCCESSFUL TACKLE", "FREE KICK", "GOAL"),
)
"""The ten classes of SN-GAR's action spotting, in its order."""
_VIDEO_TYPES = ("video", "video_mp4")
_NOT_ANNOTATED = ("unlabeled", "excluded")
"""Values of ``annotation_status`` for a sample that nothing can be learnt from."""
_SPLITS = {"val": "valid", "validation": "valid"}
_DEFAULTS: dict[str, Any] = {"task": "action_spotting", "modalities": ["video"], "metadata": {}}
_GAME_METADATA = "soccernet"
"""Key of a sample's metadata that holds the top-level fields of SoccerNet's file."""


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
    videos: list[AnnotatedVideo] = []
    classes: list[str] = []
    dataset_metadata: dict[str, Any] = {}
    stated: list[str] = []
    contents = [(path, load_json(read_bytes(path), str(path))) for path in paths]
    games = games_of_paths(name for _, content in contents for name in _names_in(content))
    for path, content in contents:
        if isinstance(content, dict) and "data" not in content and "predictions" in content:
            videos.append(_read_results(content, path, games))
            continue
        if is_version_1(content):
            first = read_version_1(content, path, games, predictions=predictions)
            videos += [replace(video, split=_split_named(path.stem.split("_")[-1])) for video in first.videos]
            classes += [name for name in first.classes if name not in classes]
            dataset_metadata = dataset_metadata or dict(first.metadata)
            continue
        metadata = require(content, "metadata", dict, str(path), {})
        split = _split_named(str(metadata.get("split") or path.stem.split("_")[-1]))
        stated.append(split)
        videos += parse_each(
            require(content, "data", list, str(path)),
            "data",
            str(path),
            partial(_read_sample, games=games, split=split, predictions=predictions),
        )
        classes += [name for name in _classes_of(content, str(path)) if name not in classes]
        dataset_metadata = dataset_metadata or _dataset_metadata(content)
    if (duplicate := first_duplicate(videos)) is not None:
        game, half = duplicate
        raise AnnotationError(f"{source}: two samples are half {half} of {game!r}")
    return AnnotationSet(
        videos=tuple(videos),
        classes=tuple(classes),
        metadata=dataset_metadata,
        predictions=predictions,
        empty_splits=() if source.is_file() else without_videos(stated, videos),
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
    return {name: value for name, value in fields.items() if value != _DEFAULTS.get(name)}


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
    from_soccernet = isinstance(metadata.get(_GAME_METADATA), dict)
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
    if inputs != [_input(path, video_metadata)]:
        video_metadata["inputs"] = inputs
    video_metadata |= remaining_fields(metadata, "game", "half", _GAME_METADATA)
    annotated = _annotated(sample, metadata, context)
    # Fields that say no more than ``annotated`` are written again from it; excluded, for one, says more.
    for name, value in _annotated_fields(annotated).items():
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
        game_metadata=metadata[_GAME_METADATA] if from_soccernet else {},
    )


def _annotated(sample: Mapping[str, Any], metadata: Mapping[str, Any], context: str) -> AnnotatedRanges | None:
    """What a sample says was annotated, next to its events or in its metadata; None if it does not say.

    ``annotation_status`` ``unlabeled`` and ``excluded`` mean nothing; any other, such as ``verified``, means the
    ``intervals``, or without these everything.
    """
    fields = {**metadata, **sample}
    if optional_text(fields, "annotation_status", context) in _NOT_ANNOTATED:
        return AnnotatedRanges()
    if fields.get("intervals") is None:
        return None
    return merge_ranges(parse_each(require(fields, "intervals", list, context), "intervals", context, _interval))


def _interval(row: Any, context: str) -> tuple[int, int]:
    """Milliseconds of ``{"start_ms": 0, "end_ms": 5000}`` or ``[0, 5000]``; the end is exclusive."""
    if isinstance(row, list) and len(row) == 2:
        row = {"start_ms": row[0], "end_ms": row[1]}
    start_ms, stop_ms = require_ms(row, "start_ms", context), require_ms(row, "end_ms", context)
    if stop_ms < start_ms:
        raise AnnotationError(f"{context}: ends at {stop_ms} ms, before it starts at {start_ms} ms")
    return start_ms, stop_ms


def _annotated_fields(annotated: AnnotatedRanges | None) -> dict[str, Any]:
    """The fields that :func:`_annotated` reads."""
    if annotated is None:
        return {}
    if not annotated.ranges_ms:
        return {"annotation_status": "unlabeled"}
    return {
        "annotation_status": "verified",
        "intervals": [{"start_ms": start_ms, "end_ms": stop_ms} for start_ms, stop_ms in annotated.ranges_ms],
    }


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


def opensportslab_files(dataset: AnnotationSet, target: Path, dropped: DroppedFields) -> dict[Path, bytes]:
    """Contents of one file, or of one file for each split if ``target`` is a folder; keeps every field."""
    return _files(_with_paths(dataset, dropped), target, _document)


def opensportslab_document(dataset: AnnotationSet, dropped: DroppedFields) -> dict[str, Any]:
    """Content of one file with every split; keeps every field."""
    return _document(_with_heads(_with_paths(dataset, dropped)))


def _with_heads(dataset: AnnotationSet) -> AnnotationSet:
    """The dataset with the classes of each head among its fields; those without an event are of the most used head."""
    labels_of: dict[str, list[str]] = {}
    for video in dataset.videos:
        for annotation in video.annotations:
            labels_of.setdefault(str(annotation.extra.get("head", HEAD)), []).append(annotation.label)
    labels_of = labels_of or {HEAD: []}
    most_used = max(labels_of, key=lambda head: len(labels_of[head]))
    occurring = {head: {*labels} for head, labels in labels_of.items()}
    anywhere = set().union(*occurring.values())
    heads = {
        head: {
            "type": "single_label",
            "labels": [
                name
                for name in dataset.class_names()
                if name in occurring[head] or (head == most_used and name not in anywhere)
            ],
        }
        for head in labels_of
    }
    return replace(
        dataset, metadata={**dataset.metadata, "labels": {**heads, **(dataset.metadata.get("labels") or {})}}
    )


def _with_paths(dataset: AnnotationSet, dropped: DroppedFields) -> AnnotationSet:
    """Fill in unknown video paths from SoccerNet's layout, since every sample needs one."""
    two_part_games = {video.game for video in dataset.videos if video.half > 1}
    videos = []
    for video in dataset.videos:
        if not video.video and "inputs" not in video.metadata:
            dropped.add("path of a video unknown: written as in SoccerNet's layout")
            name = f"{video.half}_224p.mkv" if video.game in two_part_games else "224p.mp4"
            video = replace(video, video=f"{video.game}/{name}")
        videos.append(video)
    return replace(dataset, videos=tuple(videos))


def sn_gar_files(dataset: AnnotationSet, target: Path, dropped: DroppedFields) -> dict[Path, bytes]:
    """Contents in SN-GAR's dialect: its ten classes, games by id, the match clock as game time."""
    videos = []
    for video in dataset.videos:
        for annotation in video.annotations:
            if annotation.label not in SN_GAR_CLASSES:
                dropped.add(f"event of class {annotation.label!r} (SN-GAR has ten others)")
        if video.half > 1:
            dropped.add(
                f"half {video.half} of a game in several videos (SN-GAR has one video a game): written as a game of "
                "its own"
            )
        dropped.add_annotated(video, "SN-GAR")
        game_fields = remaining_fields(video.game_metadata, "UrlLocal", VERSION_FIELD)
        if game_fields.get(CLASSES_FIELD) == list(SN_GAR_CLASSES):
            del game_fields[CLASSES_FIELD]  # its own, which the file lists anyway
        dropped.add_fields(game_fields, "game")
        dropped.add_fields(remaining_fields(video.metadata, "fps", "inputs", "game_id", "id"), "video")
        retained = tuple(annotation for annotation in video.annotations if annotation.label in SN_GAR_CLASSES)
        videos.append(replace(video, annotations=retained))
    reduced = replace(dataset, videos=tuple(videos), classes=SN_GAR_CLASSES)
    return _files(reduced, target, _sn_gar_document)


def _files(
    dataset: AnnotationSet, target: Path, document: Callable[[AnnotationSet], dict[str, Any]]
) -> dict[Path, bytes]:
    parts = {target: dataset.videos}
    if target.suffix != ".json":
        parts = {}
        for split in dict.fromkeys([*(video.split for video in dataset.videos), *dataset.empty_splits]):
            path = target / (f"annotations_{split}.json" if split else "annotations.json")
            parts[path] = tuple(video for video in dataset.videos if video.split == split)
    dataset = _with_heads(dataset)
    return {path: dump_json(document(replace(dataset, videos=videos))) for path, videos in parts.items()}


def _document(dataset: AnnotationSet) -> dict[str, Any]:
    splits = {video.split for video in dataset.videos}
    metadata = dict(dataset.metadata.get("metadata") or {})
    if len(splits) == 1 and splits != {""}:
        metadata["split"] = next(iter(splits))
    if dataset.predictions:
        metadata["type"] = "predictions"
    return {
        "version": "2.0",
        **_DEFAULTS,
        **dataset.metadata,
        "metadata": metadata,
        "labels": dataset.metadata["labels"],
        "data": [_sample(video) for video in dataset.videos],
    }


def _sample(video: AnnotatedVideo) -> dict[str, Any]:
    video_metadata = dict(video.metadata)
    if _annotated(video_metadata, {}, video.game) != video.annotated:
        # Stated before the stretches were moved, or others were reviewed.
        for name in ("annotation_status", "intervals"):
            video_metadata.pop(name, None)
    inputs = video_metadata.pop("inputs", [_input(video.video, video_metadata)])
    video_metadata.pop("fps", None)
    name = video_metadata.pop("id", f"{video.game}/{video.half}")
    metadata: dict[str, Any] = {
        "game": video.game,
        "half": video.half,
        **_annotated_fields(video.annotated),
        **video_metadata,
    }
    if video.game_metadata:
        metadata[_GAME_METADATA] = dict(video.game_metadata)
    return {
        "id": name,
        **({"split": video.split} if video.split else {}),
        "inputs": inputs,
        "events": [_event(annotation, video.half) for annotation in video.annotations],
        "metadata": metadata,
    }


def _input(video: str, video_metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "video", "path": video, **({"fps": video_metadata["fps"]} if "fps" in video_metadata else {})}


def _event(annotation: Annotation, half: int) -> dict[str, Any]:
    extra = dict(annotation.extra)
    event: dict[str, Any] = {
        "head": extra.pop("head", HEAD),
        "label": annotation.label,
        "position_ms": annotation.position_ms,
        "gameTime": extra.pop("matchTime", None)
        or extra.pop("gameTime", None)
        or game_time(annotation.position_ms, half),
    }
    event |= {
        name: value for name, value in (("team", annotation.team), ("visibility", annotation.visibility)) if value
    }
    if annotation.confidence is not None:
        # OpenSportsLab's library reads the first name, its annotation tool the second.
        event |= {"confidence": annotation.confidence, "confidence_score": annotation.confidence}
    return {**event, **extra}


def _sn_gar_document(dataset: AnnotationSet) -> dict[str, Any]:
    samples = []
    for video in dataset.videos:
        name = video.game if video.half == 1 else f"{video.game}/{video.half}"
        game_id = str(video.metadata.get("game_id", name))
        path = video.video or f"{video.split or 'videos'}/{game_id}.mp4"
        fps = {"fps": video.metadata["fps"]} if "fps" in video.metadata else {}
        samples.append(
            {
                "game_id": game_id,
                "split": video.split,
                "inputs": video.metadata.get("inputs") or [{"type": "video_mp4", "path": path, **fps}],
                "events": [_event(annotation, video.half) for annotation in video.annotations],
            }
        )
    return {**_document(dataset), "data": samples}
