"""Finds the games of a dataset folder, with their videos and labels."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import HALVES
from e2espot.core.wording import counted
from e2espot.files.walk import folders_below
from e2espot.formats.feature_files import feature_name
from e2espot.formats.filenames import BALL_LABEL_FILE, LABEL_FILES, SPLITS_FILE, VIDEO_SUFFIXES
from e2espot.formats.game import Game, Video, is_game_video
from e2espot.formats.one_video import is_video_file, one_video_games
from e2espot.formats.own_games import games_in_split, is_list, own_games
from e2espot.formats.splits import names_of_split
from e2espot.video.parts import SEPARATOR

_SUFFIXES = (".mp4", ".mkv", ".webm", ".npy")
"""Endings of a game's files: its videos, or its features."""
_NAMED_BY_LINES = re.compile(r"[0-9]+p")
"""Names of videos, such as 224p; any other name is that of features."""


def find_games(
    root: Path,
    *,
    split: str | None = None,
    resolution: str = "224p",
    label_file: str = BALL_LABEL_FILE,
    need_videos: bool = True,
) -> list[Game]:
    """Find the games of a split, or all games of a dataset.

    A dataset is a folder in SoccerNet's layout, a list of videos and labels, a folder of videos with labels of the
    same names (:mod:`e2espot.formats.own_games`), or one video (:mod:`e2espot.formats.one_video`). In SoccerNet's
    layout, a split is defined by ``splits.json``; without that file, by SoccerNet's own lists.

    Args:
        root: Folder of the dataset, its list, or one video.
        split: Name of the split; None for every game, in or out of splits.
        resolution: Which of a game's files is its video, such as ``224p``, or the name of its features, such as
            ``ResNET_TF2`` for ``1_ResNET_TF2.npy``.
        label_file: Name of the label files.
        need_videos: What happens to a game without a video: with ``split`` it is an error, else it is left out.
            False accepts such games.

    Raises:
        ConfigurationError: no such folder or split, or a game without its video.
        AnnotationError: a broken ``splits.json``.
    """
    check_label_file(label_file)
    root = Path(root)
    if is_video_file(root):
        return one_video_games(root, split, label_file)
    if not is_dataset(root):
        raise ConfigurationError(f"{root}: no such dataset folder, video, or list of videos (.yaml, .csv)")
    listed = own_games(root)
    if listed is not None:
        return [game for game in games_in_split(root, listed, split) if game.videos or not need_videos]
    if split is None:
        folders = _game_folders(root, label_file, resolution)
        all_games = [_game(root, folder, resolution, label_file) for folder in folders]
        return [game for game in all_games if game.videos or not need_videos]
    if not (root / SPLITS_FILE).is_file() and (lack := lack_of_labels(root)):
        raise ConfigurationError(f"{root}: {lack}")
    games = [_game(root, root / name, resolution, label_file) for name in names_of_split(root, split)]
    if need_videos:
        _require_videos(games, resolution)
    return games


def _require_videos(games: list[Game], resolution: str) -> None:
    for game in games:
        if game.videos:
            continue
        folder = game.folder
        if is_features_name(resolution):
            raise ConfigurationError(
                f"{folder}: no 1_{resolution}.npy, 2_{resolution}.npy or {resolution}.npy; {_other_features(folder)}",
                option="features",
            )
        raise ConfigurationError(
            f"{folder}: no {resolution}.mp4 (or 1_{resolution}.mkv, 2_{resolution}.mkv); {_other_videos(folder)}",
            option="resolution",
        )


def _other_features(folder: Path) -> str:
    """What to do about a game without the features that were asked for."""
    present = ", ".join(sorted({feature_name(path) for path in folder.glob("*.npy")}))
    return f"it has {present}" if present else "extract its features, or check that the game is complete"


def _other_videos(folder: Path) -> str:
    """What to do about a game without the video that was asked for."""
    present = ", ".join(resolutions_below(folder))
    if present:
        return f"it has {present}"
    if any(folder.glob("*.npy")):
        return "it has features alone; name the dataset of their videos, or a spotter that reads features"
    return _advice_on_names(folder)


def _advice_on_names(folder: Path) -> str:
    """What to do about a game whose videos, if it has any, are not named as those of a dataset."""
    others = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not others:
        return "check that the game is complete"
    return f"it has {' and '.join(others[:2])}; rename them, or list them in a dataset.csv (video,labels,split)"


def is_dataset(path: Path) -> bool:
    """Whether a path can be a dataset: a folder, or the list of one."""
    return path.is_dir() or is_list(path)


def loose_games(root: Path) -> list[Game]:
    """Every video below a folder as a game of its own, named by its path without the ending.

    Raises:
        ConfigurationError: two videos whose names differ in their ending alone, so that their results would be one.
    """
    games: dict[str, Game] = {}
    for folder, files in folders_below(root):
        for file in sorted(files):
            path = folder / file
            if path.suffix.lower() not in VIDEO_SUFFIXES or file.startswith("."):
                continue
            name = path.relative_to(root).with_suffix("").as_posix()
            if name in games:
                raise ConfigurationError(
                    f"{path} and {games[name].videos[0].path.name} would both have results named {name!r}; rename one"
                )
            videos = (Video(game=name, half=1, path=path),)
            target = path.with_suffix(".json")
            games[name] = Game(name=name, folder=folder, videos=videos, labels_path=None, labels_target=target)
    return [games[name] for name in sorted(games)]


def lack_of_labels(root: Path) -> str:
    """What a folder of videos lacks to be a dataset, for an error; empty if it is one, or holds no videos at all."""
    if not root.is_dir() or own_games(root) is not None:
        return ""
    files = [(folder, file) for folder, names in folders_below(root) for file in sorted(names)]
    videos = [folder / file for folder, file in files if Path(file).suffix.lower() in VIDEO_SUFFIXES]
    if not videos or any(is_game_video(file) or file in LABEL_FILES for _, file in files):
        return ""
    first = videos[0].relative_to(root)
    return (
        f"{counted(len(videos), 'video')} and no labels of the same names; put {first.with_suffix('.json')} or "
        f"{first.with_suffix('.csv')} next to {first}, list videos and labels in a dataset.csv (video,labels,split), "
        "or label them with e2espot review"
    )


def resolutions_below(root: Path) -> list[str]:
    """Resolutions of the games' videos below a dataset folder, such as ``720p``: what could have been asked for."""
    matches = (re.search(r"([0-9]+p)(?:_part[0-9]+)?\.", file) for _, files in folders_below(root) for file in files)
    return sorted({match[1] for match in matches if match is not None and is_game_video(match.string)})


def features_below(root: Path) -> list[str]:
    """Names of the feature files in a dataset folder, such as ``ResNET_TF2``."""
    return sorted({feature_name(folder / file) for folder, files in folders_below(root) for file in _arrays(files)})


def _arrays(names: Collection[str]) -> list[str]:
    return [name for name in names if name.endswith(".npy") and not name.startswith(".")]


def is_features_name(resolution: str) -> bool:
    """Whether what names a game's files names features, as ``ResNET_TF2`` does, and not videos, as ``224p``."""
    return not _NAMED_BY_LINES.fullmatch(resolution)


def check_label_file(name: str, option: str = "label_file") -> None:
    """Refuse anything but the plain name of a file.

    Args:
        name: Name of the label files of all games.
        option: The option that gives it, for the error.

    Raises:
        ConfigurationError: a path, a pattern or nothing.
    """
    if not name or name in (".", "..") or any(sign in name for sign in "/\\*?[\0"):
        raise ConfigurationError(
            f"{option} is {name!r}; give the plain name of a file, such as {BALL_LABEL_FILE}", option=option
        )


def _game_folders(root: Path, label_file: str, resolution: str) -> list[Path]:
    """Folders with a label file, a game's video, or its features."""
    features = {f"{stem}.npy" for stem in (resolution, *(f"{half}_{resolution}" for half in HALVES))}
    return sorted(
        folder
        for folder, files in folders_below(root)
        if label_file in files or any(map(is_game_video, files)) or not features.isdisjoint(files)
    )


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
    """Half -> name of its video, among the names of a game's files; names of its parts are joined by ``+``.

    One video for the whole game is half 1, and takes precedence over a video of half 1.

    Raises:
        ConfigurationError: a part is missing.
    """
    videos: dict[int, str] = {}
    for half, stem in ((1, resolution), *((half, f"{half}_{resolution}") for half in HALVES)):
        name = _file_named(stem, names) or SEPARATOR.join(_parts_among(names, stem))
        if name:
            videos.setdefault(half, name)
    return videos


def _file_named(stem: str, names: Collection[str]) -> str | None:
    return next((f"{stem}{suffix}" for suffix in _SUFFIXES if f"{stem}{suffix}" in names), None)


def _parts_among(names: Collection[str], stem: str) -> list[str]:
    """Names of the parts of a video in order: ``1_224p_part1.mp4``, ``1_224p_part2.mp4``, ...; none if it has none.

    Raises:
        ConfigurationError: a part is missing.
    """
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(rf"{re.escape(stem)}_part([0-9]+)\..*", name))]
    parts: list[str] = []
    for number in range(1, max(numbers, default=0) + 1):
        part = _file_named(f"{stem}_part{number}", names)
        if part is None:
            raise ConfigurationError(
                f"{stem}_part{max(numbers)} has no {stem}_part{number} before it; number the parts of a video from 1 on"
            )
        parts.append(part)
    return parts
