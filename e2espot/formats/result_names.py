r"""Which file of a folder or zip has the results of which game, under the names that people and programs give them.

game                              also found as
league/season/2019 - A - B        run1/league/season/2019 - A - B         one folder down
                                  2019 - A - B                            a shorter name
                                  league\season\2019 - A - B                a zip written on Windows
                                  accents decomposed, as macOS writes them
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from e2espot.core.errors import AnnotationError


def match_results(games: Sequence[str], names: Collection[str], file_name: str, context: str) -> dict[str, str]:
    """Game -> the name of its file; games without one are left out.

    An exact name wins. Else one path must end with the other, and no two files may fit one game or one file two games.

    Args:
        games: Names of the games, with forward slashes.
        names: Paths of the files in a folder or zip.
        file_name: Name of a results file, such as ``results_spotting.json``.
        context: Names the folder or zip in errors.

    Raises:
        AnnotationError: several files could belong to a game.
    """
    exact = {game: f"{game}/{file_name}" for game in games if f"{game}/{file_name}" in names}
    folders = {name: _parts(name)[:-1] for name in sorted(names) if _parts(name)[-1:] == (file_name,)}
    rest = {name: parts for name, parts in folders.items() if name not in exact.values()}
    matched = dict(exact)
    for game in games:
        if game in exact:
            continue
        fitting = [name for name, parts in rest.items() if _same_game(_parts(game), parts, alone=len(games) == 1)]
        if len(fitting) > 1:
            raise AnnotationError(f"{context}: {fitting[0]!r} and {fitting[1]!r} could both be the results of {game!r}")
        if fitting:
            matched[game] = fitting[0]
    for name in sorted(set(matched.values())):
        owners = [game for game, file in matched.items() if file == name]
        if len(owners) > 1:
            raise AnnotationError(f"{context}: {name!r} could be the results of {owners[0]!r} and of {owners[1]!r}")
    return matched


def _same_game(game: tuple[str, ...], folder: tuple[str, ...], *, alone: bool) -> bool:
    """Whether the shorter one of two paths is the end of the other; a file at the top fits a game that is alone."""
    length = min(len(game), len(folder))
    return game[-length:] == folder[-length:] if length else alone


def _parts(name: str) -> tuple[str, ...]:
    r"""Folders and file of a path, in composed characters.

    # "l\s\Köln/x.json" with o and a combining diaeresis -> ("l", "s", "Köln", "x.json")
    """
    return tuple(part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part)
