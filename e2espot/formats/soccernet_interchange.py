"""SoccerNet's label and result files with every field, one folder for each game: the form for conversion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import HALVES, game_time
from e2espot.files.json_fields import (
    check_video_metadata,
    dump_json,
    optional_text,
    parse_each,
    read_bytes,
    relative_path,
    remaining_fields,
    require,
    require_text,
)
from e2espot.formats.annotated_field import (
    ANNOTATED_FIELD,
    annotated_field,
    read_annotated,
    read_annotated_classes,
    read_unsure,
)
from e2espot.formats.filenames import BALL_LABEL_FILE, LABEL_FILES, RESULTS_FILE, SPLITS_FILE, V2_LABEL_FILE
from e2espot.formats.game import Game
from e2espot.formats.games import check_label_file, find_games
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.own_games import is_list, own_games
from e2espot.formats.soccernet_json import LIST_NAMES, Kind, make_row, parse_document, read_row
from e2espot.formats.splits import BALL_SPLITS, empty_splits, split_of_games

_SPLITS = ("train", "valid", "test", "challenge")
_READ_FIELDS: dict[Kind, tuple[str, ...]] = {
    "label": ("gameTime", "label", "position", "team", "visibility"),
    "prediction": ("gameTime", "label", "position", "team", "visibility", "half", "confidence"),
}


def read_soccernet(source: Path, *, predictions: bool, file_name: str | None = None) -> AnnotationSet:
    """Read every game below a folder, or one file, in strict mode.

    Args:
        source: Folder of a dataset, or a label or result file.
        predictions: True to read ``results_spotting.json``, False to read labels.
        file_name: Name of the label files; None for whichever of SoccerNet's two names occurs.

    Raises:
        AnnotationError: a broken file; the message names file, entry and field.
        ConfigurationError: no such file, or files of both names.
    """
    kind: Kind = "prediction" if predictions else "label"
    if source.is_file() and not is_list(source):
        game = Game(name=source.parent.name or source.stem, folder=source.parent, videos=(), labels_path=source)
        return AnnotationSet(videos=tuple(_read_game(game, "", kind)), predictions=predictions)
    names = (RESULTS_FILE,) if predictions else (file_name,) if file_name is not None else LABEL_FILES
    if not predictions and own_games(source) is not None:
        names = names[:1]
    games_by_name = {
        name: [game for game in find_games(source, label_file=name, need_videos=False) if game.labels_path]
        for name in names
    }
    if all(games_by_name.values()) and len(games_by_name) > 1:
        raise ConfigurationError(
            f"{source} holds both {' and '.join(names)}; name one of them as label_file", option="label_file"
        )
    for games in games_by_name.values():
        if games:
            splits = split_of_games(source) if source.is_dir() else {}
            videos = [
                video for game in games for video in _read_game(game, game.split or splits.get(game.name, ""), kind)
            ]
            empty = empty_splits(source) if source.is_dir() else ()
            return AnnotationSet(videos=tuple(videos), predictions=predictions, empty_splits=empty)
    raise ConfigurationError(f"{source}: no {' or '.join(names)} below it")


def _read_game(game: Game, split: str, kind: Kind) -> Iterable[AnnotatedVideo]:
    """One video for half 1, and one for each other half with events, a video file or an entry in ``videos``."""
    assert game.labels_path is not None
    context, name = str(game.labels_path), LIST_NAMES[kind]
    if kind == "label":
        content, rows = read_label_document(game.labels_path)
    else:
        content, rows = parse_document(read_bytes(game.labels_path), kind, context)
    annotations = parse_each(rows, name, context, lambda row, context: read_annotation(row, context, kind))
    metadata_by_half: Mapping[str, Any] = require(content, "videos", dict, context, {})
    annotated = read_annotated(content, context)
    read_annotated_classes(content, context)  # stays one of the game's fields; checked here
    # Relative to the dataset where the layout states the path; whole where it lies elsewhere.
    files = {
        video.half: f"{game.name}/{video.path.name}" if video.path.parent == game.folder else str(video.path.absolute())
        for video in game.videos
    }
    game_metadata = {"UrlLocal": game.name, **remaining_fields(content, name, "videos", ANNOTATED_FIELD)}
    halves_with_metadata = [half for half in HALVES if str(half) in metadata_by_half]
    halves = {
        1,
        *(half for half, _ in annotations),
        *files,
        *halves_with_metadata,
        *annotated,
        *read_unsure(content, context),
    }
    for half in sorted(halves):
        fields = require(metadata_by_half, str(half), dict, f"{context}: videos", {})
        metadata = check_video_metadata(fields, f"{context}: videos.{half}")
        video = files.get(half, "")
        if "path" in metadata:
            video = require_text(metadata, "path", f"{context}: videos.{half}")
            del metadata["path"]
        yield AnnotatedVideo(
            game=game.name,
            half=half,
            split=split,
            annotations=tuple(annotation for its_half, annotation in annotations if its_half == half),
            annotated=annotated.get(half),
            video=video,
            metadata=metadata,
            game_metadata=game_metadata,
        )


def read_annotation(row: Any, context: str, kind: Kind) -> tuple[int, Annotation]:
    """Half and event of a row, with the fields that training and inference do not use."""
    event = read_row(row, context, kind=kind, mode="strict")
    extra = remaining_fields(row, *_READ_FIELDS[kind])
    confidence = event.value if kind == "prediction" else _stated_confidence(extra.get("confidence"))
    if confidence is not None:
        extra.pop("confidence", None)
    clock = game_time(event.position_ms, event.half)
    if row.get("gameTime", clock) != clock:
        extra["gameTime"] = row["gameTime"]  # the source rounds seconds differently, or does not pad them
    return event.half, Annotation(
        label=event.label,
        position_ms=event.position_ms,
        confidence=confidence,
        team=optional_text(row, "team", context),
        visibility=optional_text(row, "visibility", context),
        extra=extra,
    )


def _stated_confidence(value: Any) -> float | None:
    """The confidence of a label as ``make_row`` writes it; None for any other value, which stays as it is."""
    try:
        confidence = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    return confidence if math.isfinite(confidence) and str(confidence) == value else None


def soccernet_files(
    dataset: AnnotationSet, target: Path, dropped: DroppedFields, file_name: str | None = None
) -> dict[Path, bytes]:
    """Contents of one file for each game, and of ``splits.json`` unless the splits are SoccerNet's own.

    Fields that SoccerNet's files do not have are written under their own names, which SoccerNet's readers ignore.

    Raises:
        ConfigurationError: the target is a file, or two videos are the same half of one game.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; SoccerNet's layout is a folder")
    file_name = RESULTS_FILE if dataset.predictions else file_name or _default_label_file(dataset)
    check_label_file(file_name)
    dropped.add_fields(dataset.metadata, "dataset")
    if dataset.classes:
        dropped.add("order of the classes, and classes without an event (SoccerNet's files do not list them)")
    files: dict[Path, bytes] = {}
    split_of_game: dict[str, str] = {}
    ordered = sorted(dataset.videos, key=lambda video: video.game)
    for game, group in groupby(ordered, key=lambda video: video.game):
        videos = sorted(group, key=lambda video: video.half)
        if len({video.half for video in videos}) < len(videos):
            raise ConfigurationError(f"{game}: two videos of half {videos[0].half}; give the games different names")
        path = target / relative_path(game, "name of a game") / file_name
        files[path] = dump_json(_document(videos, "prediction" if dataset.predictions else "label"))
        split_of_game[game] = videos[0].split
    if splits := _splits_document(split_of_game, dataset.empty_splits):
        files[target / SPLITS_FILE] = dump_json(splits)
    return files


def _default_label_file(dataset: AnnotationSet) -> str:
    names = {annotation.label for video in dataset.videos for annotation in video.annotations}
    return V2_LABEL_FILE if names and names <= set(LABEL_SETS["soccernet-v2-17"].names) else BALL_LABEL_FILE


def _document(videos: list[AnnotatedVideo], kind: Kind) -> dict[str, Any]:
    first = videos[0]
    rows = [_row(annotation, video.half, kind) for video in videos for annotation in video.annotations]
    metadata_by_half = {str(video.half): fields for video in videos if (fields := _video_fields(video))}
    content: dict[str, Any] = {"UrlLocal": first.game, **first.game_metadata}
    content |= annotated_field({video.half: video.annotated for video in videos if video.annotated is not None})
    if metadata_by_half:
        content["videos"] = metadata_by_half
    return {**content, LIST_NAMES[kind]: rows}


def _video_fields(video: AnnotatedVideo) -> dict[str, Any]:
    """Metadata of a video, and its path unless it is in the folder of its game, where readers look anyway."""
    in_game_folder = Path(video.video).parent.as_posix() == video.game
    path = {} if in_game_folder or not video.video else {"path": video.video}
    return {**path, **video.metadata}


def _row(annotation: Annotation, half: int, kind: Kind) -> dict[str, Any]:
    row = make_row(
        kind,
        half=half,
        position_ms=annotation.position_ms,
        label=annotation.label,
        team=annotation.team,
        visibility=annotation.visibility,
        confidence=annotation.confidence,
    )
    return {**row, **annotation.extra}


def _splits_document(split_of_game: Mapping[str, str], empty: Sequence[str]) -> dict[str, list[str]]:
    """Content of ``splits.json``; empty if the splits are SoccerNet's own or unknown."""
    official = {game: split for split, games in BALL_SPLITS.items() for game in games}
    splits = split_of_game.items()
    known = not any(split_of_game.values()) or all(official.get(game) == split for game, split in splits)
    if known and not empty:
        return {}
    names = (*_SPLITS, *sorted({*split_of_game.values(), *empty} - {*_SPLITS, ""}))
    games_by_split = {name: [game for game, split in splits if split == name] for name in names}
    return {name: games for name, games in games_by_split.items() if games or name in empty}
