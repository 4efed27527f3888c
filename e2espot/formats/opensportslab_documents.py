"""Writes OpenSportsLab's JSON 2.0, one sample for each video, and its dialect for SN-GAR's action spotting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from e2espot.core.timeline import game_time
from e2espot.core.version import VERSION_FIELD
from e2espot.files.json_fields import dump_json, remaining_fields
from e2espot.formats.annotated_field import CLASSES_FIELD
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.opensportslab_events import HEAD
from e2espot.formats.opensportslab_stretches import annotated_fields, annotated_of_sample

SN_GAR_CLASSES = (
    *("PASS", "HEADER", "HIGH PASS", "OUT", "CROSS", "THROW IN", "SHOT"),
    *("PLAYER SUCCESSFUL TACKLE", "FREE KICK", "GOAL"),
)
"""The ten classes of SN-GAR's action spotting, in its order."""
DEFAULTS: dict[str, Any] = {"task": "action_spotting", "modalities": ["video"], "metadata": {}}
GAME_METADATA = "soccernet"
"""Key of a sample's metadata that holds the top-level fields of SoccerNet's file."""


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
        **DEFAULTS,
        **dataset.metadata,
        "metadata": metadata,
        "labels": dataset.metadata["labels"],
        "data": [_sample(video) for video in dataset.videos],
    }


def _sample(video: AnnotatedVideo) -> dict[str, Any]:
    video_metadata = dict(video.metadata)
    if annotated_of_sample(video_metadata, {}, video.game) != video.annotated:
        # Stated before the stretches were moved, or others were reviewed.
        for name in ("annotation_status", "intervals"):
            video_metadata.pop(name, None)
    inputs = video_metadata.pop("inputs", [input_entry(video.video, video_metadata)])
    video_metadata.pop("fps", None)
    name = video_metadata.pop("id", f"{video.game}/{video.half}")
    metadata: dict[str, Any] = {
        "game": video.game,
        "half": video.half,
        **annotated_fields(video.annotated),
        **video_metadata,
    }
    if video.game_metadata:
        metadata[GAME_METADATA] = dict(video.game_metadata)
    return {
        "id": name,
        **({"split": video.split} if video.split else {}),
        "inputs": inputs,
        "events": [_event(annotation, video.half) for annotation in video.annotations],
        "metadata": metadata,
    }


def input_entry(video: str, video_metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of ``inputs`` for the video of a sample, with its rate if that is known."""
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
