"""SoccerNet's label and result files with every field, a folder a game."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
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
    take_ms,
    take_number,
    take_text,
    take_word,
)
from e2espot.formats.games import Game, check_label_file, find_games
from e2espot.formats.interchange import Collection, Losses, Moment, Recording
from e2espot.formats.splits import BALL_SPLITS

RESULTS = "results_spotting.json"
LABEL_FILES = ("Labels-ball.json", "Labels-v2.json")
_SPLITS = ("train", "valid", "test", "challenge")


def read_soccernet(source: Path, *, predictions: bool, file_name: str | None = None) -> Collection:
    """Read every game below a folder, or one file.

    Args:
        source: A dataset's folder, or a label or result file.
        predictions: Whether to read ``results_spotting.json``, not labels.
        file_name: Name of the label files; without it whichever of SoccerNet's two there is.

    Raises:
        AnnotationError: names the file, the entry and the field.
        ConfigurationError: no such files.
    """
    if source.is_file():
        game = Game(name=source.parent.name or source.stem, folder=source.parent, videos=(), labels_path=source)
        return Collection(recordings=tuple(_read_game(game, "", predictions)), predictions=predictions)
    names = (RESULTS,) if predictions else (file_name,) if file_name is not None else LABEL_FILES
    found = {
        name: [game for game in find_games(source, label_file=name, need_videos=False) if game.labels_path]
        for name in names
    }
    if all(found.values()) and len(found) > 1:
        raise ConfigurationError(f"{source} holds both {' and '.join(names)}; say which with --label_file")
    for games in found.values():
        if games:
            splits = _splits_of(source)
            read = (
                recording for game in games for recording in _read_game(game, splits.get(game.name, ""), predictions)
            )
            return Collection(recordings=tuple(read), predictions=predictions)
    raise ConfigurationError(f"{source}: no {' or '.join(names)} below it")


def _splits_of(root: Path) -> dict[str, str]:
    """Game -> split, by ``splits.json`` or SoccerNet's own lists."""
    file = root / "splits.json"
    lists: Any = load_json(read_bytes(file), str(file)) if file.is_file() else BALL_SPLITS
    if not isinstance(lists, dict) or not all(isinstance(games, (list, tuple)) for games in lists.values()):
        raise AnnotationError(f"{file}: it must be an object of lists, one a split")
    return {str(game): "valid" if split == "val" else split for split, games in lists.items() for game in games}


def _read_game(game: Game, split: str, predictions: bool) -> Iterable[Recording]:
    assert game.labels_path is not None
    where, key = str(game.labels_path), "predictions" if predictions else "annotations"
    content = load_json(read_bytes(game.labels_path), where)
    read = _read_prediction if predictions else _read_label
    found = each(take(content, key, list, where), key, where, read)
    facts: Mapping[str, Any] = take(content, "videos", dict, where, {})
    files = {video.half: video.path.relative_to(game.folder).as_posix() for video in game.videos}
    about = {"UrlLocal": game.name, **rest(content, key, "videos")}
    halves = {1} | {half for half, _ in found} | set(files) | {half for half in (1, 2) if str(half) in facts}
    for half in sorted(halves):
        told = checked_facts(take(facts, str(half), dict, f"{where}: videos", {}), f"{where}: videos.{half}")
        video = f"{game.name}/{files[half]}" if half in files else ""
        if "path" in told:
            video = take_text(told, "path", f"{where}: videos.{half}")
            del told["path"]
        yield Recording(
            game=game.name,
            half=half,
            split=split,
            moments=tuple(moment for at, moment in found if at == half),
            video=video,
            facts=told,
            about=about,
        )


def _read_label(entry: Any, where: str) -> tuple[int, Moment]:
    clock = take_text(entry, "gameTime", where)
    try:
        half, _ = parse_game_time(clock)
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from None
    return _moment(entry, half, where, "gameTime", confidence=None)


def _read_prediction(entry: Any, where: str) -> tuple[int, Moment]:
    half = take(entry, "half", object, where)
    if half not in (1, 2, "1", "2") or isinstance(half, bool):
        raise AnnotationError(f"{where}: field 'half' is {half!r}; expected 1 or 2")
    confidence = take_number(entry, "confidence", where)
    return _moment(entry, int(half), where, "gameTime", "half", "confidence", confidence=confidence)


def _moment(entry: Any, half: int, where: str, *read: str, confidence: float | None) -> tuple[int, Moment]:
    if half not in (1, 2):
        raise AnnotationError(f"{where}: field 'gameTime' names half {half}; there are 1 and 2")
    position_ms = take_ms(entry, "position", where)
    more = rest(entry, "label", "position", "team", "visibility", *read)
    if entry.get("gameTime", game_time(position_ms, half)) != game_time(position_ms, half):
        more["gameTime"] = entry["gameTime"]  # seconds rounded otherwise, or not padded
    return half, Moment(
        label=take_text(entry, "label", where),
        position_ms=position_ms,
        confidence=confidence,
        team=take_word(entry, "team", where),
        visibility=take_word(entry, "visibility", where),
        more=more,
    )


def soccernet_files(
    collection: Collection, target: Path, losses: Losses, file_name: str | None = None
) -> dict[Path, bytes]:
    """A folder a game, and ``splits.json`` where the games are not SoccerNet's own.

    What SoccerNet's files have no field for stays in them under its own name, which their readers pass over.

    Raises:
        ConfigurationError: the target is a file, or two recordings are one half of one game.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; SoccerNet's layout is a folder")
    file_name = RESULTS if collection.predictions else file_name or _label_file(collection)
    check_label_file(file_name)
    losses.add_fields(collection.about, "dataset")
    if collection.classes:
        losses.add("order of the classes, and classes without an event (SoccerNet's files do not list them)")
    files: dict[Path, bytes] = {}
    splits: dict[str, str] = {}
    ordered = sorted(collection.recordings, key=lambda recording: recording.game)
    for game, group in groupby(ordered, key=lambda recording: recording.game):
        recordings = sorted(group, key=lambda recording: recording.half)
        if len({recording.half for recording in recordings}) < len(recordings):
            raise ConfigurationError(f"{game}: two recordings of half {recordings[0].half}; name their games apart")
        path = target / checked_path(game, "name of a game") / file_name
        files[path] = dump_json(_content(recordings, collection.predictions))
        splits[game] = recordings[0].split
    if listed := _listed(splits):
        files[target / "splits.json"] = dump_json(listed)
    return files


def _label_file(collection: Collection) -> str:
    names = {moment.label for recording in collection.recordings for moment in recording.moments}
    return LABEL_FILES[1] if names and names <= set(LABEL_SETS["soccernet-v2-17"].names) else LABEL_FILES[0]


def _content(recordings: list[Recording], predictions: bool) -> dict[str, Any]:
    first = recordings[0]
    rows = [_row(moment, recording.half, predictions) for recording in recordings for moment in recording.moments]
    videos = {str(recording.half): _told(recording) for recording in recordings if _told(recording)}
    content = {"UrlLocal": first.game, **first.about}
    if videos:
        content["videos"] = videos
    return {**content, "predictions" if predictions else "annotations": rows}


def _told(recording: Recording) -> dict[str, Any]:
    """What is said of a video and cannot be seen from a file beside the labels."""
    usual = Path(recording.video).parent.as_posix() == recording.game
    return {**({} if usual or not recording.video else {"path": recording.video}), **recording.facts}


def _row(moment: Moment, half: int, predictions: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "gameTime": game_time(moment.position_ms, half),
        "label": moment.label,
        "position": str(moment.position_ms),
    }
    if predictions:
        confidence = 1.0 if moment.confidence is None else moment.confidence
        row |= {"half": str(half), "confidence": str(confidence)}
        row |= {"team": moment.team} if moment.team else {}
        row |= {"visibility": moment.visibility} if moment.visibility else {}
    else:
        row |= {"team": moment.team, "visibility": moment.visibility or "visible"}
        row |= {"confidence": str(moment.confidence)} if moment.confidence is not None else {}
    return {**row, **moment.more}


def _listed(splits: Mapping[str, str]) -> dict[str, list[str]]:
    """What ``splits.json`` must say; nothing where the splits are SoccerNet's own, or none are known."""
    own = {game: split for split, games in BALL_SPLITS.items() for game in games}
    if not any(splits.values()) or all(own.get(game) == split for game, split in splits.items()):
        return {}
    names = (*_SPLITS, *sorted(set(splits.values()) - {*_SPLITS, ""}))
    listed = {split: [game for game, at in splits.items() if at == split] for split in names}
    return {split: games for split, games in listed.items() if games}
