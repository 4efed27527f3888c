"""What the words of a command line name: a run, videos, dataset folders, URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.formats.game import Game

_RUN_FILES = ("best.safetensors", "config.yaml", "spotter.json")
"""A folder that holds one of these is a run."""


def is_run(path: Path) -> bool:
    """Whether a path is a weights file or the folder of a run, not a video."""
    return path.suffix == ".safetensors" or any((path / name).exists() for name in _RUN_FILES)


def split_run(words: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Separate the run from the sources: ``RUN match.mp4`` or ``match.mp4`` alone.

    The first word is a run when it is a weights file, a folder that holds one, or does not exist while
    others follow, so that a misspelt run is not taken for a video.

    Raises:
        ConfigurationError: no video or dataset is named.
    """
    if not words:
        raise ConfigurationError("no video is named; give [RUN] and videos, dataset folders or URLs")
    first = Path(words[0])
    if is_run(first) or (len(words) > 1 and "://" not in words[0] and not _exists(words[0])):
        if len(words) == 1:
            raise ConfigurationError(f"{first} is a run, and no video follows it; name videos, dataset folders or URLs")
        return first, tuple(words[1:])
    return None, tuple(words)


def _exists(word: str) -> bool:
    """Whether a word of the command line names a file or folder, or the files of one match, joined by ``+``."""
    from e2espot.video.parts import parts_of

    return all(part.exists() for part in parts_of(word))


def games_of_source(source: str, *, split: str | None, resolution: str) -> list[Game]:
    """A dataset's games, or a loose video as a game of its own.

    Args:
        source: A video, a dataset folder or its list, or a URL.
        split: Split of a dataset; None for all games.
        resolution: Which of a game's files is read.

    Raises:
        ConfigurationError: no videos there.
    """
    from e2espot.formats.game import Game
    from e2espot.formats.games import find_games, is_dataset, loose_games, resolutions_below
    from e2espot.inference.job import single_video
    from e2espot.sources.remote import find_remote_games, is_url, redact

    if is_url(source):
        games = find_remote_games(source, split=split, resolution=resolution)
    else:
        path = Path(source)
        games = find_games(path, split=split, resolution=resolution) if is_dataset(path) else None
    if games is None:
        video = single_video(source)
        return [Game(name=video.game, folder=video.path.parent, videos=(video,), labels_path=None)]
    if games:
        return games
    if not is_url(source):
        present = ", ".join(resolutions_below(Path(source)))
        loose = loose_games(Path(source)) if split is None and not present else []
        if loose:
            return loose
        if present:
            if not re.fullmatch("[0-9]+p", resolution):
                raise ConfigurationError(
                    f"{source}: no games with features {resolution}{_in_split(split)}; it has videos: extract the "
                    "features first, e2espot features",
                    option="features",
                )
            raise ConfigurationError(
                f"{source}: no games with {resolution} video{_in_split(split)}; it has {present}",
                option="resolution",
            )
    raise ConfigurationError(f"{redact(source)}: no videos there{_in_split(split)}")


def _in_split(split: str | None) -> str:
    return "" if split is None else f" in split {split!r}"
