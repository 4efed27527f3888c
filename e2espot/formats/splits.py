"""Which games belong to which split: ``splits.json``, or SoccerNet's own lists."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from e2espot.core.errors import AnnotationError, ConfigurationError

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


def names_of_split(root: Path, split: str) -> list[str]:
    """Names of a split's games: those in ``splits.json``, or SoccerNet's that are there.

    Raises:
        ConfigurationError: no such split.
        AnnotationError: a broken ``splits.json``, or one that names a missing folder.
    """
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
