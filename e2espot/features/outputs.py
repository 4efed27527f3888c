"""Where features go: next to the videos, or into a folder of their own that is a dataset like the first one.

match.mkv                       match_NAME.npy
DATA/game/1_224p.mkv            OUT/game/1_NAME.npy, with the game's label files and the splits
DATA/game/224p.mp4              OUT/game/NAME.npy
a list of videos and labels     OUT/game/NAME.npy, and a list of these and of the labels
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.formats.filenames import LABEL_FILES, SPLITS_FILE
from e2espot.formats.game import Game, Video, is_game_video

Targets = dict[tuple[str, int], Path]
"""(Game, half) -> file to write."""


def targets_of(games: Mapping[str, Game], name: str, out: Path | None, *, loose: frozenset[str]) -> Targets:
    """The file of each video.

    Args:
        games: The games by name.
        name: Name of the features.
        out: Folder for the files; None for the folder of each video.
        loose: Games that are single videos outside any dataset.

    Raises:
        ConfigurationError: a video in an object store, and no folder for its features.
    """
    targets: Targets = {}
    for game in games.values():
        for video in game.videos:
            if out is None and video.url is not None:
                raise ConfigurationError(
                    f"{game.name}: its video is in an object store; name a folder for its features", option="out"
                )
            folder = game.folder if out is None else out / game.name
            if game.name in loose:
                folder = video.path.parent if out is None else out
            targets[game.name, video.half] = folder / _file_of(game, video, name, loose=game.name in loose)
    return targets


def _file_of(game: Game, video: Video, name: str, *, loose: bool) -> str:
    if loose:
        return f"{Path(game.name).name}_{name}.npy"
    halves = len(game.videos) > 1 or (is_game_video(video.path.name) and video.path.name[1:2] == "_")
    return f"{video.half}_{name}.npy" if halves else f"{name}.npy"


def copy_labels(root: Path, games: Mapping[str, Game], targets: Targets, out: Path) -> None:
    """Make ``out`` a dataset: label files and splits are copied, or a list names the labels where they are.

    Args:
        root: The dataset of the videos, or its list.
        games: Its games by name.
        targets: The files of features.
        out: The folder of features.
    """
    if any(game.labels_target is not None for game in games.values()):
        _write_list(games, targets, out)
        return
    for game in games.values():
        for file in {*LABEL_FILES, *([game.labels_path.name] if game.labels_path else [])}:
            if (game.folder / file).is_file():
                _copy(game.folder / file, out / game.name / file)
    if (root / SPLITS_FILE).is_file():
        _copy(root / SPLITS_FILE, out / SPLITS_FILE)


def _copy(source: Path, target: Path) -> None:
    if not (target.exists() and source.samefile(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, source.read_bytes())
        shutil.copymode(source, target)


def _write_list(games: Mapping[str, Game], targets: Targets, out: Path) -> None:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(("video", "labels", "split", "game", "half"))
    for game in games.values():
        for video in game.videos:
            path = targets[game.name, video.half].relative_to(out).as_posix()
            labels = "" if game.labels_path is None else str(game.labels_path.resolve())
            writer.writerow((path, labels, game.split, game.name, video.half))
    write_atomically(out / "dataset.csv", rows.getvalue().encode())
