"""Datasets of one's own in an object store: a list of videos, or videos of any names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.json_fields import relative_path
from e2espot.formats.filenames import SPLITS_FILE, VIDEO_SUFFIXES
from e2espot.formats.game import Game, Video
from e2espot.formats.own_games import (
    LABEL_SUFFIXES,
    LIST_FILES,
    ListEntry,
    halves_by_stem,
    read_list,
    split_of_folder,
)
from e2espot.formats.splits import canonical_split, names_in_splits
from e2espot.formats.video_paths import games_of_paths
from e2espot.sources.remote.url import hint_on_parts, is_url, redact


def own_remote_games(
    url: str, files: Sequence[str], read: Callable[[str], bytes], *, split: str | None, list_name: str | None = None
) -> list[Game]:
    """Games of a list at the root of a stored folder; without one, its videos, of which two may be halves of a game.

    Args:
        url: URL of the folder, without a slash at its end.
        files: Paths of all files below it.
        read: Content of one of them.
        split: Name of the split; None for all games.
        list_name: Name of the list, at the root of the folder; None for a usual name, if there is one.

    Raises:
        AnnotationError: a broken list, or a broken ``splits.json``.
        ConfigurationError: a video that the list names does not exist, or no such split.
    """
    listed = list_name or next((name for name in LIST_FILES if name in files), None)
    if listed is not None:
        games = _listed(url, read_list(listed, read(listed), f"{redact(url)}/{listed}"), set(files))
    else:
        games = _by_stem(url, files)
    return games if split is None else _in_split(url, games, files, read, split)


def _listed(url: str, entries: Sequence[ListEntry], files: set[str]) -> list[Game]:
    named = games_of_paths(file for entry in entries for file in entry.videos.values())
    games: dict[str, Game] = {}
    for entry in entries:
        first = next(iter(entry.videos.values()))
        name = relative_path(entry.name or named.get(first, ("", 1))[0], f"{entry.context}: name of the game")
        missing = next((file for file in entry.videos.values() if not is_url(file) and _plain(file) not in files), None)
        if missing is not None:
            hint = hint_on_parts(missing) or "; paths are relative to the list, or URLs"
            raise ConfigurationError(f"{entry.context}: no video {missing:.200}{hint}")
        if name in games:
            raise AnnotationError(f"{entry.context}: a second game named {name!r}; give each a name of its own")
        videos = {half: file if is_url(file) else _plain(file) for half, file in entry.videos.items()}
        games[name] = _game(url, name, videos, canonical_split(entry.split))
    return list(games.values())


def _plain(file: str) -> str:
    """A path without ``./`` and without folders that are left again: ``./a/../b.mp4`` is ``b.mp4``."""
    parts: list[str] = []
    for part in PurePosixPath(file).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _by_stem(url: str, files: Sequence[str]) -> list[Game]:
    videos: dict[str, str] = {}
    labels: set[str] = set()
    for file in sorted(files):
        path = PurePosixPath(file)
        stem = path.with_suffix("").as_posix() if path.suffix else file
        if path.name.startswith(".") or path.name == SPLITS_FILE:
            continue
        if path.suffix.lower() in VIDEO_SUFFIXES:
            name = stem.removeprefix("videos/")
            if name in videos:
                raise ConfigurationError(
                    f"{redact(url)}: {videos[name]} and {path.name} would both have results named {name!r}; rename one"
                )
            videos[name] = file
        elif path.suffix.lower() in LABEL_SUFFIXES:
            labels.add(stem.removeprefix("labels/"))
    return [
        _game(url, name, {half: videos[stem] for half, stem in halves.items()}, split_of_folder(name))
        for name, halves in halves_by_stem(videos, labels).items()
    ]


def _game(url: str, name: str, videos: Mapping[int, str], split: str) -> Game:
    """A game whose videos are below the folder, or anywhere by their own URLs."""
    return Game(
        name=name,
        folder=Path(name),
        videos=tuple(
            Video(
                game=name,
                half=half,
                path=Path(PurePosixPath(redact(file)).name),
                url=file if is_url(file) else f"{url}/{file}",
            )
            for half, file in sorted(videos.items())
        ),
        labels_path=None,
        split=split,
    )


def _in_split(
    url: str, games: Sequence[Game], files: Sequence[str], read: Callable[[str], bytes], split: str
) -> list[Game]:
    if SPLITS_FILE in files:
        context = f"{redact(url)}/{SPLITS_FILE}"
        by_name = {game.name: game for game in games}
        names = names_in_splits(read(SPLITS_FILE), split, context=context)
        if missing := [name for name in names if name not in by_name]:
            raise AnnotationError(f"{context}: {split}: no video of the game {missing[0]!r:.200}")
        return [by_name[name] for name in names]
    known = sorted({game.split for game in games if game.split})
    if canonical_split(split) not in known:
        raise ConfigurationError(
            f"{redact(url)}: no split {split!r}; it has {', '.join(known) or 'none'}: name the split of each game in a "
            "dataset.csv (video,labels,split), or put the games into folders train, valid and test"
        )
    return [game for game in games if game.split == canonical_split(split)]
