r"""Names of games from the paths of their videos, as programs on any system write them.

::

    england_efl/2019-2020/game A/2_224p.mkv                       england_efl/2019-2020/game A, half 2
    clips/derby.mp4                                               clips/derby, half 1
    clips/GX01.MP4+GX02.MP4                                       clips/GX01+GX02, half 1, as infer names it
    D:\videos\derby.mp4, D:\videos\cup\final.mp4                  derby and cup/final: what is below their folder
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from e2espot.formats.filenames import VIDEO_SUFFIXES
from e2espot.formats.game import is_game_video

GamesOfPaths = Mapping[str, tuple[str, int]]
"""Path or other text that names a video -> name of its game, and its half."""

_ROOT = re.compile(r"[A-Za-z]:/?|/+")
_LATER_FOLDER = re.compile(rf"({'|'.join(map(re.escape, VIDEO_SUFFIXES))})\+[^+]*/", re.IGNORECASE)
"""In a match of several files, the folder of one that is not the first: ``a.mp4+day/b.mp4``."""
_GAME_FILE = re.compile(r"([1-5])_.+")


def is_absolute(path: str) -> bool:
    r"""Whether a path names its drive or root, on Windows (``C:\a``, ``\\server\a``) or elsewhere (``/a``)."""
    return _ROOT.match(path.replace("\\", "/")) is not None


def portable_parts(path: str) -> tuple[str, ...]:
    r"""Folders and file of a path, without its drive, root, ``.`` and ``..``."""
    # "C:\a\..\b.mp4" -> ("a", "b.mp4")
    plain = _LATER_FOLDER.sub(r"\1+", path.replace("\\", "/"))
    root = _ROOT.match(plain)
    parts = plain[root.end() if root else 0 :].split("/")
    return tuple(part for part in parts if part not in ("", ".", ".."))


def games_of_paths(paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Path -> name of the game, and its half; absolute paths are named from the folder that all of them are below.

    A path without a single name in it, such as ``/``, is left out.
    """
    units: dict[str, tuple[tuple[str, ...], int]] = {}
    for path in paths:
        if parts := portable_parts(path):
            units[path] = _unit(parts)
    absolute = [unit for path, (unit, _) in units.items() if is_absolute(path)]
    shared = _shared_length([unit[:-1] for unit in absolute])
    return {path: ("/".join(unit[shared if is_absolute(path) else 0 :]), half) for path, (unit, half) in units.items()}


def _unit(parts: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """What a game is named after, and its half: the folder of ``1_224p.mkv`` or of its features, else the file."""
    *folder, file = parts
    suffix = PurePosixPath(file).suffix.lower()
    half = _GAME_FILE.fullmatch(file)
    if folder and (is_game_video(file) or (suffix == ".npy" and half is not None)):
        return tuple(folder), int(half[1]) if half is not None else 1
    return (*folder, "+".join(map(_without_suffix, file.split("+")))), 1


def _without_suffix(file: str) -> str:
    """A file of a match by its name alone: ``GX010012.MP4`` -> ``GX010012``."""
    suffix = PurePosixPath(file).suffix
    return file[: -len(suffix)] if suffix.lower() in (*VIDEO_SUFFIXES, ".npy") and len(file) > len(suffix) else file


def _shared_length(folders: list[tuple[str, ...]]) -> int:
    """Number of leading folders that all have in common."""
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared += 1
    return shared
