"""A data set in a store: which games it has, from the names of its files alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.games import Game, Video, is_game_video, videos_among
from e2espot.formats.splits import names_in_splits, no_such_split, soccernet_names
from e2espot.sources.remote.url import open_store, translate_errors, redact


def find_remote_games(url: str, *, split: str | None, resolution: str) -> list[Game] | None:
    """Games below an address with videos to be spotted; None where no folder is there.

    Raises:
        VideoError: the store refuses or fails.
        ConfigurationError: no such split, or a game without its video.
        AnnotationError: a broken ``splits.json``.
    """
    store, root = open_store(url)
    with translate_errors(url):
        if not store.isdir(root):
            return None
        root = str(store.info(root)["name"]).rstrip("/")
        files = [str(name)[len(root) :].lstrip("/") for name in store.find(root)]
    folders: dict[str, set[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        folders.setdefault(path.parent.as_posix(), set()).add(path.name)
    names = _names(store, root, split, folders, redact(url).rstrip("/")) if split else _all_names(folders)
    games = [_game(url.rstrip("/"), name, folders[name], resolution) for name in names]
    for game in games if split else ():
        if not game.videos:
            raise ConfigurationError(
                f"{redact(url)}/{game.name}: no {resolution}.mp4 (or 1_{resolution}.mkv, 2_{resolution}.mkv); "
                "check --resolution and that the game is complete"
            )
    return [game for game in games if game.videos]


def _all_names(folders: dict[str, set[str]]) -> list[str]:
    return sorted(name for name, files in folders.items() if any(map(is_game_video, files)))


def _names(store: object, root: str, split: str, folders: dict[str, set[str]], where: str) -> list[str]:
    if "splits.json" not in folders.get(".", ()):
        names = [name for name in soccernet_names(split) if name in folders]
        return names if names else no_such_split(where, split)
    with translate_errors(f"{where}/splits.json"):
        content = store.cat_file(f"{root}/splits.json")  # type: ignore[attr-defined]
    try:
        names = names_in_splits(content.decode(), split, context=f"{where}/splits.json")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}/splits.json: not readable JSON ({error})") from None
    for name in names:
        if name not in folders:
            raise AnnotationError(f"{where}/splits.json: {split}: no folder {name!r:.200} with files in it")
    return names


def _game(url: str, name: str, files: set[str], resolution: str) -> Game:
    below = "" if name == "." else f"/{name}"
    called = PurePosixPath(redact(url)).name if name == "." else name
    videos = tuple(
        Video(game=called, half=half, path=Path(file), url=f"{url}{below}/{file}")
        for half, file in videos_among(files, resolution).items()
    )
    return Game(name=called, folder=Path(called), videos=videos, labels_path=None)
