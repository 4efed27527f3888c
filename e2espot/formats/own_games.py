"""Datasets of one's own, without SoccerNet's folders: a list of videos and labels, or files of the same names.

A list is ``dataset.yaml`` or ``dataset.csv`` at the root of a folder, or any file of these kinds. Its paths are
relative to it, or absolute::

    games:                                            video,labels,split,game,half
    - {video: a.mp4, labels: a.json, split: train}    a.mp4,a.json,train,,
    - name: derby                                     b_1.mp4,b.json,valid,derby,1
      videos: [b_1.mp4, b_2.mp4]                      b_2.mp4,,,derby,2
      labels: b.json
      split: valid

Without a list, a video and the label file of its name are a game. ``labels/`` may be apart from ``videos/``, and
folders named after splits are splits::

    train/a.mp4  train/a.json                videos/a.mp4          labels/a.csv
    valid/b_1.mp4  valid/b_2.mp4  valid/b.json           two halves with one label file
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES
from e2espot.files.json_fields import decode_text, read_bytes, relative_path
from e2espot.files.walk import folders_below
from e2espot.formats.filenames import LABEL_FILES, RESULTS_FILE, SPLITS_FILE, VIDEO_SUFFIXES
from e2espot.formats.game import Game, Video, is_game_video
from e2espot.formats.splits import canonical_split, names_in_splits
from e2espot.formats.video_paths import games_of_paths
from e2espot.video.parts import parts_of

LIST_FILES = ("dataset.yaml", "dataset.yml", "dataset.csv")
"""Names of the list of a dataset, at its root."""
LABEL_SUFFIXES = (".json", ".csv", ".tsv")
"""Endings of a label file that has the name of its video."""
_LIST_COLUMNS = {"video", "labels", "split", "game", "half"}
LIST_SUFFIXES = (".yaml", ".yml", ".csv")
"""Endings of a list."""
_SPLITS = ("train", "valid", "val", "test", "challenge")
_HALF_OF_STEM = re.compile(r"(.+?)[ _-]?(?:half|h)?[ _-]?([1-5])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ListEntry:
    """One entry of a list."""

    context: str
    """Names it in errors."""
    videos: Mapping[int, str]
    """Half -> path of its video, as written."""
    labels: str
    """Path of the label file, as written; empty for none."""
    split: str
    """Its split; empty for none."""
    name: str
    """Name of the game; empty for that of its video."""


def is_list(path: Path) -> bool:
    """Whether a path is a file that could list the games of a dataset."""
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def lists_videos(path: Path) -> bool:
    """Whether a path is the list of a dataset, rather than a table of labels, by the columns that it has."""
    if not is_list(path):
        return False
    if path.suffix.lower() != ".csv":
        return True
    heading = decode_text(read_bytes(path), str(path)).lstrip("\ufeff").partition("\n")[0]
    columns = {name.strip().strip('"').lower() for name in re.split("[,;\t]", heading)}
    return "video" in columns and (bool(columns & {"labels", "split"}) or columns <= _LIST_COLUMNS)


def own_games(root: Path) -> list[Game] | None:
    """Games of a list, or of a folder of videos and labels of the same names; None for any other folder.

    Args:
        root: A folder, or a list.

    Raises:
        AnnotationError: a broken list; the message names file and entry.
        ConfigurationError: a file that it names does not exist.
    """
    if is_list(root):
        return _listed_games(root)
    listed = next((root / name for name in LIST_FILES if (root / name).is_file()), None)
    return _listed_games(listed) if listed is not None else _games_by_stem(root)


def games_in_split(root: Path, games: Sequence[Game], split: str | None) -> list[Game]:
    """The games of a split, by ``splits.json`` if there is one, else by the list or the folders; all of them for None.

    No game need be valid: where each one is in a split, ``valid`` may be empty.

    Raises:
        ConfigurationError: no such split.
        AnnotationError: a broken ``splits.json``.
    """
    if split is None:
        return list(games)
    file = root / SPLITS_FILE
    if root.is_dir() and file.is_file():
        by_name = {game.name: game for game in games}
        names = names_in_splits(read_bytes(file), split, context=str(file))
        if missing := [name for name in names if name not in by_name]:
            raise AnnotationError(f"{file}: {split}: no video of the game {missing[0]!r:.200}")
        return [by_name[name] for name in names]
    known = sorted({game.split for game in games if game.split})
    if canonical_split(split) == "valid" and games and all(game.split for game in games):
        return [game for game in games if game.split == "valid"]  # none, if every game is said to be in another one
    if canonical_split(split) not in known:
        raise ConfigurationError(
            f"{root}: no split {split!r}; it has {', '.join(known) or 'none'}: name the split of each game in a "
            "dataset.csv (video,labels,split), or put the games into folders train, valid and test"
        )
    return [game for game in games if game.split == canonical_split(split)]


# Lists


def _listed_games(path: Path) -> list[Game]:
    entries = read_list(path.name, read_bytes(path), str(path))
    named = games_of_paths(file for entry in entries for file in entry.videos.values())
    games: dict[str, Game] = {}
    for entry in entries:
        game = _listed_game(path, entry, named)
        if game.name in games:
            raise AnnotationError(f"{entry.context}: a second game named {game.name!r}; give each a name of its own")
        games[game.name] = game
    return list(games.values())


def _listed_game(path: Path, entry: ListEntry, named: Mapping[str, tuple[str, int]]) -> Game:
    first = next(iter(entry.videos.values()))
    name = relative_path(entry.name or named.get(first, ("", 1))[0], f"{entry.context}: name of the game")
    videos = []
    for half, file in entry.videos.items():
        video = path.parent / file
        missing = next((part for part in parts_of(video) if not part.is_file()), None)
        if missing is not None:
            raise ConfigurationError(f"{entry.context}: no video {missing}; paths are relative to the list")
        videos.append(Video(game=name, half=half, path=video))
    labels = path.parent / entry.labels if entry.labels else None
    if labels is not None and not labels.is_file():
        raise ConfigurationError(f"{entry.context}: no label file {labels}; leave it empty for a game without labels")
    folder = videos[0].path.parent / Path(name).name
    return Game(
        name=name,
        folder=folder,
        videos=tuple(videos),
        labels_path=labels,
        labels_target=_json_target(labels or folder),
        split=canonical_split(entry.split),
    )


def _json_target(path: Path) -> Path:
    """The JSON file next to a label file of another kind."""
    return path if path.suffix == ".json" else path.with_name(f"{path.stem if path.suffix else path.name}.json")


def read_list(name: str, data: bytes, context: str) -> list[ListEntry]:
    """Entries of a list.

    Args:
        name: Name of the file, whose ending decides how it is read.
        data: Its content.
        context: Names the file in errors.

    Raises:
        AnnotationError: a broken list; the message names file and entry.
    """
    read = _csv_entries if name.lower().endswith(".csv") else _yaml_entries
    return read(decode_text(data, context), context)


def _yaml_entries(text: str, path: str) -> list[ListEntry]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    games = content.get("games") if isinstance(content, dict) else None
    if not isinstance(games, list) or not games:
        raise AnnotationError(f"{path}: it needs a list named games, with entries such as video: a.mp4, labels: a.json")
    return [_yaml_entry(entry, f"{path}: games[{number}]") for number, entry in enumerate(games)]


def _yaml_entry(entry: Any, context: str) -> ListEntry:
    fields = entry if isinstance(entry, dict) else {}
    videos = fields.get("videos", fields.get("video"))
    paths = videos if isinstance(videos, list) else [videos]
    texts = {key: "" if fields.get(key) is None else fields[key] for key in ("labels", "split", "name")}
    if not paths or len(paths) > len(HALVES) or not all(map(_is_path, paths)):
        raise AnnotationError(f"{context}: it needs a video, or one of each half in a list named videos")
    for key, value in texts.items():
        if not isinstance(value, str) or (value and not _is_path(value)):
            raise AnnotationError(f"{context}: {key} is {value!r:.80}; expected text on one line")
    return ListEntry(
        context=context, videos=dict(enumerate(map(_plain, paths), 1)), **{**texts, "labels": _plain(texts["labels"])}
    )


def _csv_entries(text: str, path: str) -> list[ListEntry]:
    entries: dict[str, ListEntry] = {}
    for line, fields in _csv_rows(text, path):
        context = f"{path}: line {line}"
        video, half = _plain(fields.get("video", "")), fields.get("half", "").removesuffix(".0") or "1"
        if not _is_path(video):
            raise AnnotationError(
                f"{context}: no video; the columns are video, labels, split and, if needed, game and half"
            )
        if half not in map(str, HALVES):
            raise AnnotationError(f"{context}: half is {half!r:.80}; expected 1 to {max(HALVES)}")
        entry = ListEntry(
            context=context,
            videos={int(half): video},
            labels=_plain(fields.get("labels", "")),
            split=fields.get("split", ""),
            name=fields.get("game", ""),
        )
        game = entry.name or video
        entries[game] = _joined(entries[game], entry) if game in entries else entry
    if not entries:
        raise AnnotationError(f"{path}: it lists no video; the columns are video, labels, split")
    return list(entries.values())


def _csv_rows(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of each line that holds something, and its fields by their columns in small letters."""
    try:
        dialect = next((sign for sign in ",;\t" if sign in text.partition("\n")[0]), ",")
        rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=dialect))
    except csv.Error as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from None
    if rows and "video" not in {str(name).strip().lower() for name in rows[0]}:
        raise AnnotationError(
            f"{path}: no column video, as the list of a dataset has: video, labels, split and, if needed, game and "
            "half; a table of labels goes next to its video, under the same name"
        )
    for line, row in enumerate(rows, 2):
        fields = {str(key).strip().lower(): value.strip() for key, value in row.items() if isinstance(value, str)}
        if any(fields.values()):
            yield line, fields


def _joined(game: ListEntry, other: ListEntry) -> ListEntry:
    """A game with another half; what its first lines leave open is taken from later ones."""
    for half in other.videos:
        if half in game.videos:
            raise AnnotationError(f"{other.context}: a second video of half {half} of this game")
    return ListEntry(
        context=game.context,
        videos=dict(sorted({**game.videos, **other.videos}.items())),
        labels=game.labels or other.labels,
        split=game.split or other.split,
        name=game.name,
    )


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not any(ord(letter) < 32 for letter in value)


def _plain(path: str) -> str:
    """A path with the separators of this system."""
    return path.strip().replace("\\", "/")


# Files of the same names


def _games_by_stem(root: Path) -> list[Game] | None:
    """Every video below a folder, if some have labels of their names; None for SoccerNet's layout or without labels."""
    videos: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for folder, files in folders_below(root):
        for file in sorted(files):
            path = folder / file
            if is_game_video(file) or file in LABEL_FILES:
                return None
            if file.startswith(".") or file in (SPLITS_FILE, RESULTS_FILE):
                continue
            if path.suffix.lower() in VIDEO_SUFFIXES:
                videos.setdefault(_stem(root, path, "videos"), path)
            elif path.suffix.lower() in LABEL_SUFFIXES:
                stem = _stem(root, path, "labels")
                # Of a table and a JSON file, the JSON file is what a review made of the table.
                if stem not in labels or path.suffix.lower() == ".json":
                    labels[stem] = path
    grouped = halves_by_stem(videos, labels)
    games = [
        _stem_game(name, {half: videos[stem] for half, stem in halves.items()}, labels.get(name))
        for name, halves in grouped.items()
    ]
    return games if any(game.labels_path is not None for game in games) else None


def _stem(root: Path, path: Path, folder: str) -> str:
    """Name of the game of a file: its path without the ending, and without ``videos`` or ``labels`` at its head."""
    name = path.relative_to(root).with_suffix("").as_posix()
    return name.removeprefix(f"{folder}/")


def halves_by_stem(videos: Collection[str], labels: Collection[str]) -> dict[str, dict[int, str]]:
    """Game -> half -> name of its video, without endings.

    Two videos are halves of a game if there are labels of that game, and not of them::

        videos derby_1 derby_2, labels derby -> {"derby": {1: "derby_1", 2: "derby_2"}}
    """
    grouped: dict[str, dict[int, str]] = {}
    for name in sorted(videos):
        match = _HALF_OF_STEM.fullmatch(name)
        is_half = match is not None and match[1] in labels and name not in labels and match[1] not in videos
        game, half = (match[1], int(match[2])) if match is not None and is_half else (name, 1)
        grouped.setdefault(game, {}).setdefault(half, name)
    return grouped


def split_of_folder(name: str) -> str:
    """The split that the first folder of a game's name is named after; empty if it is none."""
    first, slash, _ = name.partition("/")
    return canonical_split(first) if slash and first in _SPLITS else ""


def _stem_game(name: str, halves: Mapping[int, Path], labels: Path | None) -> Game:
    folder = halves[min(halves)].parent / Path(name).name
    return Game(
        name=name,
        folder=folder,
        videos=tuple(Video(game=name, half=half, path=halves[half]) for half in sorted(halves)),
        labels_path=labels,
        labels_target=_json_target(labels or folder),
        split=split_of_folder(name),
    )
