"""A dataset folder -> its games, their videos and labels, and which split they belong to."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from e2espot.errors import AnnotationError, ConfigurationError
from e2espot.formats.folders import folders_below

_SUFFIXES = (".mp4", ".mkv", ".webm")
_PREFIX = "england_efl/2019-2020/"
_DAY = f"{_PREFIX}2019-10-01 - "

BALL_SPLITS: dict[str, tuple[str, ...]] = {
    "train": (
        f"{_DAY}Blackburn Rovers - Nottingham Forest",
        f"{_DAY}Brentford - Bristol City",
        f"{_DAY}Hull City - Sheffield Wednesday",
        f"{_DAY}Leeds United - West Bromwich",
    ),
    "valid": (f"{_DAY}Middlesbrough - Preston North End",),
    "test": (f"{_DAY}Reading - Fulham", f"{_DAY}Stoke City - Huddersfield Town"),
    "challenge": (
        f"{_DAY}Wigan Athletic - Birmingham City",
        f"{_PREFIX}2019-10-02 - Cardiff City - Queens Park Rangers",
    ),
}
"""SoccerNet's ball action spotting games, the same in 2023, 2024 and 2025."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video file of a game."""

    game: str
    """Name of the game."""
    half: int
    """1 or 2; a game in one file is half 1."""
    path: Path
    """The file; of one in an object store its name."""
    url: str | None = None
    """Where an object store has it."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """A folder with a game's videos and labels."""

    name: str
    """Path of the folder relative to the dataset, with forward slashes: league/season/game."""
    folder: Path
    """The folder."""
    videos: tuple[Video, ...]
    """One file, or one a half."""
    labels_path: Path | None
    """Its label file, if there is one."""


def find_games(
    root: Path,
    *,
    split: str | None = None,
    resolution: str = "224p",
    label_file: str = "Labels-ball.json",
    need_videos: bool = True,
) -> list[Game]:
    """Games of a split, or all games under ``root``.

    ``splits.json`` decides where there is one; else SoccerNet's own lists, for its games.

    Raises:
        ConfigurationError: no such folder or split, or a game without its video.
        AnnotationError: a broken ``splits.json``.
    """
    check_label_file(label_file)
    root = Path(root)
    if not root.is_dir():
        raise ConfigurationError(f"{root}: no such dataset folder")
    if split is None:
        found = [_game(root, folder, resolution, label_file) for folder in _game_folders(root, label_file)]
        return [game for game in found if game.videos or not need_videos]
    games = [_game(root, root / name, resolution, label_file) for name in _names_of_split(root, split)]
    for game in games:
        if need_videos and not game.videos:
            raise ConfigurationError(
                f"{game.folder}: no {resolution}.mp4 (or 1_{resolution}.mkv, 2_{resolution}.mkv); "
                "check --resolution and that the game is complete"
            )
    return games


def check_label_file(name: str) -> None:
    """Refuse what is not the plain name of a file.

    Raises:
        ConfigurationError: a path, a pattern or nothing.
    """
    if not name or name in (".", "..") or any(sign in name for sign in "/\\*?[\0"):
        raise ConfigurationError(f"--label_file is {name!r}; give the plain name of a file, such as Labels-ball.json")


def _names_of_split(root: Path, split: str) -> list[str]:
    file = root / "splits.json"
    if not file.is_file():
        names = [name for name in soccernet_names(split) if (root / name).is_dir()]
        return names if names else no_such_split(root, split)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{file}: not readable JSON ({error})") from None
    names = names_in_splits(text, split, where=file)
    for number, name in enumerate(names):
        try:
            found = (root / name).is_dir()
        except (OSError, ValueError):  # names no file system takes
            found = False
        if not found:
            raise AnnotationError(f"{file}: {split}[{number}]: no folder {name!r:.200}")
    return names


def soccernet_names(split: str) -> tuple[str, ...]:
    """SoccerNet's own games of a split, whether they are there or not."""
    return BALL_SPLITS.get("valid" if split == "val" else split, ())


def no_such_split(root: object, split: str) -> NoReturn:
    """Say what a data set without ``splits.json`` must hold."""
    raise ConfigurationError(
        f"{root}: no splits.json and none of SoccerNet's {split!r} games; write splits.json as "
        '{"train": ["league/season/game", ...], "valid": [...], "test": [...]}'
    )


def names_in_splits(text: str, split: str, *, where: object) -> list[str]:
    """Names of a split's games as ``splits.json`` has them; ``where`` is what errors call the file.

    Raises:
        AnnotationError: not an object of lists of paths below its folder, each once.
        ConfigurationError: no such split.
    """
    try:
        splits: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where}: not readable JSON ({error})") from None
    if not isinstance(splits, dict):
        raise AnnotationError(f"{where}: it must be an object of lists, one a split")
    aliases = {"valid": "val", "val": "valid"}
    names = splits.get(split, splits.get(aliases.get(split, split)))
    if names is None:
        raise ConfigurationError(f"{where}: no split {split!r}; it has {', '.join(map(repr, splits))}")
    if not isinstance(names, list):
        raise AnnotationError(f"{where}: {split} is {type(names).__name__}; expected a list of games")
    for number, name in enumerate(names):
        if not _below(name):
            raise AnnotationError(
                f"{where}: {split}[{number}] is {name!r}; expected a path of a game below this folder"
            )
        if name in names[:number]:
            raise AnnotationError(f"{where}: {split}[{number}]: {name!r} is listed twice")
    return names


def _below(name: Any) -> bool:
    """Whether a game's name is a path that stays below the data set."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def _game_folders(root: Path, label_file: str) -> list[Path]:
    """Folders that hold a label file or a game's video."""
    return sorted(
        folder for folder, files in folders_below(root) if label_file in files or any(map(is_game_video, files))
    )


def is_game_video(name: str) -> bool:
    """Whether a file's name is that of a game's video, of any resolution and half."""
    head, _, tail = PurePosixPath(name).stem.rpartition("_")
    digits = tail.removesuffix("p")
    return name.endswith(_SUFFIXES) and tail.endswith("p") and digits.isdecimal() and head in ("", "1", "2")


def _game(root: Path, folder: Path, resolution: str, label_file: str) -> Game:
    name = folder.relative_to(root).as_posix()
    name = folder.resolve().name if name == "." else name
    names = {path.name for path in folder.iterdir() if path.is_file()}
    videos = tuple(
        Video(game=name, half=half, path=folder / file) for half, file in videos_among(names, resolution).items()
    )
    labels_path = folder / label_file if label_file in names else None
    return Game(name=name, folder=folder, videos=videos, labels_path=labels_path)


def videos_among(names: Collection[str], resolution: str) -> dict[int, str]:
    """Half -> file, of the names of a game's files: one for the whole game (half 1), or one a half."""
    found: dict[int, str] = {}
    for half, stem in ((1, resolution), (1, f"1_{resolution}"), (2, f"2_{resolution}")):
        name = next((f"{stem}{suffix}" for suffix in _SUFFIXES if f"{stem}{suffix}" in names), None)
        if name is not None:
            found.setdefault(half, name)
    return found
