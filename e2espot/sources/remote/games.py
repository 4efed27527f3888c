"""A dataset in an object store: its games, known from the names of its files alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.filenames import SPLITS_FILE
from e2espot.formats.game import Game, Video, is_game_video
from e2espot.formats.games import videos_among
from e2espot.formats.own_games import LIST_SUFFIXES
from e2espot.formats.splits import names_in_splits, no_such_split, soccernet_names
from e2espot.sources.remote.own_games import own_remote_games
from e2espot.sources.remote.url import open_store, redact, translate_errors
from e2espot.video.parts import SEPARATOR

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def find_remote_games(url: str, *, split: str | None, resolution: str) -> list[Game] | None:
    """Find the games below a URL that have videos.

    Args:
        url: URL of a folder: in SoccerNet's layout, with a list (``dataset.yaml``, ``dataset.csv``), or of videos; or
            that of a list.
        split: Name of the split; None for all games.
        resolution: Which of a game's videos to use, such as ``224p``.

    Returns:
        The games in order, or None if the URL is neither a folder nor a list.

    Raises:
        VideoError: the store refuses or fails.
        ConfigurationError: no such split, or a game of it without its video.
        AnnotationError: a broken ``splits.json``.
    """
    _, _, name = redact(url).rpartition("/")
    is_named = PurePosixPath(name).suffix.lower() in LIST_SUFFIXES and "?" not in url
    url = url.rpartition("/")[0] if is_named else url
    store, root = open_store(url)
    with translate_errors(url):
        if not store.isdir(root):
            return None
        root = str(store.info(root)["name"]).rstrip("/")
        files = [str(name)[len(root) :].lstrip("/") for name in store.find(root)]
    if is_named or not any(is_game_video(PurePosixPath(file).name) for file in files):

        def read(name: str) -> bytes:
            with translate_errors(url):
                return bytes(store.cat_file(f"{root}/{name}"))

        return own_remote_games(url.rstrip("/"), files, read, split=split, list_name=name if is_named else None)
    # Folder relative to the root ("." for the root itself) -> names of its files.
    folders: dict[str, set[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        folders.setdefault(path.parent.as_posix(), set()).add(path.name)
    names = _names_of_split(store, root, split, folders, redact(url).rstrip("/")) if split else _all_names(folders)
    games = [_game(url.rstrip("/"), name, folders[name], resolution) for name in names]
    for game in games if split else ():
        if not game.videos:
            raise ConfigurationError(
                f"{redact(url)}/{game.name}: no {resolution}.mp4 (or 1_{resolution}.mkv, 2_{resolution}.mkv); "
                "choose another resolution, or complete the game",
                option="resolution",
            )
    return [game for game in games if game.videos]


def _all_names(folders: dict[str, set[str]]) -> list[str]:
    return sorted(name for name, files in folders.items() if any(map(is_game_video, files)))


def _names_of_split(
    store: AbstractFileSystem, root: str, split: str, folders: dict[str, set[str]], context: str
) -> list[str]:
    if SPLITS_FILE not in folders.get(".", ()):
        names = soccernet_names(split, folders.__contains__)
        return names if names else no_such_split(context, split)
    splits_url = f"{context}/{SPLITS_FILE}"
    with translate_errors(splits_url):
        content = store.cat_file(f"{root}/{SPLITS_FILE}")
    names = names_in_splits(content, split, context=splits_url)
    for name in names:
        if name not in folders:
            raise AnnotationError(f"{splits_url}: {split}: no folder {name!r:.200} with files in it")
    return names


def _game(url: str, folder: str, files: set[str], resolution: str) -> Game:
    # The root itself may be a game: its results are named after the last part of the URL.
    below = "" if folder == "." else f"/{folder}"
    name = PurePosixPath(redact(url)).name if folder == "." else folder
    named = videos_among(files, resolution)
    if any(SEPARATOR in file for file in named.values()):
        raise ConfigurationError(
            f"{redact(url)}{below}: its video is in several parts, which are read from local folders only; download it"
        )
    videos = tuple(
        Video(game=name, half=half, path=Path(file), url=f"{url}{below}/{file}") for half, file in named.items()
    )
    return Game(name=name, folder=Path(name), videos=videos, labels_path=None)
