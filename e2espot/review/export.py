"""Exports reviewed labels: as OpenSportsLab's JSON for other programs, and as datasets to train on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.annotated import AnnotatedHalves, merge_ranges
from e2espot.core.errors import AnnotationError, E2ESpotError, VideoError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS, HALVES, position_ms_of_frame
from e2espot.files.atomic import write_atomically
from e2espot.formats.annotated_field import (
    ANNOTATED_FIELD,
    UNSURE_FIELD,
    read_annotated,
    read_unsure,
    unsure_field,
)
from e2espot.formats.filenames import BALL_LABEL_FILE
from e2espot.formats.game import Video, is_game_video
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.opensportslab_documents import opensportslab_document
from e2espot.formats.soccernet_interchange import read_annotation
from e2espot.formats.soccernet_json import dump_document, parse_document
from e2espot.review.annotated_stretches import complement
from e2espot.review.label_rows import EventKey, event_of_row, new_row
from e2espot.review.verdicts import event_of_verdict
from e2espot.video import parts_of, probe
from e2espot.video.parts import SEPARATOR

_SAME_EVENT_FRAMES = 12
"""A label or verdict this close to a prediction of its class is about the same event: half a second at 25 fps."""


def unreviewed(
    predictions: Sequence[Event], labels: Sequence[EventKey], verdicts: Mapping[str, str], threshold: float
) -> list[Event]:
    """Predictions that no label and no verdict is about.

    Args:
        predictions: Predictions of one game.
        labels: Its labels.
        verdicts: Its verdicts, by key.
        threshold: Predictions with a lower score are left out.
    """
    reviewed: dict[tuple[int, str], list[int]] = {}
    for event in [*labels, *filter(None, map(event_of_verdict, verdicts))]:
        reviewed.setdefault((event.half, event.label), []).append(event.frame)
    return [
        event
        for event in predictions
        if event.confidence >= threshold
        and all(abs(frame - event.frame) > _SAME_EVENT_FRAMES for frame in reviewed.get((event.half, event.label), ()))
    ]


@dataclass(frozen=True, kw_only=True)
class ExportedGame:
    """One game to export."""

    name: str
    """Name of the game."""
    videos: Sequence[Video]
    """Its videos."""
    text: bytes
    """Content of its label file."""
    predictions: Sequence[Event] = ()
    """Predictions to be confirmed in another program."""


@dataclass(frozen=True, kw_only=True)
class OpenSportsLabExport:
    """An export, and what it had to leave out."""

    document: dict[str, Any]
    """The JSON document; the lines below are also in its metadata, under ``not_exported``."""
    num_labels: int
    """Number of labels exported."""
    dropped: list[str]
    """One line for each kind of thing that was dropped or changed; empty if nothing was."""


def export_opensportslab(games: Sequence[ExportedGame], label_set: LabelSet) -> OpenSportsLabExport:
    """Export labels as OpenSportsLab JSON 2.0, with one sample per video.

    Labels keep their milliseconds, team, visibility and other fields. A half that has labels but no video in
    the review is exported too. Predictions have a confidence, labels do not.

    Args:
        games: The games.
        label_set: Classes to list; other classes that occur are added.
    """
    dropped = DroppedFields()
    labels = [_read_labels(game, dropped) for game in games]
    dataset = AnnotationSet(
        videos=tuple(
            video
            for game, labels_by_half in zip(games, labels, strict=True)
            for video in _annotated_videos(game, labels_by_half)
        ),
        classes=label_set.names,
        metadata={"dataset_name": "e2espot review", "description": ""},
    )
    document = opensportslab_document(dataset, dropped)
    if dropped.lines():
        document["metadata"]["not_exported"] = dropped.lines()
    return OpenSportsLabExport(
        document=document,
        num_labels=sum(len(of_half) for labels_by_half in labels for of_half in labels_by_half.values()),
        dropped=dropped.lines(),
    )


def _read_labels(game: ExportedGame, dropped: DroppedFields) -> dict[int, list[Annotation]]:
    """Half -> labels with all their fields; rows that are not labels are counted as dropped."""
    _, rows = parse_document(game.text, "label", game.name)
    labels: dict[int, list[Annotation]] = {half: [] for half in HALVES}
    for number, row in enumerate(rows):
        try:
            half, annotation = read_annotation(row, f"annotations[{number}]", "label")
        except AnnotationError:
            dropped.add("row of a label file without a valid time and class")
            continue
        labels[half].append(annotation)
    return labels


def _annotated_videos(game: ExportedGame, labels: Mapping[int, Sequence[Annotation]]) -> list[AnnotatedVideo]:
    """One video per half that has a file, labels or predictions."""
    top, _ = parse_document(game.text, "label", game.name)
    annotated = read_annotated(top, game.name)
    known = ("annotations", "videos", ANNOTATED_FIELD)
    game_metadata = {name: value for name, value in top.items() if name not in known}
    paths = {video.half: video.path for video in game.videos}
    streams = {video.half: video.video_stream for video in game.videos}
    videos = []
    for half in HALVES:
        predictions = [_as_annotation(event) for event in game.predictions if event.half == half]
        annotations = sorted([*labels[half], *predictions], key=lambda annotation: annotation.position_ms)
        if half not in paths and not annotations:
            continue
        metadata = _video_fields(top, half)
        if half in paths:
            metadata |= _fps_field(paths[half], streams[half])
        if list(paths) == [half]:
            metadata["id"] = game.name
        videos.append(
            AnnotatedVideo(
                game=game.name,
                half=half,
                annotations=tuple(annotations),
                annotated=annotated.get(half),
                video=_full_path(paths[half]) if half in paths else "",
                metadata=metadata,
                game_metadata=game_metadata,
            )
        )
    return videos


def _video_fields(top: Mapping[str, Any], half: int) -> dict[str, Any]:
    """Fields of a half's video, without its path; only label files written by a conversion have them."""
    videos = top.get("videos")
    fields = videos.get(str(half)) if isinstance(videos, dict) else None
    return {name: value for name, value in fields.items() if name != "path"} if isinstance(fields, dict) else {}


def _as_annotation(event: Event) -> Annotation:
    position_ms = position_ms_of_frame(event.frame, DEFAULT_FPS)
    return Annotation(label=event.label, position_ms=position_ms, confidence=event.confidence, team=event.team)


def _full_path(path: Path) -> str:
    """Absolute path of a video; of one in parts, their paths joined by ``+``."""
    return SEPARATOR.join(str(part.resolve()) for part in parts_of(path))


def _fps_field(path: Path, video_stream: int | None) -> dict[str, float]:
    """The field ``fps`` of a video, its average rate; no field if the video cannot be read."""
    try:
        info = probe(path, allow_truncated=True, video_stream=video_stream)
        return {"fps": round(info.source_fps, 3)}
    except VideoError:
        return {}


def with_pseudo_labels(
    text: bytes, predictions: Sequence[Event], verdicts: Mapping[str, str], threshold: float
) -> bytes:
    """A label file with unreviewed predictions added as labels.

    Where the file states what was annotated, predictions are added outside of it only: there, labels are learnt and
    the rest is ``unsure``, so that it is no background::

        annotated 0:00-10:00    ->    unsure 10:00 to the end, with its labels and the added ones

    Args:
        text: Content of the label file.
        predictions: Predictions of the game.
        verdicts: Verdicts of the game, by key.
        threshold: Predictions with a lower score are not added.
    """
    top, rows = parse_document(text, "label", "labels")
    labels = [event for row in rows if (event := event_of_row(row)) is not None]
    annotated = read_annotated(top, "labels")
    pseudo_labels = [
        new_row(EventKey(half=event.half, frame=event.frame, label=event.label))
        for event in unreviewed(predictions, labels, verdicts, threshold)
        if not annotated or not _is_annotated(annotated, event)
    ]
    if annotated:
        outside = complement(annotated, HALVES)
        unsure = read_unsure(top, "labels")
        both = {half: merge_ranges([*outside[half].ranges_ms, *_ranges(unsure, half)]) for half in HALVES}
        top = {name: value for name, value in top.items() if name not in (ANNOTATED_FIELD, UNSURE_FIELD)}
        top |= unsure_field(both)

    def time_of(row: Any) -> tuple[int, int]:
        event = event_of_row(row)
        return (len(HALVES) + 1, 0) if event is None else (event.half, event.frame)  # rows without a time go last

    return dump_document({**top, "annotations": sorted([*rows, *pseudo_labels], key=time_of)})


def _is_annotated(annotated: AnnotatedHalves, event: Event) -> bool:
    position_ms = position_ms_of_frame(event.frame, DEFAULT_FPS)
    return event.half not in annotated or annotated[event.half].contains(position_ms)


def _ranges(halves: AnnotatedHalves, half: int) -> tuple[tuple[int, int], ...]:
    return halves[half].ranges_ms if half in halves else ()


def _link_names(videos: Sequence[Video]) -> list[tuple[Path, str]]:
    """Each file of a game, and its name in SoccerNet's layout: its own if it has one of that layout."""
    # derby.mp4 -> 224p.mp4; derby_1.mp4, derby_2.mp4 -> 1_224p.mp4, 2_224p.mp4
    names = []
    for video in videos:
        stem = "224p" if len(videos) == 1 and video.half == 1 else f"{video.half}_224p"
        parts = parts_of(video.path)
        for number, path in enumerate(parts, 1):
            suffix = path.suffix.lower() if path.suffix.lower() in (".mkv", ".webm") else ".mp4"
            part = f"_part{number}" if len(parts) > 1 else ""
            names.append((path, path.name if is_game_video(path.name) else f"{stem}{part}{suffix}"))
    return names


def write_dataset(root: Path, games: Sequence[ExportedGame]) -> None:
    """Write a dataset folder to train on: label files, and links to the videos.

    Args:
        root: The folder; created if needed.
        games: The games.

    Raises:
        E2ESpotError: It cannot be written.
    """
    for game in games:
        folder = root / game.name
        write_atomically(folder / BALL_LABEL_FILE, game.text)
        for path, name in _link_names(game.videos):
            link = folder / name
            try:
                if link.is_symlink():
                    link.unlink()
                if not link.exists():
                    link.symlink_to(os.path.relpath(path.resolve(), folder.resolve()))
            except OSError as error:
                raise E2ESpotError(f"{link}: cannot be written ({error.strerror})") from None
