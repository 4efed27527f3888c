"""Which games belong to which split: ``splits.json`` or SoccerNet's own lists."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.json_fields import load_json, read_bytes
from e2espot.formats.filenames import SPLITS_FILE

_LEAGUE_FOLDER = "england_efl/2019-2020/"
_DAY = f"{_LEAGUE_FOLDER}2019-10-01 - "
"""Folder of the league and year, and start of the name of a game on the day of most games."""

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
        f"{_LEAGUE_FOLDER}2019-10-02 - Cardiff City - Queens Park Rangers",
    ),
}
"""SoccerNet's ball action spotting games, the same in 2023, 2024 and 2025."""
_V2_LISTS = {name: f"SoccerNetGames{name.capitalize()}.json" for name in BALL_SPLITS}
"""Split -> the list of SoccerNet-v2's games in the data of the SoccerNet package."""


def names_of_split(root: Path, split: str) -> list[str]:
    """Names of a split's games: from ``splits.json``, else SoccerNet's games that exist under ``root``.

    Raises:
        ConfigurationError: no such split.
        AnnotationError: a broken ``splits.json``, or one that names a missing folder.
    """
    file = root / SPLITS_FILE
    if not file.is_file():
        names = soccernet_names(split, lambda name: (root / name).is_dir())
        return names if names else no_such_split(root, split)
    names = names_in_splits(read_bytes(file), split, context=str(file))
    for number, name in enumerate(names):
        try:
            exists = (root / name).is_dir()
        except (OSError, ValueError):  # a name that no file system accepts
            exists = False
        if not exists:
            raise AnnotationError(f"{file}: {split}[{number}]: no folder {name!r:.200}")
    return names


def split_of_games(root: Path) -> dict[str, str]:
    """Game -> split, from ``splits.json`` or SoccerNet's own lists.

    Raises:
        AnnotationError: a broken ``splits.json``.
    """
    file = root / SPLITS_FILE
    published = {split: (*games, *_v2_names(split)) for split, games in BALL_SPLITS.items()}
    lists: Any = load_json(read_bytes(file), str(file)) if file.is_file() else published
    if not isinstance(lists, dict) or not all(isinstance(games, (list, tuple)) for games in lists.values()):
        raise AnnotationError(f"{file}: it must be an object with one list for each split")
    return {str(game): canonical_split(split) for split, games in lists.items() for game in games}


def empty_splits(root: Path) -> tuple[str, ...]:
    """Splits to which ``splits.json`` gives no game; none without that file, which :func:`split_of_games` checks."""
    file = root / SPLITS_FILE
    lists: Any = load_json(read_bytes(file), str(file)) if file.is_file() else {}
    return tuple(dict.fromkeys(canonical_split(split) for split, games in lists.items() if not games))


def canonical_split(name: str) -> str:
    """Name of a split as SoccerNet spells it: ``val`` is ``valid``."""
    return "valid" if name == "val" else name


def soccernet_names(split: str, exists: Callable[[str], bool]) -> list[str]:
    """SoccerNet's own games of a split that exist: those of ball action spotting, else those of SoccerNet-v2.

    The latter are known where the SoccerNet package is installed: its lists are read, and no code of it runs.
    """
    name = canonical_split(split)
    ball = [game for game in BALL_SPLITS.get(name, ()) if exists(game)]
    return ball or [game for game in _v2_names(name) if exists(game)]


@cache
def _v2_names(split: str) -> tuple[str, ...]:
    package = find_spec("SoccerNet")
    folders = (package.submodule_search_locations if package else None) or ()
    file = _V2_LISTS.get(split)
    for path in (Path(folder) / "data" / file for folder in folders if file):
        if path.is_file():
            leagues: Any = load_json(read_bytes(path), str(path))
            # {"england_epl": {"2014-2015": ["2015-02-21 - 18-00 Chelsea 1 - 1 Burnley", ...]}}
            return tuple(
                f"{league}/{season}/{game}"
                for league, seasons in leagues.items()
                for season, games in seasons.items()
                for game in games
            )
    return ()


def no_such_split(root: object, split: str) -> NoReturn:
    """Raise the error for a dataset that has neither ``splits.json`` nor SoccerNet's games.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(
        f"{root}: no splits.json and none of SoccerNet's {split!r} games; write splits.json as "
        '{"train": ["league/season/game", ...], "valid": [...], "test": [...]}'
        + ("" if _v2_names("test") else ', or for the games of SoccerNet-v2 pip install "e2espot[soccernet]"')
    )


def names_in_splits(data: bytes, split: str, *, context: str) -> list[str]:
    """Names of a split's games in the content of a ``splits.json``; ``val`` and ``valid`` are the same.

    Args:
        data: Content of the file.
        split: Name of the split.
        context: Names the file in errors.

    Raises:
        AnnotationError: not an object of lists of paths below its folder, each once.
        ConfigurationError: no such split.
    """
    splits: Any = load_json(data, context)
    if not isinstance(splits, dict):
        raise AnnotationError(f"{context}: it must be an object with one list for each split")
    aliases = {"valid": "val", "val": "valid"}
    names = splits.get(split, splits.get(aliases.get(split, split)))
    if names is None:
        advice = (
            '; move some of its games to "valid", write "valid": [] to train without, or divide all games into '
            "folds, such as fold 1/5"
        )
        raise ConfigurationError(
            f"{context}: no split {split!r}; it has {', '.join(map(repr, splits))}"
            + (advice if canonical_split(split) == "valid" else "")
        )
    if not isinstance(names, list):
        raise AnnotationError(f"{context}: {split} is {type(names).__name__}; expected a list of games")
    for number, name in enumerate(names):
        if not _is_below(name):
            raise AnnotationError(
                f"{context}: {split}[{number}] is {name!r}; expected a path of a game below this folder"
            )
        if name in names[:number]:
            raise AnnotationError(f"{context}: {split}[{number}]: {name!r} is listed twice")
    return names


def _is_below(name: Any) -> bool:
    """Whether a game's name is a relative path that does not leave the dataset."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
