"""A dataset folder -> its games, their videos and labels, and which split they belong to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from e2espot.errors import AnnotationError, ConfigurationError

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
    """The file."""


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


def _names_of_split(root: Path, split: str) -> list[str]:
    file = root / "splits.json"
    if file.is_file():
        return _read_splits(file, split)
    names = [name for name in BALL_SPLITS.get("valid" if split == "val" else split, ()) if (root / name).is_dir()]
    if not names:
        raise ConfigurationError(
            f"{root}: no splits.json and none of SoccerNet's {split!r} games; write splits.json as "
            '{"train": ["league/season/game", ...], "valid": [...], "test": [...]}'
        )
    return names


def _read_splits(file: Path, split: str) -> list[str]:
    try:
        splits: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{file}: not readable JSON ({error})") from None
    if not isinstance(splits, dict):
        raise AnnotationError(f"{file}: it must be an object of lists, one a split")
    aliases = {"valid": "val", "val": "valid"}
    names = splits.get(split, splits.get(aliases.get(split, split)))
    if names is None:
        raise ConfigurationError(f"{file}: no split {split!r}; it has {', '.join(map(repr, splits))}")
    if not isinstance(names, list):
        raise AnnotationError(f"{file}: {split} is {type(names).__name__}; expected a list of games")
    for number, name in enumerate(names):
        _check_name(file, f"{split}[{number}]", name)
        if name in names[:number]:
            raise AnnotationError(f"{file}: {split}[{number}]: {name!r} is listed twice")
    return names


def _check_name(file: Path, where: str, name: Any) -> None:
    if not isinstance(name, str) or not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise AnnotationError(f"{file}: {where} is {name!r}; expected a path of a game below this folder")
    try:
        found = "\0" not in name and (file.parent / name).is_dir()
    except (OSError, ValueError):  # names no file system takes
        found = False
    if not found:
        raise AnnotationError(f"{file}: {where}: no folder {name!r:.200}")


def _game_folders(root: Path, label_file: str) -> list[Path]:
    """Folders that hold a label file or a game's video."""
    found = {path.parent for path in root.rglob(label_file)}
    found |= {path.parent for suffix in _SUFFIXES for path in root.rglob(f"*p{suffix}") if _half_of(path) is not None}
    return sorted(found)


def _half_of(path: Path) -> int | None:
    """Half a file's name stands for, whatever its resolution."""
    head, _, tail = path.stem.rpartition("_")
    if not tail.removesuffix("p").isdecimal():
        return None
    return {"": 1, "1": 1, "2": 2}.get(head)


def _game(root: Path, folder: Path, resolution: str, label_file: str) -> Game:
    name = folder.relative_to(root).as_posix()
    name = folder.resolve().name if name == "." else name
    videos: list[Video] = []
    for half, stem in ((1, resolution), (1, f"1_{resolution}"), (2, f"2_{resolution}")):
        path = next(
            (folder / f"{stem}{suffix}" for suffix in _SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None
        )
        if path is not None and not any(video.half == half for video in videos):
            videos.append(Video(game=name, half=half, path=path))
    labels = folder / label_file
    return Game(name=name, folder=folder, videos=tuple(videos), labels_path=labels if labels.is_file() else None)
