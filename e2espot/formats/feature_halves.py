"""Halves of a game whose features are not there although something says that the half was played.

A game may have one half: a recording of a friendly, a test. So a missing one is a warning, and only where the files
speak for it::

    2_NAME.npy alone                       half 1 is missing: halves are counted from 1 on
    1_NAME.npy, 2_224p.mkv                 half 2 was not extracted
    1_NAME.npy, a label at "2 - 12:34"     half 2 was not copied
    1_NAME.npy, and other games have two   the same
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import parse_game_time
from e2espot.formats.feature_files import feature_name
from e2espot.formats.filenames import LABEL_FILES
from e2espot.formats.game import Game, is_game_video
from e2espot.formats.label_documents import read_label_document

_FILE_OF_HALF = re.compile(r"([1-5])_.+")


def missing_halves(games: Sequence[Game], name: str) -> list[str]:
    """One line for each half that seems to be missing, with what speaks for it and the likely cause.

    Args:
        games: Games whose files are features: one for each half, or one for the game, which misses nothing.
        name: Name of the features.
    """
    is_usual = any({1, 2} <= set(_halves(game)) for game in games)
    lines = []
    for game in games:
        present = _halves(game)
        for half in (half for half in (1, 2) if present and half not in present):
            cause = _cause(game, half, name, max(present), is_usual=is_usual)
            if cause:
                lines.append(f"{game.name}: no {half}_{name}.npy, and {cause}; half {half} has no results")
    return lines


def _halves(game: Game) -> list[int]:
    """Halves that have a file of their own; of a file that was named alone, a game by itself, none."""
    return [
        video.half for video in game.videos if _FILE_OF_HALF.fullmatch(video.path.name) and game.name != video.path.stem
    ]


def _cause(game: Game, half: int, name: str, last: int, *, is_usual: bool) -> str:
    """Why a half seems to be missing; empty where nothing says that there is one."""
    folder = game.videos[0].path.parent
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    of_half = [file for file in names if file.startswith(f"{half}_")]
    if any(file.startswith(f".{half}_{name}.npy.") and file.endswith(".rows.part") for file in names):
        return "its extraction was interrupted: extract the features again"
    videos = [file for file in of_half if is_game_video(file)]
    if videos:
        return f"{videos[0]} is there: its features were not extracted"
    others = [file for file in of_half if file.endswith(".npy")]
    if others:
        return f"{others[0]} is there: {feature_name(Path(others[0]))} and {name} were not made of the same videos"
    if _has_label(game, folder, half):
        return "labels name that half: it was not extracted or not copied"
    if half < last:
        return f"the game has half {last}: it was not extracted or not copied"
    return "other games have both halves: it was not extracted or not copied" if is_usual else ""


def _has_label(game: Game, folder: Path, half: int) -> bool:
    """Whether a label file of the game names the half; a broken one says nothing here."""
    for path in {folder / file for file in LABEL_FILES} | ({game.labels_path} if game.labels_path else set()):
        with suppress(AnnotationError, OSError):
            for row in read_label_document(path)[1]:
                with suppress(AnnotationError, AttributeError):
                    if parse_game_time(str(row.get("gameTime", "")))[0] == half:
                        return True
    return False
