"""A dataset folder -> its games, their videos and labels, and which split they belong to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from e2espot.core.errors import ConfigurationError
from e2espot.files.walk import folders_below
from e2espot.formats.splits import names_of_split

_SUFFIXES = (".mp4", ".mkv", ".webm")


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
    games = [_game(root, root / name, resolution, label_file) for name in names_of_split(root, split)]
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
